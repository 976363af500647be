"""No graph break, also with sizes that change, and the same numbers as eager."""

from __future__ import annotations

import pytest
import torch

from gnnlab.ops import (
    CSR,
    aggregate,
    edge_softmax,
    gated_aggregate,
    gather,
    gine_aggregate,
    scatter_reduce,
    sddmm,
    segment_reduce,
)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(function):
    return torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")


def random_graph(n, e):
    return torch.randint(n, (2, e)), n


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("as_adjacency", [CSR.from_edge_index, lambda edge_index, n: edge_index], ids=["csr", "edges"])
def test_aggregate(reduce, as_adjacency):
    def layer(x, weight, adj):
        return aggregate(x.relu(), adj, reduce, weight) * 2

    fast = compiled(layer)
    for n, e in ((7, 20), (11, 5)):
        adj = as_adjacency(*random_graph(n, e))
        x, weight = torch.randn(n, 3, requires_grad=True), torch.rand(e, requires_grad=True)
        for ours, expected in zip(*(run(f, x, weight, adj) for f in (fast, layer)), strict=True):
            torch.testing.assert_close(ours, expected)


def test_every_other_operation_in_one_graph():
    edge_index, n = random_graph(6, 14)
    adj, ptr = CSR.from_edge_index(edge_index, n), torch.tensor([0, 2, 2, 6])

    def model(x, edge):
        attention = edge_softmax(sddmm(x, x, adj), adj)
        mixed = aggregate(x, adj, "sum", attention) + gine_aggregate(x, edge, adj)
        num, den = gated_aggregate(mixed, edge.sigmoid(), adj)
        nodes = num / (den + 1) + scatter_reduce(gather(mixed, edge_index[0]), edge_index[1], n, "mean")
        return segment_reduce(nodes, ptr, "max")

    x, edge = torch.randn(n, 4, requires_grad=True), torch.randn(14, 4, requires_grad=True)
    for ours, expected in zip(*(run(f, x, edge) for f in (compiled(model), model)), strict=True):
        torch.testing.assert_close(ours, expected)


def test_autocast_promotes_to_the_widest():
    edge_index, n = random_graph(6, 14)
    x, weight = torch.randn(n, 4, dtype=torch.bfloat16), torch.rand(14)
    expected = aggregate(x.float(), edge_index, "sum", weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(aggregate(x, edge_index, "sum", weight), expected)
        assert torch.equal(compiled(aggregate)(x, edge_index, "sum", weight), expected)


def run(function, *inputs):
    out = function(*inputs)
    leaves = [tensor for tensor in inputs if isinstance(tensor, torch.Tensor) and tensor.requires_grad]
    return out, *torch.autograd.grad(out.square().sum(), leaves)
