"""A schedule that mistakes the validation metric for the number of the epoch, as released code does."""

from __future__ import annotations

from torch.optim import Optimizer

from gnnlab.errors import ConfigError
from gnnlab.training.schedule import CosineWithWarmup, ReduceOnPlateau

__all__ = ["MetricAsEpoch"]


class MetricAsEpoch(ReduceOnPlateau):
    r"""Cosine with warm-up as the released code of cooperative networks moves it: the validation metric is passed where
    the epoch belongs.

    A metric m between 0 and 1 never leaves a warm-up of w epochs, so the rate is :math:`lr \cdot m / w` throughout (a
    seventh of it at an average precision of 0.7 and w = 5). Only of use to reproduce such a run;
    :class:`gnnlab.training.CosineWithWarmup` is what was meant. With the step decay of the same code the rate stays
    constant, which needs no schedule at all.

    Args:
        optimizer: Its rates are the full ones.
        max_epochs: As in :class:`gnnlab.training.CosineWithWarmup`.
        warmup_epochs: w.
        monitor: The logged metric that is taken for an epoch.

    Raises:
        ConfigError: no warm-up.

    Example:
        >>> import torch
        >>> schedule = MetricAsEpoch(torch.optim.SGD([torch.zeros(1)], lr=1.0), max_epochs=100)
        >>> schedule.step(0.5)
        >>> schedule.get_last_lr()
        [0.1]
    """

    def __init__(self, optimizer: Optimizer, max_epochs: int, warmup_epochs: int = 5, monitor: str = "val/ap") -> None:
        if warmup_epochs < 1:
            raise ConfigError(f"warmup_epochs must be at least 1, got {warmup_epochs}", where="MetricAsEpoch")
        super().__init__(optimizer, max_epochs, monitor=monitor)
        self._meant = CosineWithWarmup(optimizer, max_epochs, warmup_epochs)

    def step(self, metrics: float, epoch: int | None = None) -> None:
        self.last_epoch += 1
        self._meant.last_epoch = float(metrics)
        self._last_lr = self._meant.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate
