"""A whole training step as one replayable unit, within Lightning's automatic optimisation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch_geometric.data import Data

from gnnlab.nn.norm import real_rows
from gnnlab.training._refusals import refuse_optimizer, refuse_trainer
from gnnlab.training.static import Recorder, StaticStep

__all__ = ["Capturable", "CapturedStep"]

Loss: TypeAlias = Callable[[Data], tuple[Tensor, Tensor]]


class CapturedStep:
    """Zero the gradients, forward, loss, backward, clip, step the optimiser: one program per shape of batch.

    On a GPU every shape becomes a CUDA graph, so a step costs one launch and the host runs ahead of the device;
    on a CPU the same program is called. Learning rates are read from tensors that are set before every step, so
    schedules work; parameters, optimiser and its options stay ordinary.

    Args:
        task: Attached to its trainer, which has set up its optimiser.
        loss: Loss and its weight from a batch.
        recorder: As in :class:`~gnnlab.training.static.StaticStep`.

    Raises:
        ConfigError: trainer, optimiser or model need something a recorded step does not do.
    """

    def __init__(self, task: LightningModule, loss: Loss, recorder: Recorder | None = None) -> None:
        refuse_trainer(task.trainer, task)
        self._task, self._loss = task, loss
        self._optimizer = task.trainer.optimizers[0]
        refuse_optimizer(self._optimizer)
        self._rates: list[Tensor] | None = None
        if task.device.type == "cuda":
            self._rates = [torch.zeros((), device=task.device) for _ in self._optimizer.param_groups]
        self._step = StaticStep(self._program, recorder)

    def __call__(self, batch: Data) -> tuple[Tensor, Tensor]:
        """Train on a batch; loss and weight stay valid until the next call."""
        for rate, group in zip(self._rates or (), self._optimizer.param_groups, strict=False):
            rate.fill_(group["lr"])
        return self._step(batch)

    def _program(self, batch: Data) -> tuple[Tensor, Tensor]:
        task, trainer = self._task, self._task.trainer
        self._optimizer.zero_grad(set_to_none=True)
        with real_rows(task, batch.get("padding")):
            loss, weight = self._loss(batch)
        # Lightning's autocast is around the whole program, but serves the forward pass alone.
        with torch.autocast(task.device.type, enabled=False):
            loss.backward()
            task.configure_gradient_clipping(
                self._optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
            )
            with _on_device(self._optimizer, self._rates):
                self._optimizer.step()
        return loss.detach(), weight


@contextmanager
def _on_device(optimizer: Optimizer, rates: list[Tensor] | None) -> Iterator[None]:
    """Within the block, the optimiser asks the host for nothing: rates and step counts are on the device."""
    if rates is None:
        yield
        return
    kept = [(group["lr"], group["capturable"]) for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"], group["capturable"] = rate, True
    for state in optimizer.state.values():
        if state["step"].device != rates[0].device:
            state["step"] = state["step"].to(rates[0].device)
    try:
        with warnings.catch_warnings():
            # The first steps are not recorded, and torch wonders why.
            warnings.filterwarnings("ignore", ".*capturable=True.*")
            yield
    finally:
        for group, (rate, capturable) in zip(optimizer.param_groups, kept, strict=True):
            group["lr"], group["capturable"] = rate, capturable


def _portable_states(checkpoint: dict[str, Any]) -> None:
    """Step counts of the optimisers of a checkpoint go back to the host, where an ordinary run expects them."""
    for optimizer in checkpoint.get("optimizer_states", ()):
        # New dictionaries: these hold the very tensors a recorded step counts in.
        optimizer["state"] = {key: {**state, "step": state["step"].cpu()} for key, state in optimizer["state"].items()}


class Capturable(LightningModule):
    """A module whose training step may be one unit: then Lightning goes through its motions, and nothing is left to do.

    Automatic optimisation it stays: schedules, counters, checkpoints and clipping options are those of any run.

    Attributes:
        captured: The unit, which ``training_step`` calls, while there is one.
    """

    captured: CapturedStep | None = None

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self.captured is None:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        if self.captured is None:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        if self.captured is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        else:
            optimizer_closure()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.captured is not None:
            _portable_states(checkpoint)

    def on_train_end(self) -> None:
        self.captured = None
