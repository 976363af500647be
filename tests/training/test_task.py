"""GraphTask: what it trains, logs and evaluates on every level."""

from __future__ import annotations

import csv

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch_geometric.data import Batch, Data

from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError
from gnnlab.metrics import MRR
from gnnlab.training import CosineWithWarmup, GraphTask, quiet_lightning


def trainer(**options):
    defaults = {"max_epochs": 1, "logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(**(defaults | quiet | {"inference_mode": False} | options))


class Identity(nn.Module):
    """The features are the predictions; the parameter only gives the optimiser something to hold."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return batch.x + self.shift


def test_every_level_logs_and_evaluates_the_same_twice(any_level):
    task = GraphTask(any_level.model, any_level.task, lambda params: torch.optim.Adam(params, lr=0.02))
    with quiet_lightning():
        runs = trainer(max_epochs=2)
        runs.fit(task, any_level.data)
        name = any_level.task.metric
        logged = dict(runs.callback_metrics)
        again = GraphTask(any_level.model, any_level.task)
        validated = trainer().validate(again, any_level.data, verbose=False)[0]
        tested = runs.test(task, any_level.data, verbose=False)[0]
    assert set(logged) == {"train/loss", "val/loss", f"val/{name}", "lr"}
    assert set(tested) == {"test/loss", f"test/{name}"}
    assert validated == {key: value.item() for key, value in logged.items() if key.startswith("val/")}


def test_the_loss_falls(toys):
    case = toys.graph()
    losses = []
    task = GraphTask(case.model, case.task, lambda params: torch.optim.Adam(params, lr=0.05))
    with quiet_lightning():
        for epochs in (1, 30):
            runs = trainer(max_epochs=epochs, limit_val_batches=0)
            runs.fit(task, case.data)
            losses.append(runs.callback_metrics["train/loss"].item())
    assert losses[1] < 0.7 * losses[0]


def test_node_stages_see_their_own_mask(toys):
    x = torch.eye(2)[torch.tensor([0, 0, 1, 1, 1, 0])] * 9
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    mask = torch.tensor([0, 0, 1, 1, 2, 2])
    graph = Data(x=x, y=y, edge_index=torch.zeros(2, 0, dtype=torch.long))
    graph.train_mask, graph.val_mask, graph.test_mask = mask == 0, mask == 1, mask == 2
    task = GraphTask(Identity(), TaskSpec("node", 2, "cross_entropy", "accuracy"))
    data = toys.Graphs([graph], [graph], [graph])
    with quiet_lightning():
        runs = trainer()
        runs.fit(task, data)
        logged = dict(runs.callback_metrics)
        tested = runs.test(task, data, verbose=False)[0]
    assert tested["test/accuracy"] == 0.5
    expected = nn.functional.cross_entropy(x[:2], y[:2])
    torch.testing.assert_close(logged["train/loss"], expected.double())
    torch.testing.assert_close(logged["val/loss"], nn.functional.cross_entropy(x[2:4], y[2:4]).double())


def test_unlabelled_nodes_of_many_graphs_and_losses_weighted_by_labels(toys):
    graphs = [
        Data(x=torch.tensor([[2.0], [7.0]]), y=torch.tensor([1.0, torch.nan])),
        Data(x=torch.tensor([[1.0], [5.0]]), y=torch.tensor([2.0, 2.0])),
    ]
    task = GraphTask(Identity(), TaskSpec("node", 1, "l1", "mae", higher_is_better=False))
    data = toys.Graphs(graphs, graphs, [], batch_size=1)
    with quiet_lightning():
        result = trainer().validate(task, data, verbose=False)[0]
    assert result["val/loss"] == pytest.approx((1 + 1 + 3) / 3)
    assert result["val/mae"] == pytest.approx((1 + 1 + 3) / 3)


def test_link_metric_ranks_all_nodes_of_the_graph(toys):
    # Head 0 scores [4, 3, 2] against nodes 0..2 by inner product with e_0.
    first = Data(x=torch.tensor([[2.0, 0.0], [1.5, 0.0], [1.0, 0.0]]), edge_label_index=torch.tensor([[0], [2]]))
    second = Data(x=torch.tensor([[1.0, 0.0], [3.0, 0.0]]), edge_label_index=torch.tensor([[0], [1]]))
    batch = Batch.from_data_list([first, second])
    expected = {"mrr": (1 / 3 + 1) / 2, "mrr_filtered": (1 / 3 + 1) / 2, "mrr_filtered_self": (1 / 2 + 1) / 2}
    for name, value in expected.items():
        task = GraphTask(Identity(), TaskSpec("link", 2, "bce", name))
        task.trainer = trainer()
        loss = task._links(batch.x, batch, 0, "val")
        assert isinstance(task._metric("val"), MRR)
        assert task._metric("val").compute().item() == pytest.approx(value)
        again = task._links(batch.x, batch, 0, "val")
        assert torch.equal(loss[0], again[0])


def test_link_metric_with_given_negatives_uses_them_alone(toys):
    graph = Data(x=torch.tensor([[1.0], [2.0], [-1.0]]))
    graph.edge_label_index = torch.tensor([[0, 0], [1, 2]])
    graph.edge_label = torch.tensor([1, 0])
    task = GraphTask(Identity(), TaskSpec("link", 1, "bce", "hits@1"))
    score, target = task._links(graph.x, graph, 0, "val")
    assert (score.tolist(), target.tolist()) == ([2.0, -1.0], [1.0, 0.0])
    assert task._metric("val").compute() == 1
    score, _ = task._links(graph.x, graph, 0, "train")
    assert len(score) == 2 + 2 * 2
    assert task.predict_step(graph).tolist() == [2.0, -1.0]


def test_a_decoder_replaces_the_inner_product():
    class Distance(nn.Module):
        def forward(self, head, tail):
            return -(head - tail).norm(dim=-1, keepdim=True)

    graph = Data(x=torch.tensor([[0.0], [3.0]]), edge_label_index=torch.tensor([[0], [1]]))
    task = GraphTask(Identity(), TaskSpec("link", 1, "bce", "mrr"), decoder=Distance())
    assert task.predict_step(graph).tolist() == [-3.0]


def test_predict_returns_the_outputs(any_level):
    with quiet_lightning():
        task = GraphTask(any_level.model, any_level.task)
        parts = trainer().predict(task, any_level.data.test_dataloader())
    for part, batch in zip(parts, any_level.data.test_dataloader(), strict=True):
        rows = {"graph": batch.num_graphs, "node": batch.num_nodes, "link": 3 * batch.num_graphs}
        assert len(part) == rows[any_level.task.level]


@pytest.mark.parametrize("per_step", [False, True])
def test_the_schedule_gets_its_epochs_from_the_trainer(toys, tmp_path, per_step):
    case = toys.graph()

    def schedule(optimizer, epochs):
        return CosineWithWarmup(optimizer, epochs, warmup_epochs=1, per_step=per_step)

    task = GraphTask(case.model, case.task, lambda p: torch.optim.SGD(p, lr=0.1), schedule)
    logger = CSVLogger(tmp_path, name="", version="")
    with quiet_lightning():
        runs = trainer(max_epochs=4, logger=logger)
        runs.fit(task, case.data)
    with open(tmp_path / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    rates = [float(row["lr"]) for row in rows if row.get("lr")]
    assert rates == pytest.approx([1e-7, 0.1, 0.075, 0.025])
    assert len([row for row in rows if row["val/mae"]]) == 4
    assert len([row for row in rows if row["train/loss"]]) == 4
    assert runs.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_a_schedule_needs_epochs(toys):
    case = toys.graph()
    task = GraphTask(case.model, case.task, schedule=CosineWithWarmup)
    with quiet_lightning(), pytest.raises(ConfigError, match=r"trainer\.max_epochs"):
        trainer(max_epochs=-1, max_steps=2).fit(task, case.data)


@pytest.mark.parametrize("options", [{"precision": "bf16-mixed"}, {"gradient_clip_val": 0.1}])
def test_trainer_options(any_level, options):
    before = [p.clone() for p in any_level.model.parameters()]
    task = GraphTask(any_level.model, any_level.task)
    with quiet_lightning():
        runs = trainer(**options)
        runs.fit(task, any_level.data)
    assert runs.callback_metrics["train/loss"].isfinite()
    after = list(any_level.model.parameters())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in after)
    assert any(not torch.equal(p, q) for p, q in zip(before, after, strict=True))


def test_compile(toys):
    case = toys.graph()
    keys = set(GraphTask(case.model, case.task).state_dict())
    task = GraphTask(case.model, case.task, compile_backend="eager")
    with quiet_lightning():
        runs = trainer()
        runs.fit(task, case.data)
    assert runs.callback_metrics["train/loss"].isfinite()
    assert set(task.state_dict()) == keys


def test_mistakes_are_named(toys):
    case = toys.graph()
    with pytest.raises(ConfigError, match="unknown loss"):
        GraphTask(case.model, TaskSpec("graph", 1, "mae", "mae"))
    with pytest.raises(ConfigError, match="unknown metric"):
        GraphTask(case.model, TaskSpec("graph", 1, "l1", "l1"))
    task = GraphTask(Identity(), case.task)
    with pytest.raises(DataError, match="no targets"):
        task.training_step(Data(x=torch.zeros(1, 2)), 0)
