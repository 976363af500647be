"""Resistances: closed forms, Foster's sum, a dense pseudo-inverse, and what adding an edge does."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.graph import biharmonic_distance, commute_time, effective_resistance, total_effective_resistance


def edges_of(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


def total(graph: nx.Graph) -> float:
    return float(total_effective_resistance(*edges_of(graph)))


def dense(edge_index: Tensor, n: int) -> Tensor:
    """Pseudo-inverse of the Laplacian by eigenvectors in float64."""
    adjacency = torch.zeros(n, n, dtype=torch.float64).index_put_(
        tuple(edge_index), torch.ones(edge_index.size(1), dtype=torch.float64), accumulate=True
    )
    adjacency.fill_diagonal_(0)
    adjacency = (adjacency + adjacency.t()) / 2
    values, vectors = torch.linalg.eigh(torch.diag(adjacency.sum(1)) - adjacency)
    inverse = torch.where(values > 1e-8 * max(1.0, 2.0 * edge_index.size(1)), 1 / values, 0.0)
    return vectors * inverse @ vectors.t()


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (nx.path_graph(10), 165),
        (nx.path_graph(1), 0),
        (nx.cycle_graph(10), 82.5),
        (nx.complete_graph(6), 5),
        (nx.star_graph(6), 36),
        (nx.complete_bipartite_graph(3, 4), 11.5),
        (nx.hypercube_graph(3), 58 / 3),
        (nx.petersen_graph(), 33),
        (nx.balanced_tree(2, 4), 2304),
        (nx.barbell_graph(4, 0), 34),
        (nx.barbell_graph(10, 0), 154),
        (nx.barbell_graph(4, 1), 61),
        (nx.barbell_graph(5, 2), 136.4),
        (nx.karate_club_graph(), 470.268),
    ],
)
def test_closed_forms(graph, expected):
    assert total(graph) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("graph", [nx.karate_club_graph(), nx.petersen_graph(), nx.path_graph(5)])
def test_foster(graph):
    resistance = effective_resistance(*edges_of(graph)) / 2  # every edge in both directions
    assert float(resistance.sum()) == pytest.approx(graph.number_of_nodes() - 1)


def test_barbell():
    edge_index, ptr = edges_of(nx.barbell_graph(4, 0))
    pairs = torch.tensor([[3, 0, 0], [4, 1, 7]])
    assert effective_resistance(edge_index, ptr, pairs).tolist() == pytest.approx([1.0, 0.5, 2.0])
    assert commute_time(edge_index, ptr, pairs).tolist() == pytest.approx([26.0, 13.0, 52.0])


def test_squared_biharmonic_rows():
    for graph, row in (
        (nx.path_graph(4), [0, 0.75, 2.75, 5]),
        (nx.cycle_graph(4), [0, 0.3125, 0.5, 0.3125]),
        (nx.complete_graph(4), [0, 0.125, 0.125, 0.125]),
    ):
        pairs = torch.stack([torch.zeros(4, dtype=torch.long), torch.arange(4)])
        assert biharmonic_distance(*edges_of(graph), pairs).square().tolist() == pytest.approx(row)


@st.composite
def unions(draw):
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=4))
    ptr = torch.tensor([0, *torch.tensor(sizes).cumsum(0).tolist()])
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    parts = [
        torch.randint(n, (2, draw(st.integers(0, 2 * n))), generator=generator) + int(p) if n else None
        for n, p in zip(sizes, ptr)
    ]
    kept = [part for part in parts if part is not None]
    return (torch.cat(kept, 1) if kept else torch.zeros(2, 0, dtype=torch.long)), ptr


@given(unions())
def test_equals_the_dense_pseudo_inverse(union):
    edge_index, ptr = union
    n = int(ptr[-1])
    inverse = dense(edge_index, n)
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n)).view(-1, 2).t()
    resistance = effective_resistance(edge_index, ptr, pairs)
    distance = biharmonic_distance(edge_index, ptr, pairs)
    finite = resistance.isfinite()
    for found, matrix in ((resistance, inverse), (distance.square(), inverse @ inverse)):
        wanted = matrix.diag()[pairs[0]] + matrix.diag()[pairs[1]] - 2 * matrix[pairs[0], pairs[1]]
        torch.testing.assert_close(found[finite], wanted[finite], rtol=1e-7, atol=1e-8)
    graph = torch.searchsorted(ptr, pairs[0], right=True) - 1
    below = finite & (pairs[0] < pairs[1])
    sums = torch.zeros(ptr.numel() - 1, dtype=torch.float64).index_add_(0, graph[below], resistance[below])
    torch.testing.assert_close(total_effective_resistance(edge_index, ptr), sums, rtol=1e-7, atol=1e-8)


@given(unions(), st.integers(0, 2**16))
def test_gain_of_an_edge(union, seed):
    edge_index, ptr = union
    both = torch.cat([edge_index, edge_index.flip(0)], 1)
    n = int(ptr[-1])
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(max(n, 1), (2, 5), generator=generator)[:, : 5 if n else 0]
    resistance, distance = effective_resistance(both, ptr, pairs), biharmonic_distance(both, ptr, pairs)
    before = total_effective_resistance(both, ptr).sum()
    for (s, t), r, b in zip(pairs.t().tolist(), resistance, distance, strict=True):
        if r.isfinite() and s != t:
            added = torch.cat([both, torch.tensor([[s, t], [t, s]])], 1)
            component = effective_resistance(both, ptr, torch.stack([torch.full((n,), s), torch.arange(n)]))
            gain = component.isfinite().sum() * b.square() / (1 + r)
            after = total_effective_resistance(added, ptr).sum()
            torch.testing.assert_close(before - after, gain, rtol=1e-6, atol=1e-7)


def test_components_are_apart():
    edge_index, ptr = torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 4])
    pairs = torch.tensor([[0, 0, 2], [1, 2, 2]])
    assert effective_resistance(edge_index, ptr, pairs).tolist() == [1.0, torch.inf, 0.0]
    assert commute_time(edge_index, ptr, pairs).tolist() == [2.0, torch.inf, 0.0]


def test_conductances():
    edge_index, ptr = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), torch.tensor([0, 3])
    weight = torch.tensor([2.0, 2.0, 4.0, 4.0])
    assert effective_resistance(edge_index, ptr, torch.tensor([[0], [2]]), weight).item() == pytest.approx(0.75)


def test_bad_pairs():
    edge_index, ptr = torch.tensor([[0], [1]]), torch.tensor([0, 2])
    with pytest.raises(GraphError, match="outside 0 to 1"):
        effective_resistance(edge_index, ptr, torch.tensor([[0], [2]]))
    with pytest.raises(GraphError, match="shape"):
        effective_resistance(edge_index, ptr, torch.tensor([0, 1]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(bad: float) -> None:
    edge_index, ptr = edges_of(nx.path_graph(3))
    weight = torch.tensor([1.0, 1.0, bad, 1.0])
    with pytest.raises(GraphError, match=r"edge 2 .*not finite"):
        total_effective_resistance(edge_index, ptr, weight)
