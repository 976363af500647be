"""Relation-aware models on batches of the store, plain and padded, and in a step that is one unit."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from lightning import LightningDataModule, Trainer, seed_everything
from torch_geometric.data import Data

from gnnlab.data.loader import GraphLoader
from gnnlab.data.store import GraphStore
from gnnlab.data.task import TaskSpec
from gnnlab.errors import GraphError
from gnnlab.nn import GNN, BatchNorm, DRew, GatedGCNConv, RelationalConv, RGatedGCNConv, RGCNConv, RGINConv
from gnnlab.nn.norm import real_rows
from gnnlab.training import GraphTask, quiet_lightning

STYLE = {"in_channels": 8, "hidden_channels": 8, "pool": "sum"}
MODELS = {
    "rgcn": partial(GNN, conv=RGCNConv, norm=BatchNorm, **STYLE),
    "rgin": partial(GNN, conv=RGINConv, **STYLE),
    "rgated": partial(GNN, conv=RGatedGCNConv, **STYLE),
    "alternating": partial(GNN, relations=[[0], [1]], norm=BatchNorm, **STYLE),
    "drew": partial(DRew, norm=BatchNorm, **STYLE),
}


def graphs():
    generator = torch.Generator().manual_seed(5)
    for i in range(30):
        size = 4 + i * 7 % 9
        edge_index = torch.randint(size, (2, 3 * size), generator=generator)
        edge_type = torch.randint(2, (3 * size,), generator=generator)
        data = Data(x=torch.randn(size, 8, generator=generator), edge_index=edge_index, edge_type=edge_type)
        data.edge_attr = torch.randn(3 * size, 8, generator=generator)
        data.y = data.x.mean(0, keepdim=True)[:, :2]
        yield data


class Stored(LightningDataModule):
    def __init__(self, pad):
        super().__init__()
        self.store, self.pad = GraphStore.from_data_list(list(graphs())), pad

    def train_dataloader(self):
        return GraphLoader(self.store, 8, shuffle=True, seed=5, pad=self.pad)


@pytest.mark.parametrize("name", MODELS)
def test_padding_reaches_no_real_row(name):
    store = GraphStore.from_data_list(list(graphs()))
    model = MODELS[name](2).double()
    plain, padded = (next(iter(GraphLoader(store, 8, pad=pad))) for pad in (False, True))
    for batch in (plain, padded):
        batch.x, batch.edge_attr = batch.x.double(), batch.edge_attr.double()
    for mode in (True, False):
        model.train(mode)
        with real_rows(model, padded.padding):
            out = model(padded)[:8]
        torch.testing.assert_close(out, model(plain))


def test_statistics_of_the_edges_of_a_relation_cannot_be_padded():
    store = GraphStore.from_data_list(list(graphs()))
    model = GNN(2, conv=partial(RelationalConv, conv=GatedGCNConv), **STYLE)
    batch = next(iter(GraphLoader(store, 8, pad=True)))
    with real_rows(model, batch.padding), pytest.raises(GraphError, match="train without padding"):
        model(batch)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_as_one_unit_on_the_cpu(name):
    task, results = TaskSpec("graph", 2, "l1", "mae", higher_is_better=False), []
    for capture in (False, True):
        seed_everything(3, verbose=False)
        module = GraphTask(MODELS[name](2), task, capture=capture)
        quiet_lightning()
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(max_epochs=2, accelerator="cpu", limit_val_batches=0, enable_model_summary=False, **options)
        trainer.fit(module, Stored(pad=True))
        results.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    torch.testing.assert_close(*results)
