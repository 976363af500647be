"""Forman curvatures: the values of small graphs, the definitions written out in plain Python, and what they promise."""

from __future__ import annotations

from itertools import product

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import _cycles, augmented_forman_curvature, balanced_forman_curvature
from gnnlab.testing.strategies import graphs, unions


def edges_of(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


def simple(edge_index: Tensor, num_nodes: int) -> nx.Graph:
    graph = nx.empty_graph(num_nodes)
    graph.add_edges_from((u, v) for u, v in edge_index.t().tolist() if u != v)
    return graph


def paper(graph: nx.Graph, i: int, j: int) -> float:
    """Definition 1 of Topping et al., word for word."""
    n_i, n_j = set(graph[i]), set(graph[j])
    d_i, d_j = len(n_i), len(n_j)
    if min(d_i, d_j) == 1:
        return 0.0
    triangles = len(n_i & n_j)

    def squares(here: int, there: int) -> list[int]:
        a, b = set(graph[here]), set(graph[there])
        counts = [len((set(graph[k]) & b) - a - {here}) for k in a - b if k != there]
        return [count for count in counts if count]

    found = squares(i, j) + squares(j, i)
    last = len(found) / (max(found) * max(d_i, d_j)) if found else 0.0
    return 2 / d_i + 2 / d_j - 2 + 2 * triangles / max(d_i, d_j) + triangles / min(d_i, d_j) + last


def released(graph: nx.Graph, i: int, j: int) -> float:
    """The released formula, with the square of the adjacency matrix."""
    a = nx.to_numpy_array(graph, nodelist=range(graph.number_of_nodes()))
    b = a @ a
    low, high = sorted((a[i].sum(), a[j].sum()))
    found = [*(a[:, j] * (b[i] - a[i])), *(a[i] * (b[:, j] - a[:, j]))]
    found = [value for value in found if value > 0]
    last = len(found) / (high * max(found)) if found else 0.0
    return 2 / high + 2 / low - 2 + (2 / high + 1 / low) * b[i, j] + last


def augmented(graph: nx.Graph, i: int, j: int, order: int) -> int:
    value = 4 - graph.degree(i) - graph.degree(j)
    if order > 2:
        value += 3 * len(set(graph[i]) & set(graph[j]))
    if order > 3:
        value += 2 * sum(p != j and q != i and graph.has_edge(p, q) for p, q in product(graph[i], graph[j]))
    return value


def oracle(edge_index: Tensor, num_nodes: int, curvature, *arguments) -> Tensor:
    graph = simple(edge_index, num_nodes)
    values = [curvature(graph, u, v, *arguments) if u != v else 0.0 for u, v in edge_index.t().tolist()]
    return torch.tensor(values, dtype=torch.float64)


TREE, TORUS = nx.balanced_tree(2, 3), nx.grid_2d_graph(6, 6, periodic=True)


@pytest.mark.parametrize(
    ("graph", "values"),
    [
        (nx.cycle_graph(3), {3 / 2}),
        (nx.cycle_graph(4), {1}),
        (nx.cycle_graph(5), {0}),
        (nx.cycle_graph(8), {0}),
        (nx.complete_graph(4), {4 / 3}),
        (nx.complete_graph(5), {5 / 4}),
        (nx.path_graph(5), {0}),
        (nx.star_graph(5), {0}),
        (TREE, {-1 / 3, -2 / 3, 0}),
        (nx.hypercube_graph(3), {2 / 3}),
        (nx.complete_bipartite_graph(3, 3), {0}),
        (nx.petersen_graph(), {-2 / 3}),
        (TORUS, {0}),
        (nx.barbell_graph(4, 0), {-1, 4 / 3, 5 / 6}),
    ],
)
def test_values_of_the_paper(graph, values):
    found = balanced_forman_curvature(*edges_of(graph))
    assert {round(value, 9) + 0.0 for value in found.tolist()} == {round(value, 9) for value in values}


@pytest.mark.parametrize(
    ("graph", "edge", "value"),
    [
        (nx.cycle_graph(3), (0, 1), 2),
        (nx.cycle_graph(5), (0, 1), 1),
        (nx.complete_graph(4), (0, 1), 2),
        (nx.petersen_graph(), (0, 1), 0),
        (TORUS, (0, 1), -0.5),
        (nx.barbell_graph(4, 0), (3, 4), -0.5),
    ],
)
def test_values_of_the_released_kernel(graph, edge, value):
    edge_index, ptr = edges_of(graph)
    found = balanced_forman_curvature(edge_index, ptr, variant="released")
    at = (edge_index == torch.tensor(edge)[:, None]).all(0)
    assert found[at].tolist() == pytest.approx([value])


@pytest.mark.parametrize(("variant", "least"), [("paper", -1.3958), ("released", -1.4557)])
def test_karate_club(variant, least):
    edge_index, ptr = edges_of(nx.karate_club_graph())
    found = balanced_forman_curvature(edge_index, ptr, variant)
    assert edge_index[:, found.argmin()].tolist() == [0, 31]
    assert float(found.min()) == pytest.approx(least, abs=1e-4)


def test_augmented_by_hand():
    complete = edges_of(nx.complete_graph(4))
    assert [augmented_forman_curvature(*complete, order=order).unique().tolist() for order in (2, 3, 4)] == [
        [-2.0],
        [4.0],
        [8.0],
    ]
    edge_index, ptr = edges_of(nx.barbell_graph(4, 0))
    bridge = (edge_index == torch.tensor([[3], [4]])).all(0)
    assert [augmented_forman_curvature(edge_index, ptr, order)[bridge].item() for order in (2, 3, 4)] == [-4.0] * 3


@given(graphs(max_nodes=9, max_edges=24), st.booleans())
def test_equals_the_definitions(data, tiny_ranges):
    n, ptr = data.num_nodes, torch.tensor([0, data.num_nodes])
    both = torch.cat([data.edge_index, data.edge_index.flip(0)], 1)
    budget = _cycles._BUDGET
    _cycles._BUDGET = 5 if tiny_ranges else budget
    try:
        for edge_index, symmetrise in ((both, False), (data.edge_index, True)):
            for curvature, variant in ((paper, "paper"), (released, "released")):
                found = balanced_forman_curvature(edge_index, ptr, variant, symmetrise)
                torch.testing.assert_close(found, oracle(edge_index, n, curvature))
            for order in (2, 3, 4):
                found = augmented_forman_curvature(edge_index, ptr, order, symmetrise)
                assert torch.equal(found, oracle(edge_index, n, augmented, order))
    finally:
        _cycles._BUDGET = budget


@given(unions(undirected=True), st.integers(0, 2**16))
def test_union_bound_and_renumbering(union, seed):
    edge_index, n = union.edge_index, union.num_nodes
    place = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for curvature in (balanced_forman_curvature, augmented_forman_curvature):
        found = curvature(edge_index, union.ptr)
        alone = [curvature(one.edge_index, torch.tensor([0, one.num_nodes])) for one in union.to_data_list()]
        assert torch.equal(found, torch.cat(alone))
        moved = curvature(place[edge_index], torch.tensor([0, n]))
        torch.testing.assert_close(moved, found)
    assert bool((balanced_forman_curvature(edge_index, union.ptr) > -2).all())


def test_loops_duplicates_and_directions():
    ptr = torch.tensor([0, 4])
    edge_index = torch.tensor([[0, 1, 1, 2, 2, 0, 0, 1, 3], [1, 0, 2, 1, 0, 2, 1, 0, 3]])
    assert balanced_forman_curvature(edge_index, ptr).tolist() == [1.5] * 8 + [0.0]
    one_way = torch.tensor([[0, 1, 2], [1, 2, 0]])
    with pytest.raises(GraphError, match="symmetrise=True"):
        balanced_forman_curvature(one_way, ptr)
    assert balanced_forman_curvature(one_way, ptr, symmetrise=True).tolist() == [1.5] * 3


def test_unknown_settings():
    edge_index, ptr = edges_of(nx.path_graph(3))
    with pytest.raises(ConfigError, match="did you mean 'released'"):
        balanced_forman_curvature(edge_index, ptr, variant="release")
    with pytest.raises(ConfigError, match="2, 3 or 4"):
        augmented_forman_curvature(edge_index, ptr, order=5)
