"""Errors of regression, averaged over targets."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.metrics._base import SplitMetric

__all__ = ["MAE", "RMSE"]


class MAE(SplitMetric):
    """Mean absolute error over the labelled rows of every target, averaged over the targets.

    Without missing labels this is the mean over all entries.

    Shapes:
        - pred: [n, T], target: [n, T] (or [n] for one target), NaN where unlabelled.

    Example:
        >>> metric = MAE()
        >>> metric.update(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))
        >>> metric.compute().item()
        1.5
    """

    higher_is_better = False

    def score(self, pred: Tensor, target: Tensor) -> Tensor:
        return _mean_per_target((pred.double() - target).abs(), target).mean()


class RMSE(SplitMetric):
    """Root of the mean squared error over the labelled rows of every target, averaged over the targets (OGB).

    Shapes:
        - pred: [n, T], target: [n, T] (or [n] for one target), NaN where unlabelled.

    Example:
        >>> metric = RMSE()
        >>> metric.update(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))
        >>> round(metric.compute().item(), 4)
        1.5811
    """

    higher_is_better = False

    def score(self, pred: Tensor, target: Tensor) -> Tensor:
        return _mean_per_target((pred.double() - target).square(), target).sqrt().mean()


def _mean_per_target(error: Tensor, target: Tensor) -> Tensor:
    """Mean error of every target that has a label; a NaN prediction is an error of NaN, not a gap."""
    labelled = ~target.isnan()
    count = labelled.sum(dim=0)
    mean = torch.where(labelled, error, 0.0).sum(dim=0) / count
    return mean[count > 0]
