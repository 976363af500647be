"""Components laid out side by side: what the layout promises, and both engines number for number."""

from __future__ import annotations

from dataclasses import astuple
from importlib.util import find_spec

import networkx as nx
import pytest
import torch
from hypothesis import given, settings

from gnnlab.graph import _symmetric
from gnnlab.graph._symmetric import by_component, symmetric
from gnnlab.testing.strategies import unions


@settings(max_examples=100, deadline=None)
@given(unions(max_nodes=9, max_edges=14))
def test_the_layout(batch) -> None:
    edges, weight = symmetric(batch.edge_index, torch.rand(batch.num_edges))
    n = batch.num_nodes
    component, union = by_component(edges, weight, n)
    graph = nx.empty_graph(n)
    graph.add_edges_from(edges.t().tolist())
    expected = sorted(nx.connected_components(graph), key=min)
    assert [{v for v in range(n) if component[v] == c} for c in range(len(expected))] == expected
    sizes = union.ptr.diff()
    assert sizes.tolist() == sorted(map(len, expected))
    assert union.row.sort().values.tolist() == list(range(n))
    for place, group in enumerate(union.group.tolist()):
        members = (component == group).nonzero().flatten()
        assert union.row[members].tolist() == list(range(int(union.ptr[place]), int(union.ptr[place + 1])))
    listed = [
        (row, int(union.column[slot]), float(union.weight[slot]))
        for row in range(n)
        for slot in range(int(union.edge_ptr[row]), int(union.edge_ptr[row + 1]))
    ]
    given_edges = zip(*union.row[edges].tolist(), weight.tolist(), strict=True)
    assert listed == sorted(given_edges, key=lambda edge: edge[0])  # stable


@pytest.mark.skipif(find_spec("numba") is None, reason="one engine only")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_engines_agree(dtype: torch.dtype) -> None:
    from gnnlab.graph import _components_numba

    generator = torch.Generator().manual_seed(0)
    for n, m in ((0, 0), (1, 0), (7, 0), (300, 150), (300, 280), (300, 2000)):
        edges = torch.randint(max(n, 1), (2, m), generator=generator)
        weight = torch.rand(m, generator=generator, dtype=dtype)
        label, union = _components_numba.by_component(edges, weight, n)
        other_label, other = _symmetric._by_component(edges, weight, n)
        assert torch.equal(label, other_label)
        for mine, theirs in zip(astuple(union), astuple(other), strict=True):
            assert mine.dtype == theirs.dtype
            assert torch.equal(mine, theirs)


def test_weights_that_need_gradients_keep_them() -> None:
    weight = torch.ones(2, requires_grad=True)
    _, union = by_component(torch.tensor([[0, 1], [1, 0]]), weight, 2)
    union.weight.sum().backward()
    assert weight.grad.tolist() == [1, 1]
