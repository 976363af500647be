"""The callbacks of a run: best and last checkpoint, early stopping, a guard against divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor

from gnnlab.data.task import TaskSpec
from gnnlab.errors import GnnlabError
from gnnlab.training.history import History
from gnnlab.training.interrupt import GracefulStop
from gnnlab.typing import PathLike

__all__ = [
    "BEST",
    "LAST",
    "DivergenceError",
    "LastCheckpoint",
    "NaNGuard",
    "best_checkpoint",
    "default_callbacks",
    "early_stopping",
]

BEST = "best.ckpt"
LAST = "last.ckpt"


class DivergenceError(GnnlabError, ArithmeticError):
    """Training produced a loss that is not a finite number."""


class NaNGuard(Callback):
    """End a diverged run at the end of the epoch, before its checkpoint replaces a good one.

    The first bad batch is tracked on the device, so no step waits for it.

    Raises:
        DivergenceError: a training loss was NaN or infinite.
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._first = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        if loss is None:
            return
        bad = torch.where(loss.detach().isfinite(), torch.inf, float(batch_idx))
        self._first = bad if self._first is None else torch.minimum(self._first, bad)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        first = torch.inf if self._first is None else self._first.item()
        if first != torch.inf:
            raise DivergenceError(
                "the training loss is not finite",
                where=f"epoch {trainer.current_epoch}, batch {int(first)}",
                hint="lower the learning rate, set trainer.gradient_clip_val, or look for the operation with "
                "trainer.detect_anomaly",
            )


def best_checkpoint(task: TaskSpec, folder: PathLike | None = None) -> ModelCheckpoint:
    """Keep the weights of the best epoch by ``val/<metric>`` as ``best.ckpt``; the first of equals wins.

    Args:
        task: Names the metric and its direction.
        folder: Where the file goes; by default the logger's folder.
    """
    return ModelCheckpoint(
        dirpath=folder,
        filename=BEST.removesuffix(".ckpt"),
        monitor=f"val/{task.metric}",
        mode=task.mode,
        save_weights_only=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


class LastCheckpoint(ModelCheckpoint):
    """Write everything a resumed run needs as ``last.ckpt``, at the end of epochs ``seconds`` apart and of training.

    Short epochs would otherwise spend more time on it than on learning; a killed run repeats a few seconds, to the
    same bits. A callback of its own: ``ModelCheckpoint(save_last=True)`` with a monitor writes only when the
    monitored value improves. It has to come after :func:`best_checkpoint`, whose state it stores.

    Args:
        folder: Where the file goes; by default the logger's folder.
        seconds: Least time between two files; 0 writes after every epoch.
    """

    def __init__(self, folder: PathLike | None = None, seconds: float = 5.0) -> None:
        super().__init__(
            dirpath=folder,
            filename=LAST.removesuffix(".ckpt"),
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.seconds = seconds
        self._written = -math.inf

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs or 0 <= trainer.max_steps <= trainer.global_step
        due = last or trainer.should_stop or time.monotonic() - self._written >= self.seconds
        # Clocks differ, and all processes have to take part in a checkpoint.
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            super().on_train_epoch_end(trainer, pl_module)
            self._written = time.monotonic()


def early_stopping(task: TaskSpec, patience: int) -> EarlyStopping:
    """End training when ``val/<metric>`` has not improved for ``patience`` validations."""
    return EarlyStopping(f"val/{task.metric}", mode=task.mode, patience=patience, check_finite=False)


def default_callbacks(task: TaskSpec, folder: PathLike | None = None) -> list[Callback]:
    """What every run should have: history, guard, graceful stop, best and last checkpoint.

    Args:
        task: Names the metric and its direction.
        folder: Where the checkpoints go; by default the logger's folder.
    """
    return [History(), NaNGuard(), GracefulStop(), best_checkpoint(task, folder), LastCheckpoint(folder)]
