"""The average of batch means, weighted by what each batch holds."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["WeightedMean"]


class WeightedMean(Metric):
    """Sum of value x weight over sum of weight, kept on the device; NaN values stay NaN, unlike a skipped batch.

    Example:
        >>> metric = WeightedMean()
        >>> metric.update(torch.tensor(1.0), torch.tensor(3))
        >>> metric.update(torch.tensor(5.0), torch.tensor(1))
        >>> metric.compute().item()
        2.0
    """

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: Tensor) -> None:
        self.total += value.double() * weight
        self.weight += weight

    def compute(self) -> Tensor:
        return self.total / self.weight
