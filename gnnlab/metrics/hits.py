"""Hits@k over the pooled negatives of a split."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.metrics._base import SplitMetric

__all__ = ["HitsAt"]


class HitsAt(SplitMetric):
    """Share of positives scoring strictly higher than the k-th best negative of the split (OGB link tasks).

    With fewer than ``k`` negatives every positive is a hit; NaN without positives. The value depends on how
    many negatives the split has, so it compares across methods, never across splits.

    Args:
        k: Rank of the negative that a positive has to beat.

    Shapes:
        - pred: [P] scores of pairs, target: [P] of 1 (edge) and 0 (no edge).

    Example:
        >>> metric = HitsAt(1)
        >>> metric.update(torch.tensor([3.0, 1.0, 2.0, 0.0]), torch.tensor([1, 1, 0, 0]))
        >>> metric.compute().item()
        0.5
    """

    higher_is_better = True

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}", where="HitsAt")
        self.k = k

    def score(self, pred: Tensor, target: Tensor) -> Tensor:
        positive, negative = pred[target == 1], pred[target == 0]
        if len(negative) < self.k:
            threshold = torch.tensor(-torch.inf, device=pred.device)
            return (positive >= threshold).double().mean()
        return (positive > negative.topk(self.k).values[-1]).double().mean()
