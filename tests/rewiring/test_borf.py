"""BORF: the edges chosen against the curvature, pairs that carry the transport, and what it keeps."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import connected_components, ollivier_ricci_curvature
from gnnlab.rewiring import BORF
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def data_of(graph: nx.Graph) -> Data:
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    return Data(edge_index=torch.cat([pairs, pairs.flip(0)], 1), num_nodes=graph.number_of_nodes())


def undirected(edge_index: Tensor) -> set[tuple[int, int]]:
    return {(u, v) for u, v in edge_index.t().tolist() if u < v}


def curvatures(data: Data) -> dict[tuple[int, int], float]:
    values = ollivier_ricci_curvature(data.edge_index, torch.tensor([0, data.num_nodes]))
    found = zip(data.edge_index.t().tolist(), values.tolist(), strict=True)
    return {(u, v): round(value, 9) for (u, v), value in sorted(found) if u < v}


def test_barbell():
    """Two quarters of the mass cross the bridge of K4-K4 at cost 3; joining such a pair raises its curvature."""
    data = data_of(nx.barbell_graph(4, 0))
    rewired = BORF(num_added=1, num_removed=1)(data)
    added = undirected(rewired.edge_index) - undirected(data.edge_index)
    ((p, q),) = added
    assert p in (0, 1, 2)
    assert q in (5, 6, 7)
    assert undirected(data.edge_index) - undirected(rewired.edge_index) == {(0, 1)}
    assert curvatures(BORF(num_added=1, num_removed=0)(data))[3, 4] > curvatures(data)[3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_one_batch(seed):
    graph = nx.gnp_random_graph(14, 0.25, seed=seed)
    data = data_of(graph)
    known = curvatures(data)
    lowest = sorted(known, key=known.get)[:5]
    highest = sorted(known, key=lambda edge: -known[edge])[:3]
    now = undirected(BORF(num_added=5, num_removed=3)(data).edge_index)
    assert set(known) - now == set(highest)
    added = now - set(known)
    pairs = {tuple(sorted((p, q))) for u, v in lowest for p in graph[u] for q in graph[v]}
    assert added <= pairs
    assert len(added) <= 5


def test_batches_follow_one_another():
    data = data_of(nx.barbell_graph(4, 1))
    once = BORF(num_added=2, num_removed=1)
    twice = BORF(num_batches=2, num_added=2, num_removed=1)
    assert undirected(twice(data).edge_index) == undirected(once(once(data)).edge_index)
    rewired = twice(data)
    assert set(rewired.edge_order[rewired.edge_type == 1].tolist()) == {1, 2}


def test_more_than_there_is():
    data = data_of(nx.path_graph(3))
    assert BORF(num_added=50, num_removed=50)(data).num_edges == 0
    assert torch.equal(BORF(num_added=50, num_removed=0)(data).edge_index, data.edge_index)


@settings(max_examples=30)
@given(unions(max_nodes=9, max_edges=14), st.integers(0, 4), st.integers(0, 3))
def test_keeps_graphs_simple_and_components_apart(union, num_added, num_removed):
    rewired = BORF(2, num_added, num_removed, symmetrise=True)(union)
    new = rewired.edge_type == 1
    added, kept = rewired.edge_index[:, new], rewired.edge_index[:, ~new]
    there = set(map(tuple, union.edge_index.t().tolist()))
    keys = added[0] * union.num_nodes + added[1]
    assert keys.unique().numel() == keys.numel()
    assert not any(edge in there or edge[0] == edge[1] for edge in map(tuple, added.t().tolist()))
    assert set(map(tuple, kept.t().tolist())) <= there
    component = connected_components(union.edge_index, union.num_nodes)
    assert torch.equal(component[added[0]], component[added[1]])


@pytest.mark.parametrize("transform", [BORF(symmetrise=True), BORF(3, 4, 2, symmetrise=True)])
def test_contract(transform):
    check_transform(transform)


def test_refusals():
    with pytest.raises(ConfigError, match="at least 0"):
        BORF(num_added=-1)
    with pytest.raises(GraphError, match="symmetrise=True"):
        BORF()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
