"""Learning-rate schedules; the number of epochs comes from the trainer, so it is written once."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from gnnlab.errors import ConfigError

__all__ = ["CosineWithWarmup", "LinearDecay", "ReduceOnPlateau", "StepDecay"]

# The reference's rate during the first epoch of a warm-up, relative to the full one.
_FLOOR = 1e-6


class CosineWithWarmup(LRScheduler):
    r"""Linear warm-up, then half a cosine down to ``min_lr``.

    At epoch :math:`t`, with :math:`w` warm-up epochs out of :math:`T`:
    :math:`lr \cdot \max(10^{-6}, t / w)` for :math:`t < w`, then
    :math:`lr_{min} + (lr - lr_{min}) \tfrac{1}{2} (1 + \cos(\pi (t - w) / (T - w)))`. As in the tuned LRGB
    baselines, the first epoch of a warm-up is all but still.

    Args:
        optimizer: Its rates are the full ones.
        max_epochs: T.
        warmup_epochs: w; a run cut short below w ends within its warm-up.
        min_lr: Rate at the end.
        per_step: Move every optimiser step (t is then fractional) instead of every epoch.

    Raises:
        ConfigError: a negative warm-up.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> schedule = CosineWithWarmup(optimizer, max_epochs=6, warmup_epochs=2)
        >>> rates = []
        >>> for _ in range(6):
        ...     rates.append(round(schedule.get_last_lr()[0], 3))
        ...     optimizer.step()
        ...     schedule.step()
        >>> rates
        [0.0, 0.5, 1.0, 0.854, 0.5, 0.146]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_epochs: int,
        warmup_epochs: int = 0,
        min_lr: float = 0.0,
        per_step: bool = False,
    ) -> None:
        if warmup_epochs < 0:
            raise ConfigError(f"warmup_epochs must be at least 0, got {warmup_epochs}", where="CosineWithWarmup")
        self.max_epochs, self.warmup_epochs, self.min_lr = max_epochs, warmup_epochs, min_lr
        self.interval: Literal["epoch", "step"] = "step" if per_step else "epoch"
        self.steps_per_epoch = 1.0
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        epoch = self.last_epoch / self.steps_per_epoch
        if epoch < self.warmup_epochs:
            return [rate * max(_FLOOR, epoch / self.warmup_epochs) for rate in self.base_lrs]
        progress = min(1.0, (epoch - self.warmup_epochs) / max(1, self.max_epochs - self.warmup_epochs))
        share = 0.5 * (1.0 + math.cos(math.pi * progress))
        return [self.min_lr + (rate - self.min_lr) * share for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """The position only, so that a run can be resumed with a larger ``max_epochs``."""
        return _position(super().state_dict())


class LinearDecay(LRScheduler):
    r"""Constant until a share ``start`` of training, then linearly down to ``factor`` times the rate at its end.

    The schedule of "Neural Message Passing for Quantum Chemistry" (Gilmer et al., ICML 2017), which draws ``start``
    from 0.1 to 0.9 and ``factor`` from 0.01 to 1.

    Args:
        optimizer: Its rates are the full ones.
        max_epochs: Number of epochs.
        start: Share of training after which the rate falls, at least 0 and below 1.
        factor: Rate of the last epoch, relative to the full one.

    Raises:
        ConfigError: a share or factor outside of that.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> schedule = LinearDecay(optimizer, max_epochs=5, start=0.25, factor=0.1)
        >>> rates = []
        >>> for _ in range(5):
        ...     rates.append(round(schedule.get_last_lr()[0], 3))
        ...     optimizer.step()
        ...     schedule.step()
        >>> rates
        [1.0, 1.0, 0.7, 0.4, 0.1]
    """

    interval: Literal["epoch", "step"] = "epoch"

    def __init__(self, optimizer: Optimizer, max_epochs: int, start: float = 0.5, factor: float = 0.1) -> None:
        if not 0 <= start < 1 or not 0 <= factor <= 1:
            raise ConfigError(
                f"start must be in [0, 1) and factor in [0, 1], got {start} and {factor}", where="LinearDecay"
            )
        self.last, self.start, self.factor = max(1, max_epochs - 1), start, factor
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        fallen = (self.last_epoch / self.last - self.start) / (1 - self.start)
        share = 1 - (1 - self.factor) * min(1.0, max(0.0, fallen))
        return [rate * share for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """The position only, so that a run can be resumed with a larger ``max_epochs``."""
        return _position(super().state_dict())


class StepDecay(LRScheduler):
    """Multiply the rate by ``gamma`` every ``step_size`` epochs (GIN: 0.5 every 50).

    Args:
        optimizer: Its rates are the initial ones.
        max_epochs: Unused; every schedule is called alike.
        step_size: Epochs between two reductions.
        gamma: Factor of a reduction.
    """

    interval: Literal["epoch", "step"] = "epoch"

    def __init__(self, optimizer: Optimizer, max_epochs: int, step_size: int = 50, gamma: float = 0.5) -> None:
        if step_size < 1:
            raise ConfigError(f"step_size must be at least 1, got {step_size}", where="StepDecay")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        factor = self.gamma ** (self.last_epoch // self.step_size)
        return [rate * factor for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """The position only; the configuration is the configuration's."""
        return _position(super().state_dict())


class ReduceOnPlateau(ReduceLROnPlateau):
    """Multiply the rate by ``factor`` when ``monitor`` stalls, and end training once it is below ``min_lr``.

    The protocol of Benchmarking GNNs (Dwivedi et al., JMLR 2023): ``min_lr`` ends the run, it is no floor.

    Args:
        optimizer: Its rates are the initial ones.
        max_epochs: Unused; every schedule is called alike.
        factor: Factor of a reduction.
        patience: Epochs without improvement that are tolerated.
        min_lr: Training ends when every rate is below it; 0 never ends it.
        monitor: The logged value watched.
        mode: Whether ``monitor`` should fall (``min``) or rise (``max``).
    """

    interval: Literal["epoch", "step"] = "epoch"

    def __init__(
        self,
        optimizer: Optimizer,
        max_epochs: int,
        factor: float = 0.5,
        patience: int = 10,
        min_lr: float = 0.0,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
    ) -> None:
        super().__init__(optimizer, mode=mode, factor=factor, patience=patience)
        self.stop_lr, self.monitor = min_lr, monitor

    @property
    def finished(self) -> bool:
        """Whether every rate has fallen below ``min_lr``."""
        return all(group["lr"] < self.stop_lr for group in self.optimizer.param_groups)

    def state_dict(self) -> dict[str, Any]:
        """The position only; the configuration is the configuration's."""
        return _position(super().state_dict())


_POSITION = {"last_epoch", "_step_count", "_last_lr", "base_lrs", "best", "num_bad_epochs", "cooldown_counter"}


def _position(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key in _POSITION}
