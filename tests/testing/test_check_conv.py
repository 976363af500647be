"""check_conv passes correct layers and names the property a broken one violates."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from gnnlab.errors import ConfigError
from gnnlab.ops import CSR
from gnnlab.testing import check_conv


def summed(x, edge_index, messages=None):
    source, target = edge_index
    messages = x[source] if messages is None else messages
    return x.new_zeros(x.size(0), messages.size(1)).index_add(0, target, messages)


class Sum(nn.Module):
    """A correct layer; the broken ones below differ from it in one place."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = nn.Linear(in_channels, out_channels)

    def forward(self, x, edge_index):
        return self.lin(x + summed(x, edge_index))


class WrongWidth(Sum):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index)[:, :-1]


class NodeNumbers(Sum):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index) + torch.arange(x.size(0))[:, None]


class LastEdgeWins(Sum):
    def forward(self, x, edge_index):
        kept = torch.zeros_like(x)
        for source, target in edge_index.t().tolist():
            kept = kept.index_copy(0, torch.tensor([target]), x[source][None])
        return self.lin(x + kept)


class EdgeStatesInSortedOrder(Sum):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.edge = nn.Linear(3, out_channels)

    def forward(self, x, edge_index, edge_attr):
        edges = self.edge(edge_attr)
        order = edge_attr[:, 0].argsort()
        return super().forward(x, edge_index) + summed(x, edge_index, edges), edges[order]


class MeanOverTheBatch(Sum):
    def forward(self, x, edge_index):
        return super().forward(x - (x.mean(0) if x.size(0) else 0), edge_index)


class MeanOfTheGraph(Sum):
    """Correct: it is told which nodes belong to one graph."""

    def forward(self, x, edge_index, ptr):
        graph = torch.repeat_interleave(torch.arange(ptr.numel() - 1), ptr.diff())
        mean = x.new_zeros(ptr.numel() - 1, x.size(1)).index_add(0, graph, x) / ptr.diff().clamp(min=1)[:, None]
        return super().forward(x - mean[graph], edge_index)


class IgnoresGraphs(MeanOfTheGraph):
    def forward(self, x, edge_index, ptr):
        return super().forward(x, edge_index, ptr[[0, -1]])


class TransposedCSR(Sum):
    def forward(self, x, adj):
        edge_index = adj.t().edge_index if isinstance(adj, CSR) else adj
        return super().forward(x, edge_index)


class CutGradient(Sum):
    def forward(self, x, edge_index):
        return super().forward(x.detach(), edge_index)


class IdleParameter(Sum):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.idle = nn.Parameter(torch.ones(1))


class WrongBackward(Sum):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return grad

    def forward(self, x, edge_index):
        return self.Double.apply(super().forward(x, edge_index))


class MeanOfNothing(Sum):
    def forward(self, x, edge_index):
        degree = torch.bincount(edge_index[1], minlength=x.size(0))
        return self.lin(x + summed(x, edge_index) / degree[:, None])


class NeedsANode(Sum):
    def forward(self, x, edge_index):
        return super().forward(x / x.abs().max().clamp(min=1e9) * 1e9, edge_index)


class WritesIntoEdges(Sum):
    def forward(self, x, edge_index):
        out = super().forward(x, edge_index)
        edge_index.fill_(0)
        return out


class WritesIntoNodes(Sum):
    def forward(self, x, edge_index):
        if not x.requires_grad:
            x += 0.5
        return super().forward(x, edge_index)


class Remembers(Sum):
    calls = 0

    def forward(self, x, edge_index):
        self.calls += x.size(0) == 4
        return super().forward(x, edge_index) + self.calls


class HiddenState(Sum):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.scale = torch.rand(())

    def forward(self, x, edge_index):
        return self.scale * super().forward(x, edge_index)


class IgnoresTypes(Sum):
    def forward(self, x, edge_index, edge_type):
        return super().forward(x, edge_index)


