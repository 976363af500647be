"""Area under the ROC curve, averaged over labels."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.metrics._base import SplitMetric
from gnnlab.metrics._ties import mean_over_labels, tie_counts

__all__ = ["ROCAUC"]


class ROCAUC(SplitMetric):
    r"""Unweighted mean over labels of the area under the ROC curve of the whole split.

    Per label the probability that a positive scores higher than a negative, a tie counting one half; exact
    and on the device of the predictions. As in OGB's evaluator, rows without a label (NaN) do not count and
    labels without a positive or without a negative are left out; NaN if none remains.

    Shapes:
        - pred: [n, L] scores or logits, target: [n, L] (or [n] for one label) of 0, 1 and NaN.

    Example:
        >>> metric = ROCAUC()
        >>> metric.update(torch.tensor([0.9, 0.8, 0.1]), torch.tensor([1, 0, 1]))
        >>> metric.compute().item()
        0.5
    """

    higher_is_better = True

    def score(self, pred: Tensor, target: Tensor) -> Tensor:
        counts = tie_counts(pred, target)
        beaten = counts.num_negative - (counts.false + counts.above).double() / 2
        won = torch.where(counts.positive, beaten, 0.0).sum(dim=0)
        pairs = counts.num_positive * counts.num_negative
        return mean_over_labels(won / pairs, counts, pred, target)
