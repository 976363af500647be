"""Components and breadth-first layers against networkx."""

from __future__ import annotations

import networkx as nx
import torch
from hypothesis import given, settings

from gnnlab.graph import breadth_first_layers, connected_components
from gnnlab.testing.strategies import graphs


def _networkx(data) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(range(data.num_nodes))
    graph.add_edges_from(data.edge_index.t().tolist())
    return graph


@settings(max_examples=60, deadline=None)
@given(graphs(max_nodes=10, max_edges=9))
def test_components_are_numbered_by_first_node(data) -> None:
    labels = connected_components(data.edge_index, data.num_nodes)
    expected = torch.full((data.num_nodes,), -1)
    parts = sorted(nx.connected_components(_networkx(data)), key=min)
    for number, nodes in enumerate(parts):
        expected[list(nodes)] = number
    assert labels.dtype == torch.long
    assert labels.tolist() == expected.tolist()


@settings(max_examples=60, deadline=None)
@given(graphs(max_nodes=12, max_edges=14))
def test_layers_are_distances_from_the_first_of_the_order(data) -> None:
    layers = breadth_first_layers(data.edge_index, data.num_nodes)
    graph = _networkx(data)
    for nodes in nx.connected_components(graph):
        order = sorted(nodes, key=lambda v: int(layers.position[v]))
        assert [int(layers.position[v]) for v in order] == list(range(len(order)))
        distance = nx.single_source_shortest_path_length(graph, order[0])
        assert [int(layers.depth[v]) for v in order] == [distance[v] for v in order]
        assert [int(layers.depth[v]) for v in order] == sorted(distance.values())


def test_layers_start_at_the_end_of_a_path() -> None:
    graph = nx.path_graph(30)
    nodes = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    edge_index = nodes[torch.tensor(list(graph.edges)).t()]
    assert int(breadth_first_layers(edge_index, 30).depth.max()) == 29
