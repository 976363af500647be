"""What most metrics share: the predictions and targets of a whole split."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from gnnlab.metrics.targets import align, columns, float_targets

__all__ = ["SplitMetric"]


class SplitMetric(Metric):
    """A metric of the whole split: predictions and targets are kept, never averaged over batches.

    A subclass implements :meth:`score` on the concatenated rows; torchmetrics gathers them over processes.
    Unlabelled targets are NaN (float) or negative (integer). A split without rows scores NaN.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("pred", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Add the predictions and targets of a batch."""
        pred, target = self.rows(pred.detach(), target.detach())
        self.pred.append(pred)
        self.target.append(target)

    def compute(self) -> Tensor:
        if not len(self.pred):
            return torch.tensor(torch.nan, device=self.device)
        pred, target = dim_zero_cat(self.pred), dim_zero_cat(self.target)
        return self.score(pred, target) if len(pred) else torch.tensor(torch.nan, device=pred.device)

    def rows(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept of a batch: two float tensors [rows, labels]."""
        pred = pred if pred.dtype == torch.float64 else pred.float()
        pred = columns(pred)
        return pred, align(pred, float_targets(target))

    def score(self, pred: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not implement score(pred, target)")
