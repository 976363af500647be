"""Triangles against networkx, in any numbering, on any union."""

from __future__ import annotations

import itertools

import networkx as nx
import pytest
import torch
from hypothesis import given

from gnnlab.errors import BudgetError, GraphError
from gnnlab.graph import triangles
from gnnlab.testing.strategies import unions


def simple(edge_index: torch.Tensor, num_nodes: int) -> nx.Graph:
    graph = nx.empty_graph(num_nodes)
    graph.add_edges_from((u, v) for u, v in edge_index.t().tolist() if u != v)
    return graph


def brute(graph: nx.Graph) -> list[list[int]]:
    triples = itertools.combinations(sorted(graph), 3)
    return [list(t) for t in triples if all(graph.has_edge(*pair) for pair in itertools.combinations(t, 2))]


@given(batch=unions(max_nodes=8, max_edges=24))
def test_any_union_matches_brute_force(batch) -> None:
    found = triangles(batch.edge_index, batch.ptr)
    assert found.dtype == torch.long
    assert found.t().tolist() == brute(simple(batch.edge_index, batch.num_nodes))


@pytest.mark.parametrize("budget", [1, 7, 1 << 22])
def test_slices_change_nothing(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(triangles.__wrapped__.__globals__, "_BUDGET", budget)
    graph = nx.gnp_random_graph(40, 0.3, seed=1)
    edge_index = torch.tensor(list(graph.edges)).t()
    assert triangles(edge_index, torch.tensor([0, 40])).t().tolist() == brute(graph)


def test_a_hub_costs_no_more_than_its_edges() -> None:
    """A star of 1e5 leaves has 5e9 pairs of edges, none of which is looked at."""
    leaves = torch.arange(1, 100_001)
    star = torch.stack([torch.zeros_like(leaves), leaves])
    rim = torch.stack([leaves, leaves.roll(-1)])
    found = triangles(torch.cat([star, rim], 1), torch.tensor([0, 100_001]))
    assert found.size(1) == 100_000
    assert bool((found[0] == 0).all())


def test_says_what_is_wrong() -> None:
    one_way = torch.tensor([[0, 1, 2], [1, 2, 0]])
    with pytest.raises(GraphError, match="one direction only"):
        triangles(one_way, torch.tensor([0, 3]), symmetrise=False)
    with pytest.raises(BudgetError, match="max_triangles=0"):
        triangles(one_way, torch.tensor([0, 3]), max_triangles=0)
