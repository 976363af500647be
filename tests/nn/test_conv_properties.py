"""Every convolution of the library passes the library's own check."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from gnnlab.nn import (
    MLP,
    BatchNorm,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    LinearEncoder,
    OGBGCNConv,
    SAGEConv,
)
from gnnlab.ops import CSR
from gnnlab.testing import check_conv

ENCODER = partial(LinearEncoder, in_channels=3)
CASES = {
    "gcn": (GCNConv, None),
    "gcn-no-loops": (partial(GCNConv, add_self_loops=False), None),
    "gcn-update": (partial(GCNConv, update=MLP), None),
    "gin": (GINConv, None),
    "gin-eps": (partial(GINConv, train_eps=True, eps=0.1), None),
    "gin-batch-norm": (partial(GINConv, update=partial(MLP, norm=BatchNorm, expansion=2, dropout=0.3)), None),
    "gine": (GINEConv, 4),
    "gine-encoder": (partial(GINEConv, edge_encoder=ENCODER, train_eps=True), 3),
    "gine-no-edge-features": (GINEConv, None),
    "gated-gcn": (partial(GatedGCNConv, dropout=0.2, activation=nn.GELU), 4),
    "gat": (partial(GATConv, heads=2), None),
    "gat-mean": (partial(GATConv, heads=3, concat=False, dropout=0.2), None),
    "gat-no-loops": (partial(GATConv, heads=2, add_self_loops=False, update=MLP), None),
    "sage": (SAGEConv, None),
    "sage-concat": (partial(SAGEConv, update=nn.Linear), None),
    "sage-max": (partial(SAGEConv, reduce="max"), None),
    "ogb-gcn": (OGBGCNConv, 6),
    "ogb-gcn-encoder": (partial(OGBGCNConv, edge_encoder=ENCODER), 3),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_check_conv(case):
    factory, edge_dim = case
    check_conv(factory, edge_dim=edge_dim)


def test_gated_gcn_keeps_the_edge_residual_where_widths_agree():
    check_conv(GatedGCNConv, edge_dim=5, in_channels=5, out_channels=5)


@pytest.mark.parametrize("factory", [GCNConv, GINEConv, GatedGCNConv, partial(GATConv, heads=2), SAGEConv, OGBGCNConv])
def test_compiles_without_a_graph_break(factory, edge_index):
    conv, adj = factory(4, 4).eval(), CSR.from_edge_index(edge_index, 9)
    x, edge_attr = torch.randn(9, 4), torch.randn(edge_index.size(1), 4)
    compiled = torch.compile(conv, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, adj, edge_attr), conv(x, adj, edge_attr))