class KeepsOldTypes(Sum):
    """Remembers the types of an adjacency, whatever comes later."""

    def forward(self, x, adj, edge_type):
        sparse = isinstance(adj, CSR)
        edge_index = adj.edge_index if sparse else adj
        first = adj.memo("first", lambda: (edge_type == 0).clone()) if sparse else edge_type == 0
        return super().forward(x, edge_index[:, first])


class KeepsTypesByIdentity(Sum):
    """Remembers the types of a tensor, whatever is written into it later."""

    def forward(self, x, adj, edge_type):
        sparse = isinstance(adj, CSR)
        edge_index = adj.edge_index if sparse else adj
        first = adj.memo(id(edge_type), lambda: (edge_type, edge_type == 0))[1] if sparse else edge_type == 0
        return super().forward(x, edge_index[:, first])


class FirstRelation(Sum):
    def forward(self, x, edge_index, edge_type):
        return super().forward(x, edge_index[:, edge_type == 0])


BROKEN = {
    "output shape": [WrongWidth],
    "permutation equivariance": [NodeNumbers],
    "edge order invariance": [LastEdgeWins, EdgeStatesInSortedOrder],
    "batch equals single": [MeanOverTheBatch],
    "CSR equals edge_index": [TransposedCSR],
    "gradients": [CutGradient, IdleParameter, WrongBackward],
    "degenerate graphs": [MeanOfNothing, NeedsANode],
    "inputs unaltered": [WritesIntoEdges, WritesIntoNodes],
    "determinism": [Remembers],
    "state_dict round trip": [HiddenState],
}


@pytest.mark.parametrize(
    ("layer", "name"), [(layer, name) for name, layers in BROKEN.items() for layer in layers], ids=lambda v: str(v)
)
def test_broken_layers_are_caught_by_name(layer, name):
    edge_dim = 3 if layer is EdgeStatesInSortedOrder else None
    with pytest.raises(AssertionError, match=f"^{layer.__name__}: {name}: "):
        check_conv(layer, edge_dim=edge_dim)


@pytest.mark.parametrize("layer", [Sum, pyg.GATConv, pyg.SAGEConv, partial(pyg.GraphConv, aggr="mean")])
def test_correct_layers_pass(layer):
    check_conv(layer)
    check_conv(layer, in_channels=3, out_channels=3, seed=7)


def test_layers_that_work_on_whole_graphs_are_told_them():
    check_conv(MeanOfTheGraph)
    with pytest.raises(AssertionError, match=r"^IgnoresGraphs: batch equals single: "):
        check_conv(IgnoresGraphs)


def test_layers_with_edge_features_pass():
    check_conv(partial(pyg.GATv2Conv, edge_dim=2), edge_dim=2)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (IgnoresTypes, "other edge types do not change"),
        (KeepsOldTypes, "other edge types do not change"),
        (KeepsTypesByIdentity, "changed in place are not noticed"),
    ],
)
def test_layers_that_mistake_edge_types_are_caught(layer, message):
    with pytest.raises(AssertionError, match=f"^{layer.__name__}: edge types: .*{message}"):
        check_conv(layer, num_relations=2)


def test_layers_with_edge_types_pass():
    check_conv(FirstRelation, num_relations=2)
    check_conv(partial(pyg.RGCNConv, num_relations=3), num_relations=3)
    check_conv(partial(pyg.FiLMConv, num_relations=2), num_relations=2)


def test_a_single_relation_cannot_be_checked():
    with pytest.raises(ConfigError, match="at least 2"):
        check_conv(FirstRelation, num_relations=1)


def test_exceptions_are_reported_as_the_property_they_break():
    with pytest.raises(AssertionError, match="GATv2Conv: output shape: raised"):
        check_conv(partial(pyg.GATv2Conv, edge_dim=2), edge_dim=3)


def test_the_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    check_conv(Sum)
    assert torch.equal(torch.random.get_rng_state(), before)
