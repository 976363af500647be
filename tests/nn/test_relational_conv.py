"""Relation-aware convolutions: the library's check, oracles on subsets of edges, PyG with copied weights."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from gnnlab.nn import (
    BatchNorm,
    Dropout,
    EdgeTable,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    RelationalConv,
    RGatedGCNConv,
    RGCNConv,
    RGINConv,
    SAGEConv,
)
from gnnlab.ops import CSR
from gnnlab.testing import check_conv

N = 9
CASES = {
    "relational-gcn": (RelationalConv, None, 2),
    "relational-gin": (partial(RelationalConv, conv=GINConv, num_relations=3), None, 3),
    "relational-gine": (partial(RelationalConv, conv=GINEConv, num_relations=3), 4, 3),
    "relational-gat": (partial(RelationalConv, conv=partial(GATConv, heads=2)), None, 2),
    "relational-gated": (partial(RelationalConv, conv=GatedGCNConv), 4, 2),
    "relational-pyg": (partial(RelationalConv, conv=pyg.GraphConv), None, 2),
    "relational-no-root": (partial(RelationalConv, conv=SAGEConv, root=False), None, 2),
    "rgcn": (RGCNConv, None, 2),
    "rgcn-basis": (partial(RGCNConv, num_relations=4, num_bases=2), None, 4),
    "rgcn-bare": (partial(RGCNConv, num_relations=3, root=False, bias=False), None, 3),
    "rgin": (partial(RGINConv, train_eps=True), None, 2),
    "rgated": (partial(RGatedGCNConv, num_relations=3, dropout=0.2, activation=nn.GELU), 4, 3),
    "pyg-rgcn": (partial(pyg.RGCNConv, num_relations=2), None, 2),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_check_conv(case):
    factory, edge_dim, num_relations = case
    check_conv(factory, edge_dim=edge_dim, num_relations=num_relations)


@pytest.mark.parametrize("factory", [RelationalConv, RGCNConv, RGINConv, RGatedGCNConv])
def test_without_types(factory):
    """All edges are of relation 0, so the weights of relation 1 see no edge: not every parameter has a gradient."""
    conv, x, edge_index = factory(4, 3).double().eval(), features(N, 4), torch.randint(N, (2, 20))
    zeros = torch.zeros(20, dtype=torch.long)
    torch.testing.assert_close(conv(x, edge_index), conv(x, edge_index, edge_type=zeros))


def features(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.double)


def kinds(edge_index: Tensor, relations: int = 3) -> Tensor:
    """Types of which relation 1 has no edge."""
    return 2 * (torch.arange(edge_index.size(1)) * 7 % 5 % 2) % relations


@pytest.mark.parametrize("conv", [GCNConv, GINConv, GINEConv, partial(GATConv, heads=2), SAGEConv, pyg.GraphConv])
@pytest.mark.parametrize("as_csr", [False, True])
def test_relational_conv_is_the_sum_of_convs_on_subsets_of_edges(edge_index, conv, as_csr):
    ours, edge_type = RelationalConv(4, 6, conv, num_relations=3).double().eval(), kinds(edge_index)
    x, e, w = features(N, 4), features(edge_index.size(1), 4), torch.rand(edge_index.size(1)).double()
    expected = ours.root(x)
    for relation, part in enumerate(ours.convs):
        mine = edge_type == relation
        known = {"edge_attr": e[mine], "edge_weight": w[mine]}
        known = {name: known[name] for name in ours.accepted if name in known}
        expected = expected + part(x, edge_index[:, mine], **known)
    adj = CSR.from_edge_index(edge_index, N) if as_csr else edge_index
    torch.testing.assert_close(ours(x, adj, e, w, edge_type), expected)


def test_edge_states_come_back_in_the_order_of_the_edges(edge_index):
    conv, edge_type = RelationalConv(5, 5, GatedGCNConv, num_relations=3).double().eval(), kinds(edge_index)
    x, e = features(N, 5), features(edge_index.size(1), 5)
    expected, states = conv.root(x), torch.zeros_like(e)
    for relation, part in enumerate(conv.convs):
        mine = edge_type == relation
        nodes, states[mine] = part(x, edge_index[:, mine], e[mine])
        expected = expected + nodes
    out, edges = conv(x, edge_index, e, edge_type=edge_type)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(edges, states)


def test_edge_tables_are_passed_on(edge_index):
    conv, edge_type = RelationalConv(4, 6, GINEConv, num_relations=3).double(), kinds(edge_index)
    table = EdgeTable(features(5, 4), torch.arange(edge_index.size(1)) % 5)
    assert conv.reads_edge_tables
    assert not RelationalConv(4, 6, GatedGCNConv).reads_edge_tables
    x = features(N, 4)
    torch.testing.assert_close(
        conv(x, edge_index, table, edge_type=edge_type), conv(x, edge_index, table.dense(), edge_type=edge_type)
    )


@pytest.mark.parametrize("num_bases", [None, 2])
@pytest.mark.parametrize("widths", [(4, 6), (6, 4)])
@pytest.mark.parametrize("root", [True, False])
def test_rgcn_equals_pyg(edge_index, num_bases, widths, root):
    ours = RGCNConv(*widths, 3, num_bases, root=root).double()
    theirs = pyg.RGCNConv(*widths, 3, num_bases, root_weight=root).double()
    nn.init.normal_(ours.bias)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    theirs.weight.data, theirs.bias.data = ours.weight.detach().transpose(1, 2).contiguous(), ours.bias.detach()
    if num_bases:
        theirs.comp.data = ours.basis.detach()
    if root:
        theirs.root.data = ours.root.weight.detach().t().contiguous()
    x, edge_type = features(N, widths[0]).requires_grad_(), kinds(edge_index)
    results = [conv(x, edge_index, edge_type=edge_type) for conv in (ours, theirs)]
    torch.testing.assert_close(*results)
    probe = features(N, widths[1])
    torch.testing.assert_close(*(torch.autograd.grad((out * probe).sum(), x)[0] for out in results))


def test_rgcn_starts_as_glorot_says():
    conv = RGCNConv(50, 30, 4)
    bound = (6 / 80) ** 0.5
    for weight in (conv.weight, conv.root.weight):
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not conv.bias.any()


def test_rgcn_weights_multiply_the_messages(edge_index):
    conv, edge_type, x = RGCNConv(4, 3, 3).double(), kinds(edge_index), features(N, 4)
    weight = torch.rand(edge_index.size(1)).double()
    expected = conv.root(x) + conv.bias
    for relation in range(3):
        for v in range(N):
            mine = ((edge_type == relation) & (edge_index[1] == v)).nonzero().flatten()
            if len(mine):
                mean = (weight[mine, None] * x[edge_index[0, mine]]).mean(0)
                expected = expected.index_add(0, torch.tensor([v]), (conv.weight[relation] @ mean)[None])
    torch.testing.assert_close(conv(x, edge_index, edge_weight=weight, edge_type=edge_type), expected)


def test_rgin_is_the_layer_of_fosr(edge_index):
    conv, edge_type = RGINConv(4, 6, num_relations=2), kinds(edge_index, 2) // 2
    x = torch.randn(N, 4)
    expected = nn.functional.linear(x, conv.root.weight, conv.root.bias)
    for relation, part in enumerate(conv.convs):
        first, norm, second = part.update[0], part.update[1], part.update[4]
        assert [type(layer) for layer in list(part.update)[2:4]] == [nn.ReLU, Dropout]
        mlp = nn.Sequential(first, nn.BatchNorm1d(6), nn.ReLU(), second)
        assert isinstance(norm, BatchNorm)
        expected = expected + pyg.GINConv(mlp)(x, edge_index[:, edge_type == relation])
    torch.testing.assert_close(conv(x, edge_index, edge_type=edge_type), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_rgated_gcn_equals_its_formula(edge_index, weighted):
    conv, edge_type = RGatedGCNConv(5, 5, 3, norm=None, activation=nn.GELU).double(), kinds(edge_index)
    x, e = features(N, 5), features(edge_index.size(1), 5)
    weight = torch.rand(edge_index.size(1), dtype=torch.double) if weighted else None
    numerator, denominator, states = features(3, N, 5).zero_(), features(3, N, 5).zero_(), []
    for i, (u, v) in enumerate(edge_index.t().tolist()):
        r = int(edge_type[i])
        hat = conv.D[r](x[v]) + conv.E[r](x[u]) + conv.C[r](e[i])
        gate = hat.sigmoid() * (1 if weight is None else weight[i])
        numerator[r, v] += gate * conv.B[r](x[u])
        denominator[r, v] += gate
        states.append(e[i] + nn.functional.gelu(hat))
    nodes = nn.functional.gelu(conv.A(x) + (numerator / (denominator + 1e-6)).sum(0))
    out, edges = conv(x, edge_index, e, weight, edge_type)
    torch.testing.assert_close(out, nodes)
    torch.testing.assert_close(edges, torch.stack(states))


def test_rgated_gcn_of_one_relation_is_gated_gcn(edge_index):
    plain, ours = GatedGCNConv(5, 5).double(), RGatedGCNConv(5, 5, 1).double()
    names = {f"{name}.{rest}": f"{name}.0.{rest}" for name in "BCDE" for rest in ("weight", "bias")}
    ours.load_state_dict({names.get(key, key): value for key, value in plain.state_dict().items()})
    x, e = features(N, 5), features(edge_index.size(1), 5)
    for actual, expected in zip(ours(x, edge_index, e), plain(x, edge_index, e), strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("factory", [RGCNConv, partial(RelationalConv, conv=GINEConv), RGatedGCNConv])
def test_second_derivatives(factory):
    conv, x = factory(2, 2, num_relations=2).double().eval(), features(3, 2).requires_grad_()
    edge_index, edge_type = torch.tensor([[0, 1, 2, 0], [1, 0, 1, 1]]), torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradgradcheck(lambda x: conv(x, edge_index, edge_type=edge_type).tanh(), x)


@pytest.mark.parametrize("factory", [RelationalConv, RGCNConv, RGINConv, RGatedGCNConv])
def test_works_in_pyg_sequential_and_resets(factory, edge_index):
    names = "x, edge_index, edge_attr, edge_weight, edge_type"
    model = pyg.Sequential(names, [(factory(4, 8), f"{names} -> x"), nn.ReLU(), (factory(8, 3), f"{names} -> x")])
    x, edge_type = torch.randn(N, 4), torch.arange(edge_index.size(1)) % 2
    before = model(x, edge_index, None, None, edge_type)
    assert before.shape == (N, 3)
    model.reset_parameters()
    assert not torch.equal(model(x, edge_index, None, None, edge_type), before)


def test_compiles_with_the_split_outside(edge_index):
    conv, adj = RGCNConv(4, 4).eval(), CSR.from_edge_index(edge_index, N)
    x, edge_type = torch.randn(N, 4), torch.arange(edge_index.size(1)) % 2
    compiled = torch.compile(conv, backend="aot_eager")
    torch.testing.assert_close(compiled(x, adj, edge_type=edge_type), conv(x, adj, edge_type=edge_type))
