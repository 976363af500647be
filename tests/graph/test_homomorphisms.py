"""Homomorphism counts against sums over all maps, and the published traces."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import _sparse_matrix, homomorphism_counts
from gnnlab.graph._pattern import Pattern, pattern_of
from gnnlab.graph._quotients import images, spasm
from gnnlab.testing.strategies import unions

PATTERNS = (
    "path-2",
    "path-5",
    "star-3",
    "cycle-3",
    "cycle-6",
    "chordal-square",
    "house",
    "bowtie",
    "clique-4",
    "0-1 1-2 2-3 3-0 1-4 4-3 0-2 2-5",
)


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def dense(edge_index: Tensor, num_nodes: int) -> Tensor:
    matrix = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    matrix[edge_index[0], edge_index[1]] = 1
    return torch.maximum(matrix, matrix.t()).fill_diagonal_(0)


def all_maps(matrix: Tensor, pattern: Pattern, kept: str) -> Tensor:
    """Sum over every map of the vertices, the letters ``kept`` held fixed."""
    factors = ",".join("abcdefgh"[u] + "abcdefgh"[v] for u, v in pattern.edges)
    return torch.einsum(f"{factors}->{kept}", *[matrix] * len(pattern.edges))


@given(batch=unions(max_nodes=5, max_edges=12, max_graphs=2), name=st.sampled_from(PATTERNS))
def test_any_union_matches_the_sum_over_all_maps(batch, name: str) -> None:
    pattern = pattern_of(name)
    matrix = dense(batch.edge_index, batch.num_nodes)
    nodes = homomorphism_counts(batch.edge_index, batch.ptr, name)
    edges = homomorphism_counts(batch.edge_index, batch.ptr, name, level="edge")
    for column in range(nodes.size(1)):
        root = pattern.node_orbits.index(column)
        assert torch.equal(nodes[:, column], all_maps(matrix, pattern, "abcdefgh"[root]))
    orbits = pattern.arc_orbits(directed=True)
    for column in range(edges.size(1)):
        a, b = pattern.arcs[orbits.index(column)]
        expected = all_maps(matrix, pattern, "abcdefgh"[a] + "abcdefgh"[b])
        assert torch.equal(edges[:, column], expected[batch.edge_index[0], batch.edge_index[1]])
    whole = homomorphism_counts(batch.edge_index, batch.ptr, name, level="graph")
    parts = [part.sum() for part in nodes[:, 0].split(batch.ptr.diff().tolist())]
    assert torch.equal(whole[:, 0], torch.stack(parts))


@pytest.mark.parametrize(
    ("graph", "traces"),
    [
        (nx.cycle_graph(5), [10, 0, 30, 10, 100, 70]),
        (nx.complete_graph(4), [12, 24, 84, 240, 732, 2184]),
        (nx.petersen_graph(), [30, 0, 150, 120, 990, 1680]),
    ],
)
def test_cycles_are_traces_of_powers(graph: nx.Graph, traces: list[int]) -> None:
    edge_index, ptr = tensors(graph)
    names = ["path-2", *(f"cycle-{k}" for k in range(3, 8))]
    counts = [int(homomorphism_counts(edge_index, ptr, name, level="graph")) for name in names]
    assert counts == traces


def test_rook_and_shrikhande() -> None:
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    cells = [(a, b) for a in range(4) for b in range(4)]
    steps = [(0, 1), (1, 0), (1, 1)]
    shrikhande = nx.Graph([((a, b), ((a + x) % 4, (b + y) % 4)) for a, b in cells for x, y in steps])
    expected = {"cycle-3": 192, "cycle-4": 1536, "cycle-5": 7680, "cycle-6": 47616, "chordal-square": 384}
    for graph, cliques in ((rook, 192), (shrikhande, 0)):
        edge_index, ptr = tensors(graph)
        for name, count in {**expected, "clique-4": cliques}.items():
            assert int(homomorphism_counts(edge_index, ptr, name, level="graph")) == count


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index, ptr = tensors(nx.gnp_random_graph(20, 0.3, seed=1))
    expected = homomorphism_counts(edge_index, ptr, "cycle-7")
    monkeypatch.setattr(_sparse_matrix, "_BUDGET", 13)
    assert torch.equal(homomorphism_counts(edge_index, ptr, "cycle-7"), expected)


def test_merged_patterns_by_hand() -> None:
    path, single = pattern_of("path-3"), pattern_of("path-2")
    assert {(image.size, times) for (image, _), times in images(path, (0,))} == {(3, 1), (2, 1)}
    assert {(image, times) for (image, _), times in spasm(path, (0,)) if image == single} == {(single, -1)}
    # Maps of a star of three leaves: all leaves apart (1), two together (3), all together (1).
    assert sorted(times for _, times in images(pattern_of("star-3"), (0,))) == [1, 1, 3]
    assert sorted(times for _, times in spasm(pattern_of("star-3"), (0,))) == [-3, 1, 2]


def test_degenerate_unions() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for ptr in (torch.tensor([0]), torch.tensor([0, 0, 1, 4])):
        for name in ("path-3", "chordal-square", "clique-4"):
            counts = homomorphism_counts(none, ptr, name)
            assert counts.shape == (int(ptr[-1]), max(pattern_of(name).node_orbits) + 1)
            assert not counts.any()
            assert homomorphism_counts(none, ptr, name, level="edge").size(0) == 0
            assert homomorphism_counts(none, ptr, name, level="graph").tolist() == [[0]] * (ptr.numel() - 1)


def test_says_what_is_wrong() -> None:
    edge_index, ptr = tensors(nx.complete_graph(12))
    with pytest.raises(ConfigError, match=r"(?s)homomorphism_counts: unknown level 'nodes'.*node"):
        homomorphism_counts(edge_index, ptr, "cycle-3", level="nodes")
    with pytest.raises(ConfigError, match="homomorphism_counts: unknown pattern"):
        homomorphism_counts(edge_index, ptr, "ring-3")
    with pytest.raises(BudgetError, match=r"at least 1,452 scalar products, more than max_products=1,000"):
        homomorphism_counts(edge_index, ptr, "cycle-4", max_products=1000)
