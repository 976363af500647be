"""train_and_evaluate: selection, interruption, resumption, splits with holes."""

from __future__ import annotations

import signal

import pytest
import torch
from lightning import Callback, seed_everything

from gnnlab.errors import DataError
from gnnlab.training import BEST, GraphTask, Interrupted, train_and_evaluate


def _run(make, folder, **options):
    seed_everything(7, verbose=False)
    case = make()
    task = GraphTask(case.model, case.task, lambda p: torch.optim.Adam(p, lr=0.02))
    options = {"max_epochs": 5, "accelerator": "cpu"} | options
    return train_and_evaluate(task, case.data, folder, **options), case, task


class Stop(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 2:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("level", ["graph", "node", "link"])
def test_the_test_value_is_the_one_of_the_best_epoch(toys, tmp_path, level):
    result, case, task = _run(getattr(toys, level), tmp_path)
    curve = result.curves[f"val/{result.metric}"]
    choose = max if case.task.higher_is_better else min
    assert result.val == choose(curve)
    assert curve.index(result.val) == result.best_epoch
    assert result.epochs == 5
    assert result.parameters == sum(p.numel() for p in case.model.parameters())
    # The weights of the best epoch are the ones that were tested, and are left in the task.
    saved = torch.load(tmp_path / BEST, weights_only=True)["state_dict"]
    assert all(torch.equal(saved[name], value) for name, value in task.state_dict().items())
    metric = task.logged[f"test/{result.metric}"]
    metric.reset()
    for index, batch in enumerate(case.data.test_dataloader()):
        task.eval()
        if level == "link":
            task._links(task(batch), batch, index, "test")
        else:
            mask = batch.test_mask if level == "node" else slice(None)
            metric.update(task(batch)[mask], batch.y[mask])
    assert metric.compute().item() == pytest.approx(result.test)


def test_interrupted_and_resumed_equals_uninterrupted(toys, tmp_path):
    whole, *_ = _run(toys.graph, tmp_path / "whole")
    with pytest.raises(Interrupted, match="SIGTERM after 3 of 5 epochs") as stopped:
        _run(toys.graph, tmp_path / "part", callbacks=[Stop()])
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    resumed, *_ = _run(toys.graph, tmp_path / "part")
    assert (resumed.val, resumed.test, resumed.best_epoch) == (whole.val, whole.test, whole.best_epoch)
    for name in set(whole.curves) - {"seconds"}:
        assert resumed.curves[name] == whole.curves[name], name


def test_a_finished_run_is_not_trained_again(toys, tmp_path):
    first, *_ = _run(toys.graph, tmp_path, patience=1, max_epochs=40)
    assert first.epochs < 40
    told = []
    second, *_ = _run(toys.graph, tmp_path, patience=1, max_epochs=40, on_epoch=lambda *r: told.append(r))
    assert second == first
    assert not told


def test_a_run_killed_after_its_last_epoch_trains_no_further_one(toys, tmp_path):
    first, *_ = _run(toys.graph, tmp_path, patience=1, max_epochs=40)
    (tmp_path / "fitted.json").unlink()
    second, *_ = _run(toys.graph, tmp_path, patience=1, max_epochs=40)
    assert second == first


def test_without_a_test_split_there_is_no_test_value(toys, tmp_path):
    def no_loader():
        case = toys.graph()
        case.data.test = []
        return case

    def no_label():
        case = toys.node()
        case.graph.test_mask = torch.zeros(30, dtype=torch.bool)
        return case

    assert _run(no_loader, tmp_path / "a")[0].test is None
    assert _run(no_label, tmp_path / "b")[0].test is None


def test_without_validation_nothing_is_selected(toys, tmp_path):
    def no_loader():
        case = toys.graph()
        case.data.val = []
        return case

    def no_label():
        case = toys.node()
        case.graph.val_mask = torch.zeros(30, dtype=torch.bool)
        return case

    with pytest.raises(DataError, match="validation split is empty"):
        _run(no_loader, tmp_path / "a")
    with pytest.raises(DataError, match="undefined in every epoch"):
        _run(no_label, tmp_path / "b")
