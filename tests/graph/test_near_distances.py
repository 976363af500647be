"""Distances of pairs and histograms of distances against networkx, on every route."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import _search_torch, distance_histogram, near_distances, pair_distances
from gnnlab.testing.strategies import unions


def distances(batch: Batch, cutoff: int) -> list[dict[int, int]]:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(batch.num_nodes))
    graph.add_edges_from(batch.edge_index.t().tolist())
    return [nx.single_source_shortest_path_length(graph, v, cutoff) for v in graph]


ROUTES = {
    "table": {},
    "parts of the table": {"_CELLS": 16},
    "tensor program": {"engine": lambda *_: _search_torch},
    "near pairs": {"_MOST_CELLS": -1},
}


@pytest.mark.parametrize("route", ROUTES)
@given(batch=unions(), cutoff=st.integers(0, 4), drawn=st.randoms(use_true_random=False))
def test_equals_networkx(route, batch, cutoff, drawn) -> None:
    n = batch.num_nodes
    pairs = torch.tensor([[drawn.randrange(n), drawn.randrange(n)] for _ in range(20 if n else 0)], dtype=torch.long)
    pairs = pairs.view(-1, 2).t()
    table = distances(batch, cutoff)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ROUTES[route].items():
            patch.setattr(near_distances, name, value)
        found = pair_distances(batch.edge_index, batch.ptr, pairs, cutoff)
        histogram = distance_histogram(batch.edge_index, batch.ptr, cutoff)
    assert found.tolist() == [table[u].get(v, -1) for u, v in pairs.t().tolist()]
    assert histogram.tolist() == [[list(row.values()).count(d) for d in range(cutoff + 1)] for row in table]


@pytest.mark.parametrize("cells", [1 << 22, 1])
@given(batch=unions(), cutoff=st.integers(0, 4), drawn=st.randoms(use_true_random=False))
def test_targets(cells, batch, cutoff, drawn) -> None:
    targets = torch.tensor([drawn.random() < 0.5 for _ in range(batch.num_nodes)], dtype=torch.bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_distances, "_CELLS", cells)
        histogram = distance_histogram(batch.edge_index, batch.ptr, cutoff, targets)
    expected = [
        [sum(targets[u].item() and e == d for u, e in row.items()) for d in range(cutoff + 1)]
        for row in distances(batch, cutoff)
    ]
    assert histogram.tolist() == expected


def test_few_hops_in_a_large_graph() -> None:
    n = 150_000
    nodes = torch.arange(n)
    ring = torch.stack([nodes, (nodes + 1) % n])
    edge_index, ptr = torch.cat([ring, ring.flip(0)], 1), torch.tensor([0, n])
    pairs = torch.tensor([[0, 5, 0, 7], [3, n - 1, 4, 7]])
    assert pair_distances(edge_index, ptr, pairs, 3).tolist() == [3, -1, -1, 0]
    assert distance_histogram(edge_index, ptr, 3).unique(dim=0).tolist() == [[1, 2, 2, 2]]
    with pytest.raises(BudgetError, match="pairs"):
        distance_histogram(edge_index, ptr, 1000)
    found = distance_histogram(edge_index, ptr, 5, nodes % 50_000 == 0)
    assert found.sum(0).tolist() == [3, 6, 6, 6, 6, 6]


def test_bad_input() -> None:
    edge_index, ptr = torch.tensor([[0], [1]]), torch.tensor([0, 2])
    with pytest.raises(ConfigError, match="cutoff"):
        distance_histogram(edge_index, ptr, -1)
    with pytest.raises(GraphError, match="targets"):
        distance_histogram(edge_index, ptr, 1, torch.tensor([1, 0]))
    with pytest.raises(GraphError, match="pairs"):
        pair_distances(edge_index, ptr, torch.tensor([[0], [2]]), 1)
