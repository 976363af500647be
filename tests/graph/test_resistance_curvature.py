"""Resistance curvature against closed forms, spanning trees and a dense pseudo-inverse, weighted and degenerate."""

from __future__ import annotations

import itertools

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch

from gnnlab.errors import GraphError
from gnnlab.graph import ResistanceCurvature, connected_components, effective_resistance, resistance_curvature
from gnnlab.testing.strategies import unions


def edges_of(graph: nx.Graph) -> torch.Tensor:
    graph = nx.convert_node_labels_to_integers(graph)
    one_way = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([one_way, one_way.flip(0)], 1)


def curvature_of(graph: nx.Graph) -> ResistanceCurvature:
    return resistance_curvature(edges_of(graph), torch.tensor([0, len(graph)]))


@pytest.mark.parametrize(
    ("graph", "node", "edge"),
    [
        (nx.complete_graph(6), 1 / 6, 2),
        (nx.cycle_graph(7), 1 / 7, 4 / 6),
        (nx.petersen_graph(), 1 / 10, 2 / 5 / (9 / 15)),
        (nx.grid_2d_graph(6, 6, periodic=True), 1 / 36, 8 / 35),
    ],
)
def test_edge_transitive_graphs_are_curved_alike(graph: nx.Graph, node: float, edge: float) -> None:
    found = curvature_of(graph)
    torch.testing.assert_close(found.node, torch.full_like(found.node, node))
    torch.testing.assert_close(found.edge, torch.full_like(found.edge, edge))


def test_trees_are_curved_by_their_degrees() -> None:
    star = curvature_of(nx.star_graph(5))
    torch.testing.assert_close(star.node, torch.tensor([-1.5] + [0.5] * 5).double())
    torch.testing.assert_close(star.edge, torch.full((10,), -2.0).double())
    path = curvature_of(nx.path_graph(5))
    torch.testing.assert_close(path.node, torch.tensor([0.5, 0, 0, 0, 0.5]).double())
    torch.testing.assert_close(path.edge[:4], torch.tensor([1.0, 0, 0, 1]).double())
    tree = nx.random_labeled_tree(30, seed=0)
    degree = torch.tensor([tree.degree(node) for node in range(30)]).double()
    torch.testing.assert_close(curvature_of(tree).node, 1 - degree / 2)


def test_is_one_less_half_the_degree_in_a_random_spanning_tree() -> None:
    graph = nx.gnp_random_graph(6, 0.6, seed=4)
    assert nx.is_connected(graph)
    parts = [nx.Graph(list(part)) for part in itertools.combinations(graph.edges, 5)]
    trees = [part for part in parts if len(part) == 6 and nx.is_tree(part)]
    expected = [1 - sum(tree.degree(node) for tree in trees) / len(trees) / 2 for node in range(6)]
    assert curvature_of(graph).node.tolist() == pytest.approx(expected)


@given(unions(max_graphs=3), st.data())
def test_equals_a_dense_pseudo_inverse(batch: Batch, data: st.DataObject) -> None:
    count, number = batch.num_nodes, batch.num_edges
    values = data.draw(st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.0]), min_size=number, max_size=number))
    weight = torch.tensor(values, dtype=torch.float64)
    found = resistance_curvature(batch.edge_index, batch.ptr, weight)
    source, target = batch.edge_index
    adjacency = torch.zeros(count, count, dtype=torch.float64).index_put((source, target), weight, accumulate=True)
    adjacency = (adjacency + adjacency.t()) / 2
    adjacency.fill_diagonal_(0)
    inverse = torch.linalg.pinv(torch.diag(adjacency.sum(1)) - adjacency, hermitian=True, rtol=1e-10)
    own = inverse.diagonal()
    resistance = own[:, None] + own[None, :] - 2 * inverse
    node = 1 - (adjacency * resistance).sum(1) / 2
    torch.testing.assert_close(found.node, node)
    conducts = adjacency[source, target] > 0
    edge = 2 * (node[source] + node[target]) / resistance[source, target]
    torch.testing.assert_close(found.edge[conducts], edge[conducts])
    assert bool((found.edge[source == target] == 0).all())
    assert bool(found.edge.isfinite().all())
    # Foster: the nodes of every component sum to 1.
    component = connected_components(batch.edge_index[:, weight > 0], count)
    sums = torch.bincount(component, found.node)
    torch.testing.assert_close(sums, torch.ones_like(sums))


@given(unions(max_graphs=3))
def test_a_union_is_its_graphs(batch: Batch) -> None:
    together = resistance_curvature(batch.edge_index, batch.ptr)
    alone = [resistance_curvature(data.edge_index, torch.tensor([0, data.num_nodes])) for data in batch.to_data_list()]
    torch.testing.assert_close(together.node, torch.cat([part.node for part in alone]))
    torch.testing.assert_close(together.edge, torch.cat([part.edge for part in alone]))


def test_known_resistances_are_taken() -> None:
    edges, ptr = edges_of(nx.karate_club_graph()), torch.tensor([0, 34])
    resistance = effective_resistance(edges, ptr)
    for first, second in zip(
        resistance_curvature(edges, ptr), resistance_curvature(edges, ptr, resistance=resistance), strict=True
    ):
        torch.testing.assert_close(first, second)
    with pytest.raises(GraphError, match="resistance has shape"):
        resistance_curvature(edges, ptr, resistance=resistance[:-1])


def test_a_sketch_errs_as_it_says() -> None:
    edges, ptr = edges_of(nx.random_regular_graph(4, 300, seed=0)), torch.tensor([0, 300])
    exact, rough = resistance_curvature(edges, ptr), resistance_curvature(edges, ptr, method="sketch", epsilon=0.1)
    expected = 0.1 / 2 * torch.zeros(300).double().index_add_(0, edges[0], effective_resistance(edges, ptr) ** 2).sqrt()
    error = (rough.node - exact.node) / expected
    assert 0.5 < float(error.square().mean().sqrt()) < 2


def test_nothing_is_flat() -> None:
    found = resistance_curvature(torch.empty(2, 0, dtype=torch.long), torch.tensor([0, 0, 2]))
    assert found.node.tolist() == [1, 1]
    assert found.edge.shape == (0,)
