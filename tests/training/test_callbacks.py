"""Selection, early stopping, the guard against divergence, the history."""

from __future__ import annotations

import pytest
import torch
from lightning import Callback, Trainer
from torchmetrics import Metric

from gnnlab.errors import DataError
from gnnlab.training import (
    BEST,
    LAST,
    DivergenceError,
    GraphTask,
    History,
    LastCheckpoint,
    NaNGuard,
    ReduceOnPlateau,
    best_checkpoint,
    early_stopping,
    quiet_lightning,
)


def _fit(case, callbacks, max_epochs=6, task=None, ckpt_path=None, **options):
    task = task or GraphTask(case.model, case.task, lambda p: torch.optim.Adam(p, lr=0.05))
    with quiet_lightning():
        trainer = Trainer(
            max_epochs=max_epochs,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callbacks,
            **options,
        )
        trainer.fit(task, case.data, ckpt_path=ckpt_path)
    return trainer


class Constant(Metric):
    value = 0.0

    def update(self, pred, target):
        pass

    def compute(self):
        return torch.tensor(self.value)


class Scripted(Callback):
    """Replaces the validation metric of every epoch by a given value."""

    def __init__(self, name, values):
        self.name, self.values = name, values

    def on_fit_start(self, trainer, pl_module):
        pl_module.logged[self.name] = Constant()

    def on_train_epoch_start(self, trainer, pl_module):
        pl_module.logged[self.name].value = self.values[trainer.current_epoch]


@pytest.mark.parametrize(
    ("higher", "values", "best"),
    [(False, [3.0, 1.0, 2.0, 1.0], 1), (True, [0.1, 0.1, float("nan"), 0.1], 0), (True, [0.0, 0.3, 0.9, 0.5], 2)],
)
def test_the_first_best_epoch_is_kept(toys, tmp_path, higher, values, best):
    case = toys.graph()
    case.task = type(case.task)("graph", 2, "l1", "mae", higher_is_better=higher)
    history = History()
    chosen = best_checkpoint(case.task, tmp_path)
    _fit(case, [Scripted("val/mae", values), history, chosen, LastCheckpoint(tmp_path)], len(values))
    assert history.best_epoch(case.task) == best
    assert torch.load(tmp_path / BEST, weights_only=True)["epoch"] == best
    assert torch.load(tmp_path / LAST, weights_only=True)["epoch"] == len(values) - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, LAST]


@pytest.mark.parametrize(("seconds", "written"), [(0.0, [0, 1, 2, 3]), (3600.0, [0, 3])])
def test_the_last_checkpoint_is_written_now_and_then_and_at_the_end(toys, tmp_path, seconds, written):
    case, epochs = toys.graph(), []

    class Watch(Callback):
        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            epochs.append(trainer.current_epoch)

    _fit(case, [LastCheckpoint(tmp_path, seconds), Watch()], max_epochs=4)
    assert epochs == written
    assert torch.load(tmp_path / LAST, weights_only=True)["epoch"] == 3


def test_the_last_checkpoint_is_written_where_training_stops(toys, tmp_path):
    class Stop(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = trainer.current_epoch == 1

    _fit(toys.graph(), [LastCheckpoint(tmp_path, 3600.0), Stop()], max_epochs=4)
    assert torch.load(tmp_path / LAST, weights_only=True)["epoch"] == 1
    case = toys.graph()
    _fit(case, [LastCheckpoint(tmp_path, 3600.0)], max_epochs=None, max_steps=10)
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == 10


def test_early_stopping(toys):
    case, history = toys.graph(), History()
    values = [3.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    _fit(case, [Scripted("val/mae", values), history, early_stopping(case.task, patience=2)])
    assert history.num_epochs == 4


def test_a_plateau_ends_training_below_its_rate(toys):
    case, history = toys.graph(), History()

    def schedule(optimizer, epochs):
        return ReduceOnPlateau(optimizer, epochs, patience=0, min_lr=0.02, monitor="val/mae", factor=0.5)

    task = GraphTask(case.model, case.task, lambda p: torch.optim.Adam(p, lr=0.05), schedule)
    _fit(case, [Scripted("val/mae", [1.0] * 6), history], task=task)
    assert history.curves["lr"] == pytest.approx([0.05, 0.05, 0.025])


def test_a_plateau_that_ended_training_stays_ended(toys, tmp_path):
    def run(ckpt_path=None):
        case, history = toys.graph(), History()
        task = GraphTask(
            case.model,
            case.task,
            lambda p: torch.optim.Adam(p, lr=0.05),
            lambda optimizer, epochs: ReduceOnPlateau(optimizer, epochs, patience=0, min_lr=0.02, factor=0.1),
        )
        scripted = Scripted("val/loss", [1.0] * 6)
        _fit(case, [scripted, history, LastCheckpoint(tmp_path)], task=task, ckpt_path=ckpt_path)
        return history.num_epochs

    assert run() == run(tmp_path / LAST) == 2


@pytest.mark.parametrize("batch", [0, 2])
def test_a_diverged_run_ends_with_epoch_and_batch(toys, tmp_path, batch):
    class Poison(Callback):
        def on_train_batch_start(self, trainer, pl_module, data, batch_idx):
            if trainer.current_epoch == 1 and batch_idx == batch:
                data.x = data.x * torch.inf

    case = toys.graph()
    callbacks = [NaNGuard(), Poison(), LastCheckpoint(tmp_path)]
    with pytest.raises(DivergenceError, match=f"epoch 1, batch {batch}:"):
        _fit(case, callbacks)
    assert torch.load(tmp_path / LAST, weights_only=True)["epoch"] == 0


def test_an_empty_validation_split_is_named_before_training(toys):
    case = toys.graph()
    case.data.val = []
    with pytest.raises(DataError, match=r"validation split is empty.*val/mae"):
        _fit(case, [best_checkpoint(case.task)])


def test_history_has_holes_where_nothing_was_logged(toys):
    case, history, told = toys.graph(), History(), []
    history.on_epoch = lambda *report: told.append(report)
    _fit(case, [history], max_epochs=5, check_val_every_n_epoch=2)
    assert [value is None for value in history.curves["val/mae"]] == [True, False, True, False]
    assert len(history.curves["train/loss"]) == len(history.curves["seconds"]) == history.num_epochs == 5
    assert [report[:2] for report in told] == [(epoch, 5) for epoch in range(5)]
    assert [set(report[2]) for report in told][:2] == [
        {"train/loss", "lr"},
        {"train/loss", "lr", "val/loss", "val/mae"},
    ]
    assert history.seconds == pytest.approx(sum(history.curves["seconds"]))
    assert history.peak_memory > 0
    restored = History()
    restored.load_state_dict(history.state_dict())
    assert restored.curves == history.curves
