"""Targets standardised by training statistics: the loss in their units, everything reported in the data's."""

from __future__ import annotations

import pytest
import torch
from lightning import LightningDataModule, Trainer, seed_everything

from gnnlab.data.loader import GraphLoader
from gnnlab.data.store import GraphStore
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError
from gnnlab.training import GraphTask, TargetScaling, train_and_evaluate

TASK = TaskSpec("graph", 2, "mse", "mae", higher_is_better=False)


class Stored(LightningDataModule):
    """24 rings, whose targets are far from 0 and of very different scale; those of validation and test are wild."""

    def __init__(self, graphs):
        super().__init__()
        for graph in graphs:
            graph.y = graph.y * torch.tensor([100.0, 0.01]) + torch.tensor([1000.0, -3.0])
        parts = dict(zip(("train", "val", "test"), torch.arange(24).split([16, 4, 4]), strict=True))
        for index in (*parts["val"], *parts["test"]):
            graphs[index].y = graphs[index].y + 500.0
        self.store = GraphStore.from_data_list(graphs, name="toy").replace(folds={"own": [parts]}).with_fold("own", 0)

    def _loader(self, part, **options):
        return GraphLoader(self.store, 4, index=self.store.splits[part], **options)

    def train_dataloader(self):
        return self._loader("train", shuffle=True)

    def val_dataloader(self):
        return self._loader("val")

    def test_dataloader(self):
        return self._loader("test")


def setup(toys):
    seed_everything(1, verbose=False)
    case = toys.graph()
    return GraphTask(case.model, TASK, standardise=True), Stored(case.data.train + case.data.val + case.data.test)


def test_a_run_reports_original_units(toys, tmp_path):
    task, data = setup(toys)
    result = train_and_evaluate(task, data, tmp_path, max_epochs=3, accelerator="cpu")
    y = data.store.column("y")[:16].double()
    torch.testing.assert_close(task.scaling.mean.double(), y.mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(task.scaling.std.double(), y.std(0, correction=0), rtol=1e-6, atol=0)
    # Trained in its own units: a model whose outputs are around 0 has a loss around 1, not around 1e6.
    assert result.curves["train/loss"][0] < 5
    fresh = setup(toys)[0]
    fresh.load_state_dict(torch.load(result.checkpoint, weights_only=True)["state_dict"])
    fresh.eval()
    batch = data.store[data.store.splits["test"]]
    prediction = fresh.predict_step(batch)
    torch.testing.assert_close(prediction, fresh.scaling.mean + fresh.scaling.std * fresh.model(batch))
    error = (prediction - batch.y).abs().mean(0).mean().item()
    assert result.test == pytest.approx(error, rel=1e-5)
    assert result.test > 100


def test_the_loss_is_that_of_standardised_targets(toys):
    task, data = setup(toys)
    task.scaling.fit(data.store.column("y")[:16])
    batch = data.store[[0, 1, 2]]
    task.eval()
    loss, _ = task._loss(batch, 0, "train")
    y = (batch.y - task.scaling.mean) / task.scaling.std
    torch.testing.assert_close(loss, (task.model(batch) - y).square().mean())


def test_missing_labels_and_constant_targets():
    scaling = TargetScaling(2)
    scaling.fit(torch.tensor([[1.0, 7.0], [torch.nan, 7.0], [3.0, torch.nan]]))
    assert scaling.mean.tolist() == [2.0, 7.0]
    assert scaling.std.tolist() == [1.0, 1.0]
    scaled = scaling.scaled(torch.tensor([[torch.nan, 8.0]]))
    assert scaled[0, 0].isnan()
    assert scaled[0, 1] == 1.0
    with pytest.raises(DataError, match="target 1 has no label"):
        scaling.fit(torch.tensor([[1.0, torch.nan]]))
    one = TargetScaling(1)
    one.fit(torch.tensor([1.0, 3.0]))
    assert one.scaled(torch.tensor([1.0, 3.0])).tolist() == [-1.0, 1.0]
    assert one.restored(torch.tensor([[1.0]])).tolist() == [[3.0]]


def test_what_cannot_be_standardised_is_named(toys):
    for task in (TaskSpec("graph", 2, "bce", "ap"), TaskSpec("node", 2, "mse", "mae", False)):
        with pytest.raises(ConfigError, match="can be standardised"):
            GraphTask(toys.graph().model, task, standardise=True)
    case = toys.graph()
    task = GraphTask(case.model, case.task, standardise=True)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    with pytest.raises(ConfigError, match="need a GraphDataModule"):
        Trainer(max_epochs=1, enable_checkpointing=False, **quiet).fit(task, datamodule=case.data)
