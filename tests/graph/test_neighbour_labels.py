"""Labels at a distance, and of neighbourhoods, against loops over networkx."""

from __future__ import annotations

import math
from itertools import pairwise

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import homophily, homophily_by_distance, neighbourhood_similarity
from gnnlab.testing.strategies import unions


def edges_of(graph: nx.Graph) -> torch.Tensor:
    one_way = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([one_way, one_way.flip(0)], 1)


def draw_labels(data: st.DataObject, batch: Batch) -> torch.Tensor:
    return torch.tensor([data.draw(st.integers(-1, 2)) for _ in range(batch.num_nodes)], dtype=torch.long)


def graphs_of(batch: Batch, y: torch.Tensor) -> list[nx.Graph]:
    whole = nx.Graph([pair for pair in batch.edge_index.t().tolist() if pair[0] != pair[1]])
    whole.add_nodes_from((node, {"y": label}) for node, label in enumerate(y.tolist()))
    return [whole.subgraph(range(begin, end)) for begin, end in pairwise(batch.ptr.tolist())]


@given(unions(max_graphs=3), st.data())
def test_distances_one_by_one(batch: Batch, data: st.DataObject) -> None:
    y = draw_labels(data, batch)
    found = homophily_by_distance(batch.edge_index, y, batch.ptr, 3, symmetrise=True)
    assert not bool(found.error.any())
    for row, graph in enumerate(graphs_of(batch, y)):
        label = graph.nodes("y")
        for hop in (1, 2, 3):
            same = [
                label[u] == label[v]
                for u, near in nx.all_pairs_shortest_path_length(graph)
                for v, distance in near.items()
                if distance == hop and min(label[u], label[v]) >= 0
            ]
            assert found.pairs[row, hop - 1] == len(same)
            expected = sum(same) / len(same) if same else math.nan
            assert found.share[row, hop - 1].item() == pytest.approx(expected, nan_ok=True)


@given(unions(max_graphs=3), st.data())
def test_similarities_node_by_node(batch: Batch, data: st.DataObject) -> None:
    y = draw_labels(data, batch)
    found = neighbourhood_similarity(batch.edge_index, y, batch.ptr, num_classes=3, symmetrise=True)
    assert found.shape == (batch.num_graphs, 3, 3)
    for row, graph in enumerate(graphs_of(batch, y)):
        histogram = {}
        for node, label in graph.nodes("y"):
            near = [graph.nodes[other]["y"] for other in graph[node]]
            counts = torch.tensor([near.count(c) for c in range(3)]).double()
            if label >= 0 and bool(counts.any()):
                histogram[node] = counts / counts.norm()
        for c in range(3):
            for k in range(3):
                cosines = [
                    float(histogram[u] @ histogram[v]) for u in histogram for v in histogram if (y[u], y[v]) == (c, k)
                ]
                expected = sum(cosines) / len(cosines) if cosines else math.nan
                assert found[row, c, k].item() == pytest.approx(expected, nan_ok=True)


def test_the_first_hop_is_edge_homophily() -> None:
    graph = nx.karate_club_graph()
    y = torch.tensor([int(club == "Officer") for _, club in graph.nodes("club")])
    edges, ptr = edges_of(graph), torch.tensor([0, 34])
    found = homophily_by_distance(edges, y, ptr)
    assert found.share[0, 0] == homophily(edges, y, ptr).edge[0]
    assert found.pairs[0, 0] == 2 * graph.number_of_edges()
    assert found.pairs.sum() <= 34 * 33


def test_two_sides_see_each_other_at_odd_distances() -> None:
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(5, 6))
    y = torch.tensor([node // 6 % 2 ^ node % 2 for node in range(30)])
    assert homophily_by_distance(edges_of(graph), y, torch.tensor([0, 30]), 5).share.tolist() == [[0, 1, 0, 1, 0]]
    # A bipartite graph without homophily is easy all the same: neighbourhoods tell its sides.
    similarity = neighbourhood_similarity(edges_of(graph), y, torch.tensor([0, 30]))[0]
    torch.testing.assert_close(similarity, torch.eye(2, dtype=torch.float64))


def test_a_sample_has_an_honest_error() -> None:
    graph = nx.random_geometric_graph(300, 0.12, seed=0)
    y = torch.tensor([int(graph.nodes[node]["pos"][0] * 4) for node in graph])
    edges, ptr = edges_of(graph), torch.tensor([0, 300])
    exact = homophily_by_distance(edges, y, ptr, 3)
    budget = 60 * 3 * edges.size(1)
    sampled = [homophily_by_distance(edges, y, ptr, 3, max_visits=budget, seed=seed) for seed in range(60)]
    shares, errors = torch.stack([part.share for part in sampled]), torch.stack([part.error for part in sampled])
    ratio = (shares - exact.share).square().mean(0).sqrt() / errors.square().mean(0).sqrt()
    assert bool(((ratio > 0.7) & (ratio < 1.4)).all())
    assert bool(((shares.mean(0) - exact.share).abs() < 4 * errors.mean(0) / 60**0.5).all())
    assert sampled[0].pairs[0, 0] < exact.pairs[0, 0] / 3
    # The same nodes are drawn in any union.
    union = torch.cat([edges, edges_of(nx.path_graph(400)) + 300, edges + 700], 1)
    labels, bounds = torch.cat([y, torch.zeros(400).long(), y]), torch.tensor([0, 300, 700, 1000])
    together = homophily_by_distance(union, labels, bounds, 3, max_visits=budget)
    for alone, all_graphs in zip(sampled[0], together, strict=True):
        assert torch.equal(all_graphs[[0, 2]], alone.expand(2, 3))


def test_nothing_and_too_much() -> None:
    empty, ptr = torch.empty(2, 0, dtype=torch.long), torch.tensor([0, 0, 1])
    found = homophily_by_distance(empty, torch.tensor([0]), ptr, 2)
    assert found.share.isnan().all()
    assert found.pairs.tolist() == [[0, 0], [0, 0]]
    assert neighbourhood_similarity(empty, torch.tensor([0]), ptr).isnan().all()
    assert neighbourhood_similarity(empty, torch.tensor([-1]), ptr).shape == (2, 0, 0)
    assert homophily_by_distance(empty, torch.empty(0), torch.tensor([0])).share.shape == (0, 4)
    with pytest.raises(ConfigError, match="at least 1"):
        homophily_by_distance(empty, torch.tensor([0]), ptr, 0)
    with pytest.raises(GraphError, match="one class per node"):
        homophily_by_distance(empty, torch.tensor([0, 1]), ptr)
    with pytest.raises(GraphError, match="class 3"):
        neighbourhood_similarity(empty, torch.tensor([3]), ptr, num_classes=2)
    with pytest.raises(BudgetError, match="similarities"):
        neighbourhood_similarity(empty, torch.tensor([10**6]), ptr)
