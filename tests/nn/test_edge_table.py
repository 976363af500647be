"""Typed edges: a layer that reads the table computes what it computes from the dense features."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.nn import (
    GNN,
    MLP,
    AtomEncoder,
    BatchNorm,
    BondEncoder,
    CategoricalEncoder,
    EdgeTable,
    FeatureEncoder,
    GatedGCNConv,
    GINEConv,
    OGBGCNConv,
)
from gnnlab.nn.encoders.categorical import BOND_CATEGORIES


def molecules(num_nodes: int = 12, num_edges: int = 40) -> Data:
    bonds = torch.stack([torch.randint(size, (num_edges,)) for size in BOND_CATEGORIES], dim=1)
    edge_index = torch.randint(num_nodes, (2, num_edges))
    return Data(x=torch.randint(2, (num_nodes, 9)), edge_index=edge_index, edge_attr=bonds)


def test_the_table_holds_every_combination():
    encoder, bonds = BondEncoder(8), molecules().edge_attr
    table = encoder.table(bonds)
    assert table.rows.shape == (60, 8)
    torch.testing.assert_close(table.dense(), encoder(bonds))


def test_too_many_combinations_stay_dense():
    encoder = CategoricalEncoder(4, [40, 40])
    assert isinstance(encoder.table(torch.zeros(3, 2, dtype=torch.long)), torch.Tensor)


@pytest.mark.parametrize("inside", [False, True], ids=["encoder of the model", "encoder of the layer"])
def test_gine_reads_tables(inside, monkeypatch):
    conv = partial(GINEConv, update=partial(MLP, norm=BatchNorm), edge_encoder=BondEncoder if inside else None)
    encoder = partial(FeatureEncoder, node=AtomEncoder, edge=None if inside else BondEncoder)
    model, batch = GNN(3, 16, 2, conv=conv, encoder=encoder).eval(), molecules()
    fast, fast_grads = gradients(model, batch)
    assert model.encoder.edge_tables
    monkeypatch.setattr(CategoricalEncoder, "table", CategoricalEncoder.forward)
    slow, slow_grads = gradients(model, batch)
    torch.testing.assert_close(fast, slow)
    for ours, expected in zip(fast_grads, slow_grads, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("conv", [GatedGCNConv, partial(OGBGCNConv)], ids=["gated gcn", "ogb gcn"])
def test_layers_that_read_no_tables_get_features(conv):
    encoder = partial(FeatureEncoder, node=AtomEncoder, edge=BondEncoder)
    model = GNN(3, 16, 2, conv=conv, encoder=encoder)
    assert not model.encoder.edge_tables
    assert model(molecules()).shape == (1, 3)


def test_weights_of_typed_edges():
    batch = molecules()
    conv, encoder = GINEConv(6, 5), BondEncoder(6)
    x, weight, table = torch.randn(12, 6), torch.rand(40), encoder.table(batch.edge_attr)
    torch.testing.assert_close(
        conv(x, batch.edge_index, table, weight), conv(x, batch.edge_index, encoder(batch.edge_attr), weight)
    )


def test_an_encoder_alone_returns_features():
    _, edge_attr = FeatureEncoder(16, AtomEncoder, BondEncoder)(molecules())
    assert not isinstance(edge_attr, EdgeTable)


def gradients(model, batch):
    out = model(batch)
    return out, torch.autograd.grad(out.square().sum(), list(model.parameters()))
