"""Convolutions against PyG's own with copied weights, and against dense float64 formulas."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import MLP, GATConv, GatedGCNConv, GCNConv, GINConv, GINEConv, OGBGCNConv, SAGEConv
from gnnlab.ops import CSR

N = 9


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.double)


@pytest.mark.parametrize("widths", [(5, 3), (3, 5)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("self_loops", [False, True])
def test_gcn_equals_pyg(edge_index, widths, weighted, self_loops):
    ours = GCNConv(*widths, add_self_loops=self_loops).double()
    theirs = pyg.GCNConv(*widths, add_self_loops=self_loops).double()
    nn.init.normal_(ours.bias)
    theirs.lin.weight.data, theirs.bias.data = ours.lin.weight.data, ours.bias.data
    x, weight = features(N, widths[0]), torch.rand(edge_index.size(1), dtype=torch.double) if weighted else None
    expected = theirs(x, edge_index, weight)
    torch.testing.assert_close(ours(x, edge_index, edge_weight=weight), expected)
    torch.testing.assert_close(ours(x, CSR.from_edge_index(edge_index, N), edge_weight=weight), expected)


def test_gcn_gradient_of_edge_weights_equals_pyg(edge_index):
    ours, theirs = GCNConv(4, 3).double(), pyg.GCNConv(4, 3).double()
    theirs.lin.weight.data, theirs.bias.data = ours.lin.weight.data, ours.bias.data
    x = features(N, 4)
    weight = (torch.rand(edge_index.size(1), dtype=torch.double) + 0.1).requires_grad_()
    probe = features(N, 3)
    actual = torch.autograd.grad((ours(x, edge_index, edge_weight=weight) * probe).sum(), weight)
    expected = torch.autograd.grad((theirs(x, edge_index, weight) * probe).sum(), weight)
    torch.testing.assert_close(actual, expected)


def test_gcn_with_update_aggregates_first(edge_index):
    conv = GCNConv(4, 3, update=MLP).double()
    x, plain = features(N, 4), GCNConv(4, 4, bias=False).double()
    plain.lin.weight.data = torch.eye(4, dtype=torch.double)
    torch.testing.assert_close(conv(x, edge_index), conv.update(plain(x, edge_index)))


def test_gcn_survives_weights_that_cancel():
    edge_index = torch.tensor([[0], [1]])
    weight = torch.tensor([-1.0], requires_grad=True)
    out = GCNConv(2, 2)(torch.ones(2, 2), edge_index, edge_weight=weight)
    out.sum().backward()
    assert out.isfinite().all()
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("train_eps", [False, True])
def test_gin_equals_pyg(edge_index, train_eps):
    ours = GINConv(4, 6, eps=0.3, train_eps=train_eps).double()
    theirs = pyg.GINConv(ours.update, eps=0.3, train_eps=train_eps).double()
    x = features(N, 4)
    torch.testing.assert_close(ours(x, edge_index), theirs(x, edge_index), rtol=1e-6, atol=1e-6)
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))


def test_gine_equals_pyg(edge_index):
    ours = GINEConv(4, 6).double()
    theirs = pyg.GINEConv(ours.update).double()
    x, edge_attr = features(N, 4), features(edge_index.size(1), 4)
    torch.testing.assert_close(ours(x, edge_index, edge_attr), theirs(x, edge_index, edge_attr))
    adj = CSR.from_edge_index(edge_index, N)
    torch.testing.assert_close(ours(x, adj, edge_attr), theirs(x, edge_index, edge_attr))


def test_gine_without_edge_features_is_gin_with_relu_messages(edge_index):
    gine, x = GINEConv(4, 6).double(), features(N, 4)
    adjacency = torch.zeros(N, N, dtype=torch.double)
    adjacency.index_put_((edge_index[1], edge_index[0]), torch.ones(1, dtype=torch.double), accumulate=True)
    expected = gine.update(x + adjacency @ x.relu())
    zeros = torch.zeros(edge_index.size(1), 4, dtype=torch.double)
    torch.testing.assert_close(gine(x, edge_index, zeros), expected)
    torch.testing.assert_close(gine(x, edge_index), expected)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("self_loops", [True, False])
def test_gat_equals_pyg(edge_index, heads, concat, self_loops):
    ours = GATConv(4, 6, heads, concat, add_self_loops=self_loops).double()
    theirs = pyg.GATConv(4, 6 // heads if concat else 6, heads, concat, add_self_loops=self_loops).double()
    nn.init.normal_(ours.bias)
    theirs.lin.weight.data, theirs.bias.data = ours.lin.weight.data, ours.bias.data
    theirs.att_src.data, theirs.att_dst.data = ours.att_src.data[None], ours.att_dst.data[None]
    x = features(N, 4)
    torch.testing.assert_close(ours(x, edge_index), theirs(x, edge_index))
    torch.testing.assert_close(ours(x, CSR.from_edge_index(edge_index, N)), theirs(x, edge_index))


def test_gat_attention_does_not_overflow(edge_index):
    conv = GATConv(4, 6)
    with torch.no_grad():
        conv.lin.weight.mul_(1e4)
    x = torch.randn(N, 4, requires_grad=True)
    out = conv(x, edge_index)
    out.sum().backward()
    assert out.isfinite().all()
    assert x.grad.isfinite().all()


def test_gat_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="4 concatenated heads do not divide 7 channels"):
        GATConv(3, 7, heads=4)


@pytest.mark.parametrize("reduce", ["mean", "sum", "max"])
def test_sage_equals_pyg(edge_index, reduce):
    ours, theirs = SAGEConv(4, 6, reduce).double(), pyg.SAGEConv(4, 6, aggr=reduce).double()
    theirs.lin_l.load_state_dict(ours.lin.state_dict())
    theirs.lin_r.load_state_dict(ours.lin_root.state_dict())
    x = features(N, 4)
    torch.testing.assert_close(ours(x, edge_index), theirs(x, edge_index))


def test_sage_of_the_concatenation_is_the_sum_of_two_products(edge_index):
    together, apart = SAGEConv(4, 6, update=nn.Linear).double(), SAGEConv(4, 6).double()
    apart.lin_root.weight.data, apart.lin.weight.data = together.update.weight.data.split(4, dim=1)
    apart.lin.bias.data = together.update.bias.data
    x = features(N, 4)
    torch.testing.assert_close(together(x, edge_index), apart(x, edge_index))


@pytest.mark.parametrize("weighted", [False, True])
def test_gated_gcn_equals_the_dense_formula(edge_index, weighted):
    conv = GatedGCNConv(5, 5, norm=None, activation=nn.GELU).double()
    x, e = features(N, 5), features(edge_index.size(1), 5)
    weight = torch.rand(edge_index.size(1), dtype=torch.double) if weighted else None
    numerator, denominator, states = torch.zeros(N, 5), torch.zeros(N, 5), []
    numerator, denominator = numerator.double(), denominator.double()
    for i, (u, v) in enumerate(edge_index.t().tolist()):
        hat = conv.D(x[v]) + conv.E(x[u]) + conv.C(e[i])
        gate = hat.sigmoid() * (1 if weight is None else weight[i])
        numerator[v] += gate * conv.B(x[u])
        denominator[v] += gate
        states.append(e[i] + nn.functional.gelu(hat))
    nodes = nn.functional.gelu(conv.A(x) + numerator / (denominator + 1e-6))
    for adj in (edge_index, CSR.from_edge_index(edge_index, N)):
        out, edges = conv(x, adj, e, weight)
        torch.testing.assert_close(out, nodes)
        torch.testing.assert_close(edges, torch.stack(states))


def test_gated_gcn_with_open_gates_is_mean_aggregation(edge_index):
    conv = GatedGCNConv(5, 5, norm=None, activation=nn.Identity).double()
    nn.init.zeros_(conv.A.weight), nn.init.zeros_(conv.A.bias)
    conv.D.bias.data.fill_(1e3)
    x, e = features(N, 5), features(edge_index.size(1), 5)
    mean = pyg.SimpleConv(aggr="mean")(conv.B(x), edge_index)
    torch.testing.assert_close(conv(x, edge_index, e)[0], mean, rtol=1e-5, atol=1e-6)


def test_gated_gcn_normalises_nodes_and_edges_in_training(edge_index):
    conv = GatedGCNConv(5, 5, activation=nn.Identity)
    e = torch.randn(edge_index.size(1), 5)
    x, edges = conv(torch.randn(N, 5), edge_index, e)
    for rows in (x, edges - e):
        torch.testing.assert_close(rows.mean(0), torch.zeros(5), rtol=0, atol=1e-5)
        torch.testing.assert_close(rows.std(0, unbiased=False), torch.ones(5), rtol=0, atol=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_ogb_gcn_equals_its_formula(edge_index, weighted):
    conv = OGBGCNConv(4, 5).double()
    x, e = features(N, 4), features(edge_index.size(1), 5)
    weight = torch.rand(edge_index.size(1), dtype=torch.double) if weighted else None
    h, degree = conv.lin(x), 1 + torch.bincount(edge_index[1], minlength=N).double()
    expected = (h + conv.root).relu() / degree[:, None]
    for i, (u, v) in enumerate(edge_index.t().tolist()):
        scale = (1 if weight is None else weight[i]) / (degree[u] * degree[v]).sqrt()
        expected[v] = expected[v] + scale * (h[u] + e[i]).relu()
    torch.testing.assert_close(conv(x, edge_index, e, weight), expected)


@pytest.mark.parametrize("factory", [GINConv, GINEConv, partial(SAGEConv, reduce="sum"), GatedGCNConv])
def test_an_edge_of_weight_two_is_two_edges(factory, edge_index):
    conv = factory(4, 4).double().eval()
    x, e = features(N, 4), features(edge_index.size(1), 4)
    twice = torch.cat([edge_index, edge_index[:, :5]], dim=1), torch.cat([e, e[:5]])
    weight = torch.ones(edge_index.size(1), dtype=torch.double)
    weight[:5] = 2
    weighted, repeated = conv(x, edge_index, e, weight), conv(x, *twice)
    first = (out[0] if isinstance(out, tuple) else out for out in (weighted, repeated))
    torch.testing.assert_close(*first)


@pytest.mark.parametrize("factory", [GINEConv, OGBGCNConv, GatedGCNConv])
def test_edge_features_of_a_wrong_width_are_named(factory, edge_index):
    with pytest.raises(GraphError, match="edge features to node states of width 4"):
        factory(4, 4)(torch.randn(N, 4), edge_index, torch.randn(edge_index.size(1), 3))


@pytest.mark.parametrize("factory", [GCNConv, GINConv, GINEConv, GATConv, SAGEConv, OGBGCNConv, GatedGCNConv])
def test_works_in_pyg_sequential_and_resets(factory, edge_index):
    model = pyg.Sequential(
        "x, edge_index", [(factory(4, 8), "x, edge_index -> x"), nn.ReLU(), (factory(8, 3), "x, edge_index -> x")]
    )
    x = torch.randn(N, 4)
    before = model(x, edge_index)
    assert before.shape == (N, 3)
    model.reset_parameters()
    assert not torch.equal(model(x, edge_index), before)
