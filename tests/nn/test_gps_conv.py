"""GPS layers: against PyG's, against the formula with edge states, with several edge types."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import (
    GNN,
    BondEncoder,
    EdgeTable,
    ExphormerConv,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINEConv,
    GPSConv,
    GRITConv,
    RelationalConv,
    SelfAttention,
)
from gnnlab.ops import CSR
from gnnlab.testing import check_conv

TWO_HEADS = partial(SelfAttention, heads=2)
CASES = {
    "gine": (partial(GPSConv, local=GINEConv, attention=TWO_HEADS, dropout=0.1), 4, {}),
    "gated-gcn": (partial(GPSConv, local=GatedGCNConv, attention=TWO_HEADS, local_dropout=0), 6, {"in_channels": 6}),
    "other-widths": (partial(GPSConv, local=GatedGCNConv, attention=TWO_HEADS), 4, {}),
    "graph-norm": (partial(GPSConv, local=GCNConv, attention=TWO_HEADS, norm=pyg.GraphNorm), None, {}),
    "layer-norm-of-graphs": (partial(GPSConv, local=GCNConv, attention=TWO_HEADS, norm=pyg.LayerNorm), None, {}),
    "local-only": (partial(GPSConv, local=partial(GATConv, heads=2), attention=None, norm=nn.LayerNorm), None, {}),
    "attention-only": (partial(GPSConv, attention=partial(TWO_HEADS, dropout=0.4), norm=None), None, {}),
    "grit-attention": (partial(GPSConv, local=GCNConv, attention=partial(GRITConv, heads=2)), 4, {}),
    "exphormer": (
        partial(GPSConv, local=GatedGCNConv, attention=partial(ExphormerConv, heads=2), local_relations=[0]),
        6,
        {"in_channels": 6, "num_relations": 3},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_check_conv(name):
    factory, edge_dim, options = CASES[name]
    check_conv(factory, edge_dim=edge_dim, **options)


def copied(ours: GPSConv, theirs: pyg.GPSConv) -> None:
    pairs = {
        "attn.in_proj_weight": ours.attention.conv.query_key_value.weight,
        "attn.in_proj_bias": ours.attention.conv.query_key_value.bias,
        "attn.out_proj.weight": ours.attention.conv.output.weight,
        "attn.out_proj.bias": ours.attention.conv.output.bias,
        "mlp.0.weight": ours.feed_forward.hidden[0].weight,
        "mlp.0.bias": ours.feed_forward.hidden[0].bias,
        "mlp.3.weight": ours.feed_forward.output.weight,
        "mlp.3.bias": ours.feed_forward.output.bias,
    }
    parameters = dict(theirs.named_parameters())
    for name, value in pairs.items():
        parameters[name].data.copy_(value)
    for index, layer in enumerate((ours.local, ours.attention, ours.feed_forward), 1):
        layer.residual.norm.weight.data.uniform_(0.5, 1.5)
        layer.residual.norm.bias.data.normal_()
        getattr(theirs, f"norm{index}").module.load_state_dict(layer.residual.norm.state_dict())


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_layer_of_pyg(training, molecules):
    batch = molecules((6, 1, 4, 9, 3))
    x = torch.randn(batch.num_nodes, 16, dtype=torch.double)
    edge_attr = torch.randn(batch.num_edges, 16, dtype=torch.double)
    ours = GPSConv(16, 16, local=GINEConv).double().train(training)
    local = pyg.GINEConv(ours.local.conv.update)
    theirs = pyg.GPSConv(16, local, heads=4).double().train(training)
    copied(ours, theirs)
    actual = ours(x, batch.edge_index, edge_attr, ptr=batch.ptr)
    torch.testing.assert_close(actual, theirs(x, batch.edge_index, batch.batch, edge_attr=edge_attr))


def test_edge_states_of_the_local_half_are_passed_on(molecules):
    batch, conv = molecules(), GPSConv(8, 8, local=GatedGCNConv).eval()
    x, edge_attr = torch.randn(batch.num_nodes, 8), torch.randn(batch.num_edges, 8)
    out, states = conv(x, batch.edge_index, edge_attr, ptr=batch.ptr)
    local, expected = conv.local.conv(x, batch.edge_index, edge_attr)
    torch.testing.assert_close(states, expected)
    half = conv.local.residual.norm(x + local) + conv.attention.residual.norm(x + conv.attention.conv(x, ptr=batch.ptr))
    block = conv.feed_forward
    torch.testing.assert_close(out, block.residual.norm(half + block.output(block.hidden(half))))


def test_local_relations_hide_edges_from_the_local_half_alone(molecules):
    batch = molecules((7, 5))
    x, edge_attr = torch.randn(batch.num_nodes, 8), torch.randn(batch.num_edges, 8)
    kind = torch.arange(batch.num_edges) % 2
    conv = GPSConv(8, 8, GatedGCNConv, ExphormerConv, local_relations=[0]).eval()
    adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    _, states = conv(x, adj, edge_attr, edge_type=kind)
    assert torch.equal(states[kind == 1], edge_attr[kind == 1])
    shown = conv.local.conv(x, batch.edge_index[:, kind == 0], edge_attr[kind == 0])[1]
    torch.testing.assert_close(states[kind == 0], shown)
    cut = adj.edge_index[:, kind == 0]
    whole = conv(x, adj, edge_attr, edge_type=kind)[0]
    assert not torch.allclose(whole, conv(x, cut, edge_attr[kind == 0], edge_type=kind[kind == 0])[0])


def test_a_norm_that_knows_graphs_normalises_every_graph_alone(molecules):
    batch = molecules((6, 1, 4))
    conv = GPSConv(8, 8, GCNConv, norm=partial(pyg.LayerNorm, mode="graph")).train()
    x = torch.randn(batch.num_nodes, 8)
    out = conv(x, batch.edge_index, ptr=batch.ptr)
    changed = x.clone()
    changed[:6] *= 3
    again = conv(changed, batch.edge_index, ptr=batch.ptr)
    assert torch.equal(again[6:], out[6:])
    assert not torch.allclose(again[:6], out[:6])


def test_edge_tables_are_read_where_all_parts_read_them(molecules):
    assert GPSConv(8, 8, GINEConv).reads_edge_tables
    assert GPSConv(8, 8, GINEConv, ExphormerConv).reads_edge_tables
    assert GPSConv(8, 8, GCNConv).reads_edge_tables is False
    assert not GPSConv(8, 8, GatedGCNConv).reads_edge_tables
    batch, conv = molecules(), GPSConv(8, 8, GINEConv, ExphormerConv).eval()
    table = BondEncoder(8).table(batch.edge_attr)
    assert isinstance(table, EdgeTable)
    x = torch.randn(batch.num_nodes, 8)
    torch.testing.assert_close(conv(x, batch.edge_index, table), conv(x, batch.edge_index, table.dense()))


def test_errors_name_what_is_wrong(molecules):
    with pytest.raises(ConfigError, match="local, attention or both"):
        GPSConv(8, 8, None, None)
    conv = GPSConv(8, 8, partial(pyg.GATConv, heads=2))
    with pytest.raises(ConfigError, match="GATConv returned 16 channels where 8"):
        conv(torch.randn(3, 8), torch.tensor([[0], [1]]))
    batch = molecules()
    batch.x = torch.randn(batch.num_nodes, 8)
    model = GNN(2, 8, 1, partial(RelationalConv, conv=GPSConv), in_channels=8)
    with pytest.raises(GraphError, match="GPSConv works on whole graphs"):
        model(batch)


def test_the_gps_layer_of_pyg_learns_the_graphs_of_a_batch(molecules):
    def factory(channels: int, _: int) -> nn.Module:
        return pyg.GPSConv(channels, pyg.GCNConv(channels, channels), heads=2)

    batch = molecules((6, 3, 4))
    batch.x = torch.randn(batch.num_nodes, 8)
    model = GNN(2, 8, 2, factory, in_channels=8, residual=False, activation=None).eval()
    alone = torch.cat([model(graph) for graph in batch.to_data_list()])
    torch.testing.assert_close(model(batch), alone)
