"""Stopping a run from outside without losing or bending it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from gnnlab.errors import GnnlabError

__all__ = ["GracefulStop", "Interrupted"]


class Interrupted(GnnlabError, RuntimeError):
    """A run that was stopped by a signal and can be continued; ``exit_code`` is 128 + the signal."""

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None, signum: int = 2) -> None:
        super().__init__(what, where=where, hint=hint)
        self.exit_code = 128 + signum


class GracefulStop(Callback):
    """Finish the epoch, write its checkpoint, and end: what the first SIGINT or SIGTERM means in training.

    The handler sets a flag and nothing else. The epoch is completed because only a checkpoint at its end is
    resumed exactly; the checkpoints of earlier epochs are on disk in any case. A second signal acts as it
    would have without this callback, unless it follows so closely that it is the first one delivered twice
    (by the terminal and by a launcher). Handlers are in place during training only, in the main thread only.

    Attributes:
        received: The signal that ended the last fit, or ``None``.

    Args:
        signals: Those that are handled.
        patience: Seconds within which further signals count as the first one.
    """

    def __init__(self, signals: Sequence[int] = (signal.SIGINT, signal.SIGTERM), patience: float = 1.0) -> None:
        self.signals, self.patience = tuple(signals), patience
        self.received: signal.Signals | None = None
        self._announced = False
        self._since = 0.0
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.received, self._announced = None, False
        if threading.current_thread() is threading.main_thread():
            self._previous = {signum: signal.signal(signum, self._remember) for signum in self.signals}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if self.received is not None and not self._announced:
            self._announced = True
            rank_zero_info(f"{self.received.name}: finishing the epoch; send it again to stop at once")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # All processes have to agree, or one would wait for the others forever.
        if trainer.strategy.reduce_boolean_decision(self.received is not None, all=False):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _remember(self, signum: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._since = signal.Signals(signum), time.monotonic()
        elif time.monotonic() - self._since >= self.patience:
            self._restore()
            signal.raise_signal(signum)

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}
