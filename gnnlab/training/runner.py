"""From a task and its data to one result: train, select on validation, test once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning import Callback, LightningDataModule, Trainer

from gnnlab.errors import DataError
from gnnlab.training.callbacks import (
    BEST,
    LAST,
    LastCheckpoint,
    NaNGuard,
    best_checkpoint,
    early_stopping,
)
from gnnlab.training.history import EpochListener, History
from gnnlab.training.interrupt import GracefulStop, Interrupted
from gnnlab.training.quiet import quiet_lightning
from gnnlab.training.task import GraphTask
from gnnlab.typing import PathLike

__all__ = ["RunResult", "train_and_evaluate"]

_FITTED = "fitted.json"


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Args:
        metric: Name of the task's metric.
        val: Its best validation value.
        test: Its test value with the weights of that epoch; ``None`` if the split has no test part or no
            label in it.
        best_epoch: That epoch (counted from 0, the first of equals).
        epochs: Epochs trained.
        curves: Every logged value per epoch, see :class:`~gnnlab.training.history.History`.
        seconds: Duration of all epochs.
        parameters: Trainable parameters.
        peak_memory: Bytes, see :class:`~gnnlab.training.history.History`.
        checkpoint: Path of the weights of the best epoch.
    """

    metric: str
    val: float
    test: float | None
    best_epoch: int
    epochs: int
    curves: dict[str, list[float | None]]
    seconds: float
    parameters: int
    peak_memory: int
    checkpoint: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def train_and_evaluate(
    task: GraphTask,
    data: LightningDataModule,
    folder: PathLike,
    *,
    max_epochs: int,
    patience: int | None = None,
    on_epoch: EpochListener | None = None,
    callbacks: Sequence[Callback] = (),
    **trainer: Any,
) -> RunResult:
    """Train ``task``, choose the epoch with the best validation metric, and test that epoch.

    A folder in which a run was interrupted is continued from the last epoch kept (bit for bit on a CPU);
    one in which training was finished is only tested again. A changed configuration needs another folder.

    Args:
        task: Model and task.
        data: Its loaders.
        folder: Of this run alone; gets ``last.ckpt`` and ``best.ckpt``.
        max_epochs: Epochs to train.
        patience: Validations without improvement after which training ends; never by default.
        on_epoch: Told about every epoch, for progress displays.
        callbacks: Further Lightning callbacks.
        **trainer: Further options of Lightning's ``Trainer`` (``precision``, ``gradient_clip_val``, ...).

    Raises:
        Interrupted: a signal ended training; the same call continues it.
        DivergenceError: the training loss was not finite.
        DataError: the validation split is empty, or its metric was undefined in every epoch.
    """
    folder = Path(folder)
    history, stop = History(on_epoch), GracefulStop()
    every = [history, NaNGuard(), stop, *callbacks]
    if patience is not None:
        every.append(early_stopping(task.task, patience))
    every += [best_checkpoint(task.task, folder), LastCheckpoint(folder)]
    # Tensors made in inference mode and kept (the union of a single graph, its CSR) could not be trained on.
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "inference_mode": False}
    with quiet_lightning():
        runner = Trainer(max_epochs=max_epochs, default_root_dir=folder, callbacks=every, **(options | trainer))
        if (folder / _FITTED).is_file():
            history.load_state_dict(json.loads((folder / _FITTED).read_text()))
        else:
            _fit(runner, task, data, folder, stop)
            _write(folder / _FITTED, history.state_dict())
        return _test(runner, task, data, folder, history)


def _fit(runner: Trainer, task: GraphTask, data: LightningDataModule, folder: Path, stop: GracefulStop) -> None:
    last = folder / LAST
    runner.fit(task, datamodule=data, ckpt_path=last if last.is_file() else None)
    if stop.received is not None and runner.current_epoch < runner.max_epochs:
        raise Interrupted(
            f"stopped by {stop.received.name} after {runner.current_epoch} of {runner.max_epochs} epochs",
            where=str(folder),
            hint="run the same command again to continue",
            signum=stop.received,
        )


def _test(runner: Trainer, task: GraphTask, data: LightningDataModule, folder: Path, history: History) -> RunResult:
    spec, best = task.task, history.best_epoch(task.task)
    if best < 0:
        raise DataError(
            f"val/{spec.metric} was undefined in every epoch, so there is no best one",
            where=str(folder),
            hint="the validation split has no labels, or only one class",
        )
    results = runner.test(task, datamodule=data, ckpt_path=folder / BEST, verbose=False)
    test = results[0].get(f"test/{spec.metric}", math.nan) if results else math.nan
    return RunResult(
        metric=spec.metric,
        val=history.curves[f"val/{spec.metric}"][best],
        test=None if math.isnan(test) else test,
        best_epoch=best,
        epochs=history.num_epochs,
        curves=history.curves,
        seconds=history.seconds,
        parameters=sum(p.numel() for p in task.parameters() if p.requires_grad),
        peak_memory=history.peak_memory,
        checkpoint=str(folder / BEST),
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(content))
    os.replace(partial, path)
