"""F1, averaged over classes."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.metrics._base import SplitMetric
from gnnlab.metrics.accuracy import checked_classes

__all__ = ["MacroF1"]


class MacroF1(SplitMetric):
    r"""Unweighted mean of :math:`F_1 = 2 TP / (2 TP + FP + FN)` over classes, on the whole split.

    The mean is over the classes present among targets or predictions of the labelled rows, as in
    scikit-learn; a batch-wise average would be another number. NaN if no row is labelled.

    Shapes:
        - pred: [n, C] logits, target: [n] or [n, 1] class, negative (or NaN) where unlabelled.

    Example:
        >>> metric = MacroF1()
        >>> metric.update(torch.eye(3)[[0, 1, 1]], torch.tensor([0, 1, 2]))
        >>> round(metric.compute().item(), 4)
        0.5556
    """

    higher_is_better = True

    def rows(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        classes, truth = checked_classes(pred, target)
        return classes.int(), truth.int()

    def score(self, pred: Tensor, target: Tensor) -> Tensor:
        labelled = target >= 0
        pred, target = pred[labelled].long(), target[labelled].long()
        hits = pred[pred == target]
        size = int(torch.cat([pred, target]).max()) + 1 if len(pred) else 1
        hits, pred, target = (torch.bincount(classes, minlength=size) for classes in (hits, pred, target))
        present = pred + target > 0
        return (2.0 * hits.double() / (pred + target))[present].mean()
