"""No graph break, also with sizes that change, and the same numbers as eager."""

from __future__ import annotations

import pytest
import torch

from gnnlab.ops import (
    CSR,
    aggregate,
    attention_aggregate,
    batch_norm,
    dropout,
    edge_softmax,
    gated_aggregate,
    gated_gcn_aggregate,
    gather,
    gather_source,
    gather_target,
    gine_aggregate,
    linear,
    scatter_reduce,
    sddmm,
    segment_expand,
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

    def fused(x, edge):
        mixed, logits = gated_gcn_aggregate(x, x, x, edge, adj)
        heads = attention_aggregate(
            mixed.view(n, 2, 2), adj, edge=(logits * gather_source(x, adj)).view(14, 2, 2)[..., 0]
        )
        mixed = heads.flatten(1) + gine_aggregate(mixed, edge[:3], adj, torch.arange(14) % 3)
        mixed, _, _ = batch_norm(mixed, x[0], x[1], relu=True)
        mixed = dropout(linear(mixed, x[:4]), 0.5, residual=x, seed=torch.tensor([1, 2]))
        return segment_expand(segment_reduce(mixed, ptr), ptr, n) + aggregate(gather_target(x, adj)[:n], adj)

    x, edge = torch.randn(n, 4, requires_grad=True), torch.randn(14, 4, requires_grad=True)
    for function in (model, fused):
        for ours, expected in zip(*(run(f, x, edge) for f in (compiled(function), function)), strict=True):
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
