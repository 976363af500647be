"""Ways to train: the plain loop everybody writes, and Lightning's. Both are timed in turns of a few steps."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import record_function
from torch_geometric.data import Batch

from gnnlab.training import GraphTask, default_callbacks
from gnnlab.training.quiet import quiet_lightning

__all__ = ["REGIONS", "Loop", "TrainerLoop", "endless"]

REGIONS = ("loading", "optimiser")
"""Parts of a step that a profile shows by themselves."""

Loss = Callable[[Tensor, Tensor], Tensor]


def endless(loader: Iterable[Batch]) -> Iterator[Batch]:
    """One epoch after the other."""
    while True:
        yield from loader


class Loop:
    """Batch, forward pass, loss, gradients, clipping, step.

    Args:
        model: The network, on its device.
        batches: Endless; where they are put together on the CPU they are moved.
        loss: (predictions, targets) -> scalar.
        optimizer: Of the model's parameters.
        clip: Largest norm of all gradients; ``None`` for any.
        device: Where the model is.
        within: Makes the context of a turn, such as a choice of the backend.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterator[Batch],
        loss: Loss,
        optimizer: Optimizer,
        clip: float | None,
        device: str = "cpu",
        within: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self.model, self.batches, self.loss, self.optimizer = model, batches, loss, optimizer
        self.clip, self.device, self.within = clip, device, within

    def turn(self, steps: int, unseen: int) -> float:
        """Seconds of ``steps`` steps after ``unseen`` ones that are not timed."""
        with self.within():
            self.model.train()
            self._steps(unseen)
            start = _clock(self.device)
            self._steps(steps)
            return _clock(self.device) - start

    def _steps(self, count: int) -> None:
        loading, optimiser = REGIONS
        for _ in range(count):
            with record_function(loading):
                batch = next(self.batches)
                if batch.x.device.type != self.device:
                    batch = batch.to(self.device)
            self.loss(self.model(batch), batch.y).backward()
            with record_function(optimiser):
                if self.clip is not None:
                    nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
                self.optimizer.step()
                self.optimizer.zero_grad()


class TrainerLoop:
    """The same steps through Lightning's trainer and :class:`~gnnlab.training.GraphTask`, with the standard
    callbacks except those that write checkpoints.

    Args:
        task: Network, loss and optimiser.
        batches: Endless.
        clip: As of :class:`Loop`.
        device: ``cpu`` or ``cuda``.
        folder: Where the trainer may write.
    """

    def __init__(self, task: GraphTask, batches: Iterator[Batch], clip: float | None, device: str, folder: str) -> None:
        self.task, self.batches, self.clip, self.device, self.folder = task, batches, clip, device, folder

    def turn(self, steps: int, unseen: int) -> float:
        """As of :class:`Loop`; without unseen steps a whole epoch is timed, with what is done at its ends."""
        clock = _Clock(self.device, steps, unseen)
        standard = [each for each in default_callbacks(self.task.task) if not isinstance(each, Checkpoint)]
        with quiet_lightning():
            warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")
            trainer = Trainer(
                accelerator=self.device,
                devices=1,
                max_epochs=1,
                limit_val_batches=0,
                gradient_clip_val=self.clip,
                callbacks=[*standard, clock],
                default_root_dir=self.folder,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(self.task, train_dataloaders=_Some(self.batches, unseen + steps))
        return clock.seconds


class _Some:
    """The next few of endless batches."""

    def __init__(self, batches: Iterator[Batch], count: int) -> None:
        self.batches, self.count = batches, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        return (next(self.batches) for _ in range(self.count))


class _Clock(Callback):
    """Seconds from the end of the last unseen step to that of the last one, or of a whole epoch."""

    def __init__(self, device: str, steps: int, unseen: int) -> None:
        self.device, self.last, self.unseen = device, unseen + steps - 1, unseen
        self.start = self.seconds = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start = _clock(self.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == self.unseen - 1:
            self.start = _clock(self.device)
        elif batch_idx == self.last:
            self.seconds = _clock(self.device) - self.start

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.unseen:
            self.seconds = _clock(self.device) - self.start


def _clock(device: str) -> float:
    """Now, with everything done that was asked of the device."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
