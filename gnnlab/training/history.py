"""The learning curves, the clock and the memory of a run, kept in its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

from lightning import Callback, LightningModule, Trainer

from gnnlab.data.task import TaskSpec
from gnnlab.training._memory import peak_memory, reset_peak_memory

__all__ = ["EpochListener", "History"]

EpochListener: TypeAlias = Callable[[int, int, dict[str, float]], None]
"""Called after every epoch with its index, the number of epochs, and the values logged in it."""


class History(Callback):
    """Every logged value per epoch, seconds per epoch, and peak memory; resumption continues all of them.

    Attributes:
        curves: Name -> value of every epoch, ``None`` where nothing was logged (such as an epoch without
            validation). ``seconds`` is the duration of the epoch, validation included.
        peak_memory: Bytes; on a GPU what was allocated, else the largest resident size of the process.

    Args:
        on_epoch: Told about every epoch, for progress displays.
    """

    def __init__(self, on_epoch: EpochListener | None = None) -> None:
        self.curves: dict[str, list[float | None]] = {}
        self.peak_memory = 0
        self.on_epoch = on_epoch
        self._since = 0.0
        self._validated = False

    @property
    def seconds(self) -> float:
        """Duration of all epochs."""
        return sum(value for value in self.curves.get("seconds", []) if value is not None)

    @property
    def num_epochs(self) -> int:
        return max(map(len, self.curves.values()), default=0)

    def best_epoch(self, task: TaskSpec) -> int:
        """Epoch of the best validation metric, the first of equals; -1 if there is none (or only NaN)."""
        curve = self.curves.get(f"val/{task.metric}", [])
        # NaN compares false with everything, so it is left out rather than ranked.
        ranked = {epoch: value for epoch, value in enumerate(curve) if value is not None and value == value}
        choose = max if task.higher_is_better else min
        return choose(ranked, key=ranked.__getitem__, default=-1)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        reset_peak_memory(trainer.strategy.root_device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning keeps the last value of everything; only what this epoch logged belongs here.
        logged = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self._validated or not name.startswith("val/")
        }
        epoch = trainer.current_epoch
        for name, value in {**logged, "seconds": time.perf_counter() - self._since}.items():
            curve = self.curves.setdefault(name, [])
            curve[epoch:] = [None] * (epoch - len(curve)) + [value]
        self.peak_memory = max(self.peak_memory, peak_memory(trainer.strategy.root_device))
        if self.on_epoch is not None:
            self.on_epoch(epoch, trainer.max_epochs or 0, logged)

    def state_dict(self) -> dict[str, Any]:
        curves = {name: list(curve) for name, curve in self.curves.items()}
        return {"curves": curves, "peak_memory": self.peak_memory}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curves = {name: list(curve) for name, curve in state_dict["curves"].items()}
        self.peak_memory = state_dict["peak_memory"]
