"""GraphDataModule: stages, empty splits, single graphs, and the batches PyG's layers get."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GINConv, SAGEConv

from gnnlab.data import GraphDataModule, GraphStore, TaskSpec, datamodule
from gnnlab.encodings import RandomWalkPE
from gnnlab.errors import ConfigError

GRAPH_TASK = TaskSpec("graph", 1, "l1", "mae", False)
NODE_TASK = TaskSpec("node", 2, "cross_entropy", "accuracy")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch):
    """Make the data module find a store of ours."""

    def serve(store: GraphStore) -> GraphDataModule:
        monkeypatch.setattr(datamodule, "load_dataset", lambda name, **options: store)
        return GraphDataModule("ours", batch_size=2)

    return serve


def graphs(count: int) -> list[Data]:
    edges = torch.tensor([[0, 1, 1], [1, 0, 2]])
    return [Data(x=torch.full((3, 2), float(i)), edge_index=edges, y=torch.tensor([float(i)])) for i in range(count)]


def splits(**parts: list[int]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(index, dtype=torch.long) for name, index in parts.items()}


def test_every_stage_gets_its_graphs(serve) -> None:
    parts = splits(train=[0, 3, 4], val=[1], test=[2])
    data = serve(GraphStore.from_data_list(graphs(5), task=GRAPH_TASK, splits=parts))
    seen = {
        stage: sorted(int(y) for batch in getattr(data, f"{stage}_dataloader")() for y in batch.y)
        for stage in ("train", "val", "test")
    }
    assert seen == {"train": [0, 3, 4], "val": [1], "test": [2]}
    assert data.task == GRAPH_TASK


def test_empty_splits(serve) -> None:
    data = serve(GraphStore.from_data_list(graphs(2), task=GRAPH_TASK, splits=splits(train=[], val=[], test=[0])))
    assert data.val_dataloader() == []
    with pytest.raises(ConfigError, match="training split is empty"):
        data.train_dataloader()


def test_a_single_graph_is_every_stage(serve) -> None:
    folds = {"public": [splits(train=[0], val=[1], test=[2])]}
    graph = Data(x=torch.eye(3), edge_index=torch.tensor([[0], [1]]), y=torch.tensor([0, 1, 0]))
    data = serve(GraphStore.from_data_list([graph], task=NODE_TASK, folds=folds).with_fold("public"))
    (train,), (test,) = list(data.train_dataloader()), list(data.test_dataloader())
    assert train.train_mask.tolist() == [True, False, False]
    assert test.test_mask.tolist() == [False, False, True]


def test_a_dataset_without_a_task(serve) -> None:
    with pytest.raises(ConfigError, match="no task"):
        _ = serve(GraphStore.from_data_list(graphs(1))).task


def test_pyg_layers_take_the_batches(serve) -> None:
    data = serve(GraphStore.from_data_list(graphs(5), task=GRAPH_TASK, splits=splits(train=[0, 3, 4])))
    batch = next(iter(data.train_dataloader()))
    for conv in (GATConv(2, 4), SAGEConv(2, 4), GINConv(torch.nn.Linear(2, 4))):
        assert conv(batch.x, batch.edge_index).shape == (6, 4)


def test_a_generated_dataset_end_to_end(tmp_path: Path) -> None:
    data = GraphDataModule("ring-transfer", batch_size=100, root=str(tmp_path))
    batch = next(iter(data.val_dataloader()))
    assert batch.num_graphs == 100
    assert (batch.y >= 0).sum() == 100


def test_batch_transforms_run_in_every_loader(serve) -> None:
    parts = splits(train=[0, 1], val=[2], test=[3])
    data = serve(GraphStore.from_data_list(graphs(4), task=GRAPH_TASK, splits=parts))
    data.batch_transforms = (RandomWalkPE(walk_length=4),)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert all(batch.pe_rwse.shape == (batch.num_nodes, 4) for batch in loader)
