"""The same bits in every run, and the routes taken on other devices, exercised here."""

from __future__ import annotations

import pytest
import torch

from gnnlab.ops import CSR, _torch, aggregate, edge_softmax, gated_aggregate, gather, gine_aggregate, scatter_reduce
from gnnlab.ops._layout import layout_of


def random_graph(n=300, e=4000):
    edge_index = torch.randint(n, (2, e))
    edge_index[1, : e // 4] = 7
    return edge_index, n


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_repeated_runs_are_bit_identical(dtype):
    edge_index, n = random_graph()
    x = torch.randn(n, 19, dtype=dtype, requires_grad=True)
    edge = torch.randn(edge_index.size(1), 19, dtype=dtype, requires_grad=True)
    adj = CSR.from_edge_index(edge_index, n)

    def everything():
        outs = [aggregate(x, adj, reduce, edge[:, 0]) for reduce in ("sum", "mean", "max", "min")]
        outs += [gine_aggregate(x, edge, adj), *gated_aggregate(x, edge, adj), edge_softmax(edge, adj)]
        outs += [gather(x, edge_index[0]), scatter_reduce(edge, edge_index[1], n)]
        return [*outs, *torch.autograd.grad([out.square().sum() for out in outs], (x, edge))]

    first = everything()
    for _ in range(3):
        assert all(torch.equal(left, right) for left, right in zip(first, everything(), strict=True))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_both_routes_to_an_extremum_agree(largest, dtype):
    edge_index, n = random_graph()
    edge_index = edge_index[:, edge_index[1] % 5 != 1]  # some rows are empty
    x = torch.randint(-3, 4, (n, 37)).to(dtype)  # many ties
    x[13, ::3] = torch.nan
    x[17:23] = torch.inf
    x[60:90] = -torch.inf
    layout = layout_of(CSR.from_edge_index(edge_index, n))
    sparse = _torch._extremum_sparse(x, largest, layout)
    bag = _torch._extremum_bag(x, largest, layout)
    assert torch.equal(sparse[0].nan_to_num(9.0), bag[0].nan_to_num(9.0))
    finite = sparse[0].isfinite()
    assert torch.equal(sparse[1][finite], bag[1][finite])


def test_memory_of_a_weighted_sum_is_not_of_size_edges_times_features():
    edge_index, n = random_graph(100, 20000)
    x, weight = torch.randn(n, 64, requires_grad=True), torch.rand(20000, requires_grad=True)
    adj = CSR.from_edge_index(edge_index, n)
    with torch.profiler.profile(profile_memory=True) as profile:
        aggregate(x, adj, "sum", weight).sum().backward()
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest < edge_index.size(1) * 64 * 4 / 2
