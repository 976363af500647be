"""What a training step that is one unit cannot do, said before it is tried."""

from __future__ import annotations

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.optim import Optimizer

from gnnlab.errors import ConfigError

__all__ = ["refuse_optimizer", "refuse_trainer"]

_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "64-true")
_SKIPPED_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad")


def refuse_trainer(trainer: Trainer, task: LightningModule) -> None:
    """Raises ConfigError: the trainer does something between the parts of a step, or on several devices."""
    hooked = [
        f"{type(owner).__name__}.{hook}"
        for owner in (*trainer.callbacks, task)
        for hook in _SKIPPED_HOOKS
        if hook in _overridden(type(owner))
    ]
    hooked += [
        type(callback).__name__
        for callback in trainer.callbacks
        if isinstance(callback, (GradientAccumulationScheduler, StochasticWeightAveraging))
    ]
    reasons = {
        f"strategy {type(trainer.strategy).__name__}": not isinstance(trainer.strategy, SingleDeviceStrategy),
        f"accumulate_grad_batches={trainer.accumulate_grad_batches}": trainer.accumulate_grad_batches != 1,
        f"precision={trainer.precision}": trainer.precision not in _PRECISIONS,
        "detect_anomaly": trainer._detect_anomaly,
        f"{', '.join(hooked)} between its parts": bool(hooked),
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        raise ConfigError(
            f"a training step cannot be one unit with {' and '.join(found)}",
            where="model.capture",
            hint="change the trainer's setting, or set model.capture=false",
        )


def refuse_optimizer(optimizer: Optimizer) -> None:
    """Raises ConfigError: the optimiser looks at values on the host."""
    if "capturable" not in optimizer.defaults:
        raise ConfigError(
            f"{type(optimizer).__name__} needs the host at every step",
            where="model.capture",
            hint="use torch.optim.Adam, AdamW or another one with the option 'capturable'",
        )


def _overridden(cls: type) -> set[str]:
    """Names defined between a class and Lightning's own bases."""
    return {name for base in cls.__mro__ if not base.__module__.startswith("lightning.") for name in vars(base)}
