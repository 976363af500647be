"""Tiny datasets and models: what a run needs, in milliseconds."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from lightning import LightningDataModule
from torch import nn
from torch.utils.data import Sampler
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, global_mean_pool

from gnnlab.data.task import TaskSpec


class EpochOrder(Sampler):
    """An order that is a function of seed and epoch, as the library's own loader has it."""

    def __init__(self, size, seed=0):
        self.size, self.seed, self.epoch = size, seed, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.size

    def __iter__(self):
        generator = torch.Generator().manual_seed(1000 * self.seed + self.epoch)
        return iter(torch.randperm(self.size, generator=generator).tolist())


class Graphs(LightningDataModule):
    """Loaders over three lists of graphs; the training order changes with the epoch."""

    def __init__(self, train, val, test, batch_size=4):
        super().__init__()
        self.train, self.val, self.test, self.batch_size = train, val, test, batch_size

    def train_dataloader(self):
        order = EpochOrder(len(self.train))
        return DataLoader(self.train, batch_size=self.batch_size, sampler=order)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=self.batch_size) if self.val else []

    def test_dataloader(self):
        return DataLoader(self.test, batch_size=self.batch_size) if self.test else []


class Network(nn.Module):
    """One convolution with dropout, so that a run depends on its random numbers."""

    def __init__(self, out_channels, pool=False, dropout=0.3):
        super().__init__()
        self.conv, self.head = GCNConv(3, 8), nn.Linear(8, out_channels)
        self.dropout, self.pool = nn.Dropout(dropout), pool

    def forward(self, batch):
        x = self.dropout(self.conv(batch.x, batch.edge_index).relu())
        return self.head(global_mean_pool(x, batch.batch) if self.pool else x)


def ring(size, **attributes):
    source = torch.arange(size)
    edge_index = torch.stack([source, (source + 1) % size])
    return Data(x=torch.randn(size, 3), edge_index=torch.cat([edge_index, edge_index.flip(0)], 1), **attributes)


def graph_level():
    graphs = [ring(4 + i % 3) for i in range(24)]
    for graph in graphs:
        graph.y = graph.x.mean(dim=0, keepdim=True)[:, :2] * 3
    task = TaskSpec("graph", 2, "l1", "mae", higher_is_better=False)
    return SimpleNamespace(task=task, data=Graphs(graphs[:16], graphs[16:20], graphs[20:]), model=Network(2, pool=True))


def node_level():
    graph = ring(30)
    graph.y = (graph.x[:, 0] > 0).long() + (graph.x[:, 1] > 0).long()
    part = torch.arange(30) % 3
    graph.train_mask, graph.val_mask, graph.test_mask = part == 0, part == 1, part == 2
    task = TaskSpec("node", 3, "cross_entropy", "accuracy")
    return SimpleNamespace(task=task, data=Graphs([graph], [graph], [graph]), model=Network(3), graph=graph)


def link_level():
    graphs = [ring(5 + i % 3) for i in range(12)]
    for graph in graphs:
        graph.edge_label_index = torch.tensor([[0, 0, 3], [2, 3, 1]])
        graph.edge_label = torch.ones(3)
    task = TaskSpec("link", 8, "bce", "mrr_filtered_self")
    return SimpleNamespace(task=task, data=Graphs(graphs[:8], graphs[8:10], graphs[10:]), model=Network(8))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Lightning writes to the current folder where nothing else is said."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["graph", "node", "link"])
def any_level(request):
    return {"graph": graph_level, "node": node_level, "link": link_level}[request.param]()


@pytest.fixture
def toys():
    return SimpleNamespace(graph=graph_level, node=node_level, link=link_level, Graphs=Graphs, Network=Network)
