"""A run interrupted after any epoch and resumed is the uninterrupted run, bit for bit."""

from __future__ import annotations

import signal

import pytest
import torch
from lightning import Callback, Trainer, seed_everything

from gnnlab.training import (
    LAST,
    CosineWithWarmup,
    GracefulStop,
    GraphTask,
    ReduceOnPlateau,
    StepDecay,
    default_callbacks,
    quiet_lightning,
)

SCHEDULES = {
    "constant": None,
    "cosine": lambda optimizer, epochs: CosineWithWarmup(optimizer, epochs, warmup_epochs=1),
    "per_step": lambda optimizer, epochs: CosineWithWarmup(optimizer, epochs, warmup_epochs=1, per_step=True),
    "steps": lambda optimizer, epochs: StepDecay(optimizer, epochs, step_size=2),
    # A patience below the noise, so that every epoch matters.
    "plateau": lambda optimizer, epochs: ReduceOnPlateau(optimizer, epochs, patience=0, mode="max"),
}


class SignalAt(Callback):
    def __init__(self, epoch, signum=signal.SIGINT):
        self.epoch, self.signum = epoch, signum

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            signal.raise_signal(self.signum)


def _run(make, folder, schedule, *, extra=(), ckpt_path=None, patience=1.0):
    seed_everything(3, verbose=False)
    case = make()
    task = GraphTask(case.model, case.task, lambda p: torch.optim.AdamW(p, lr=0.01), SCHEDULES[schedule])
    callbacks = default_callbacks(case.task, folder)
    next(callback for callback in callbacks if isinstance(callback, GracefulStop)).patience = patience
    with quiet_lightning():
        trainer = Trainer(
            max_epochs=5,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            inference_mode=False,
            callbacks=[*callbacks, *extra],
        )
        trainer.fit(task, case.data, ckpt_path=ckpt_path)
    curves = {name: curve for name, curve in callbacks[0].curves.items() if name != "seconds"}
    return curves, case.model.state_dict(), trainer


def _assert_same(one, other):
    assert one[0] == other[0]
    for name, value in one[1].items():
        assert torch.equal(value, other[1][name]), name


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_resumed_equals_uninterrupted(toys, tmp_path, schedule):
    whole = _run(toys.graph, tmp_path / "whole", schedule)
    assert len(whole[0]["train/loss"]) == 5
    part = _run(toys.graph, tmp_path / "part", schedule, extra=[SignalAt(1)])
    assert len(part[0]["train/loss"]) == 2
    resumed = _run(toys.graph, tmp_path / "part", schedule, ckpt_path=tmp_path / "part" / LAST)
    _assert_same(resumed, whole)


@pytest.mark.parametrize("level", ["node", "link"])
def test_resumed_after_every_epoch(toys, tmp_path, level):
    make = getattr(toys, level)
    whole = _run(make, tmp_path / "whole", "cosine")
    ckpt_path = None
    for epoch in range(5):
        # Single-batch epochs: the signal comes with their only batch.
        stop = SignalAt(epoch)
        stop.on_train_batch_end = lambda trainer, *_, e=epoch: (
            signal.raise_signal(signal.SIGTERM) if trainer.current_epoch == e else None
        )
        part = _run(make, tmp_path / "part", "cosine", extra=[stop], ckpt_path=ckpt_path)
        ckpt_path = tmp_path / "part" / LAST
        assert part[2].current_epoch == epoch + 1
    _assert_same(part, whole)


def test_two_epochs_of_one_run_draw_different_numbers(toys, tmp_path):
    drawn = []

    class Draw(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            drawn.append(bytes(torch.get_rng_state()))

    _run(toys.graph, tmp_path, "constant", extra=[Draw()])
    assert len(set(drawn)) == len(drawn) == 5 * 4


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_epoch_and_leaves_a_checkpoint(toys, tmp_path, signum):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    curves, _, trainer = _run(toys.graph, tmp_path, "constant", extra=[SignalAt(0, signum)])
    stop = next(callback for callback in trainer.callbacks if isinstance(callback, GracefulStop))
    assert stop.received == signum
    assert trainer.current_epoch == 1
    assert {name: len(curve) for name, curve in curves.items()} == dict.fromkeys(curves, 1)
    assert torch.load(tmp_path / LAST, weights_only=True)["epoch"] == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


class Twice(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 0 and batch_idx == 0:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def _interruptible():
    """Whoever starts the tests in the background may have told them to ignore this signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_a_later_second_signal_stops_at_once(toys, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit):
        _run(toys.graph, tmp_path, "constant", extra=[Twice()], patience=0.0)
    assert not (tmp_path / LAST).exists()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_signal_delivered_twice_is_one(toys, tmp_path):
    curves, *_ = _run(toys.graph, tmp_path, "constant", extra=[Twice()])
    assert len(curves["train/loss"]) == 1
