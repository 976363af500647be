"""Cycles and closed walks against networkx, dense powers and the published counts."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import closed_walk_counts, cycle_counts, triangles
from gnnlab.testing.strategies import unions


def union_of(graphs: list[nx.Graph]) -> tuple[Tensor, Tensor]:
    graph = nx.disjoint_union_all(graphs)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, *(g.number_of_nodes() for g in graphs)]).cumsum(0)


def dense(edge_index: Tensor, num_nodes: int) -> Tensor:
    matrix = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    matrix[edge_index[0], edge_index[1]] = 1
    return torch.maximum(matrix, matrix.t()).fill_diagonal_(0)


def listed(matrix: Tensor, max_length: int) -> tuple[Tensor, Tensor]:
    """Cycles through every node [N, L] and through every pair of neighbours [N, N, L], one by one."""
    size = matrix.size(0)
    nodes = torch.zeros(size, max_length - 2, dtype=torch.long)
    pairs = torch.zeros(size, size, max_length - 2, dtype=torch.long)
    for cycle in nx.simple_cycles(nx.from_numpy_array(matrix.numpy()), length_bound=max_length):
        for node, following in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            nodes[node, len(cycle) - 3] += 1
            pairs[node, following, len(cycle) - 3] += 1
            pairs[following, node, len(cycle) - 3] += 1
    return nodes, pairs


@pytest.mark.parametrize("method", ["enumerate", "homomorphisms"])
@settings(max_examples=40)
@given(batch=unions(max_nodes=7, max_edges=16, max_graphs=2))
def test_any_union_matches_the_cycles_of_networkx(batch, method: str) -> None:
    nodes, pairs = listed(dense(batch.edge_index, batch.num_nodes), 7)
    call = {"max_length": 7, "method": method}
    assert torch.equal(cycle_counts(batch.edge_index, batch.ptr, **call), nodes)
    s, t = batch.edge_index
    assert torch.equal(cycle_counts(batch.edge_index, batch.ptr, level="edge", **call), pairs[s, t])
    sums = torch.stack([part.sum(0) for part in nodes.split(batch.ptr.diff().tolist())])
    whole = sums // torch.arange(3, 8)
    assert torch.equal(cycle_counts(batch.edge_index, batch.ptr, level="graph", **call), whole)


@given(batch=unions(max_nodes=6, max_edges=14, max_graphs=3), length=st.integers(2, 7))
def test_closed_walks_are_powers(batch, length: int) -> None:
    matrix = dense(batch.edge_index, batch.num_nodes)
    powers = [torch.linalg.matrix_power(matrix, k) for k in range(length + 1)]
    nodes = closed_walk_counts(batch.edge_index, batch.ptr, length)
    assert torch.equal(nodes, torch.stack([power.diagonal() for power in powers[2:]], 1))
    s, t = batch.edge_index
    edges = closed_walk_counts(batch.edge_index, batch.ptr, length, level="edge")
    expected = torch.stack([power[s, t] for power in powers[1:-1]], 1)
    assert torch.equal(edges, torch.where((s == t)[:, None], 0, expected))
    traces = torch.stack([part.sum(0) for part in nodes.split(batch.ptr.diff().tolist())])
    assert torch.equal(closed_walk_counts(batch.edge_index, batch.ptr, length, level="graph"), traces)


def test_published_traces() -> None:
    edge_index, ptr = union_of([nx.cycle_graph(5), nx.complete_graph(4), nx.petersen_graph()])
    assert closed_walk_counts(edge_index, ptr, 7, level="graph").tolist() == [
        [10, 0, 30, 10, 100, 70],
        [12, 24, 84, 240, 732, 2184],
        [30, 0, 150, 120, 990, 1680],
    ]


def test_published_cycles() -> None:
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    cells = [(a, b) for a in range(4) for b in range(4)]
    steps = [(0, 1), (1, 0), (1, 1)]
    shrikhande = nx.Graph([((a, b), ((a + x) % 4, (b + y) % 4)) for a, b in cells for x, y in steps])
    edge_index, ptr = union_of([rook, shrikhande, nx.petersen_graph()])
    assert cycle_counts(edge_index, ptr, 5, level="graph").tolist() == [[32, 60, 288], [32, 60, 288], [0, 0, 12]]
    assert cycle_counts(edge_index, ptr, 5, level="edge")[:96].tolist() == [[2, 5, 30]] * 96


def test_triangles_are_cycles_of_three() -> None:
    edge_index, ptr = union_of([nx.gnp_random_graph(30, 0.3, seed=s) for s in range(3)])
    counts = torch.bincount(triangles(edge_index, ptr).flatten(), minlength=90)
    assert torch.equal(cycle_counts(edge_index, ptr, 3)[:, 0], counts)


@pytest.mark.mirror
def test_every_connected_graph_of_up_to_seven_nodes(mirror: Path) -> None:
    graphs = []
    for size in range(2, 8):
        found = nx.read_graph6(mirror / "expressiveness" / "all_simple_graphs" / f"graph{size}c.g6")
        graphs += found if isinstance(found, list) else [found]
    assert len(graphs) == 1 + 2 + 6 + 21 + 112 + 853
    edge_index, ptr = union_of(graphs)
    expected = torch.cat([listed(torch.tensor(nx.to_numpy_array(graph)), 6)[0] for graph in graphs])
    for method in ("enumerate", "homomorphisms"):
        assert torch.equal(cycle_counts(edge_index, ptr, 6, method=method), expected)


def test_degenerate_unions() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for ptr in (torch.tensor([0]), torch.tensor([0, 0, 1, 4])):
        for count, width in ((cycle_counts, 4), (closed_walk_counts, 5)):
            assert count(none, ptr, 6).shape == (int(ptr[-1]), width)
            assert count(none, ptr, 6, level="edge").shape == (0, width)
            assert count(none, ptr, 6, level="graph").tolist() == [[0] * width] * (ptr.numel() - 1)


def test_says_what_is_wrong() -> None:
    edge_index, ptr = union_of([nx.complete_graph(30)])
    for length in (2, 9):
        with pytest.raises(ConfigError, match="max_length must be between 3 and 8"):
            cycle_counts(edge_index, ptr, length)
    with pytest.raises(ConfigError, match="max_length must be at least 2"):
        closed_walk_counts(edge_index, ptr, 1)
    with pytest.raises(ConfigError, match=r"(?s)unknown level 'edges'.*edge"):
        closed_walk_counts(edge_index, ptr, level="edges")
    with pytest.raises(BudgetError, match="max_matches=1,000"):
        cycle_counts(edge_index, ptr, 4, max_matches=1000)
    with pytest.raises(BudgetError, match="max_products=1,000"):
        closed_walk_counts(edge_index, ptr, 4, max_products=1000)
