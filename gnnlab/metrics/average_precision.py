"""Average precision, averaged over labels."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.metrics._base import SplitMetric
from gnnlab.metrics._ties import mean_over_labels, tie_counts

__all__ = ["AveragePrecision"]


class AveragePrecision(SplitMetric):
    r"""Unweighted mean over labels of the average precision of the whole split.

    Per label :math:`\sum_t (R_t - R_{t-1}) P_t` over the distinct scores :math:`t` (equal scores are one
    threshold), exact and on the device of the predictions. As in OGB's evaluator, rows without a label (NaN)
    do not count and labels without a positive or without a negative are left out; NaN if none remains.

    Shapes:
        - pred: [n, L] scores or logits, target: [n, L] (or [n] for one label) of 0, 1 and NaN.

    Example:
        >>> metric = AveragePrecision()
        >>> metric.update(torch.tensor([0.9, 0.8, 0.1]), torch.tensor([1, 0, 1]))
        >>> round(metric.compute().item(), 4)
        0.8333
    """

    higher_is_better = True

    def score(self, pred: Tensor, target: Tensor) -> Tensor:
        counts = tie_counts(pred, target)
        precision = counts.true.double() / (counts.true + counts.false).clamp(min=1)
        gained = torch.where(counts.positive, precision, 0.0).sum(dim=0)
        return mean_over_labels(gained / counts.num_positive, counts, pred, target)
