"""SDRF: the algorithm step by step in plain Python, the law of its draws, and what it keeps."""

from __future__ import annotations

import math
from itertools import product

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import balanced_forman_curvature, connected_components
from gnnlab.rewiring import SDRF, _forman_gain
from gnnlab.rewiring._edge_set import EdgeSet
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def data_of(graph: nx.Graph) -> Data:
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    return Data(edge_index=torch.cat([pairs, pairs.flip(0)], 1), num_nodes=graph.number_of_nodes())


def undirected(edge_index: Tensor) -> set[tuple[int, int]]:
    return {(u, v) for u, v in edge_index.t().tolist() if u < v}


def curvatures(graph: nx.Graph, variant: str) -> dict[tuple[int, int], float]:
    data = data_of(graph)
    values = balanced_forman_curvature(data.edge_index, torch.tensor([0, data.num_nodes]), variant)
    found = zip(data.edge_index.t().tolist(), values.tolist(), strict=True)
    return {(u, v): round(value, 9) for (u, v), value in sorted(found) if u < v}


def greedily(graph: nx.Graph, iterations: int, bound: float | None, variant: str) -> set[tuple[int, int]]:
    """Algorithm 1 at temperature 0, every candidate tried by building its graph."""
    graph = graph.copy()
    for _ in range(iterations):
        before = curvatures(graph, variant)
        if not before:
            break
        i, j = min(before, key=before.get)
        pairs = {
            (min(p, q), max(p, q))
            for p in [*graph[i], i]
            for q in [*graph[j], *([j] if variant == "paper" else [])]
            if p != q and not graph.has_edge(p, q)
        }
        after = {}
        for pair in sorted(pairs):
            graph.add_edge(*pair)
            after[pair] = curvatures(graph, variant)[i, j]
            graph.remove_edge(*pair)
        if after:
            graph.add_edge(*max(after, key=after.get))
        highest = max(before, key=before.get)
        if bound is not None and before[highest] > bound:
            graph.remove_edge(*highest)
    return {tuple(sorted(edge)) for edge in graph.edges}


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("bound", [None, 0.5])
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_algorithm(variant, bound, seed):
    graph = nx.gnp_random_graph(10, (0.2, 0.3, 0.5)[seed % 3], seed=seed)
    data = data_of(graph)
    rewired = SDRF(num_iterations=6, tau=math.inf, max_curvature=bound, variant=variant)(data)
    assert undirected(rewired.edge_index) == greedily(graph, 6, bound, variant)


@pytest.mark.parametrize("small_tables", [False, True])
def test_draws_follow_the_softmax(small_tables, monkeypatch):
    """Of many copies, each with noise of its own, as many take a candidate as its probability says."""
    if small_tables:
        monkeypatch.setattr(_forman_gain, "_BUDGET", 1 << 8)
    graph = nx.barbell_graph(4, 0)
    # The noise depends on the graph, so isolated nodes make the copies different.
    copies = [Data(edge_index=data_of(graph).edge_index, num_nodes=8 + extra) for extra in range(400)]
    tau, batch = 4.0, Batch.from_data_list(copies)
    rewired = SDRF(num_iterations=1, tau=tau, max_curvature=None)(batch)
    taken = [undirected(one.edge_index) - undirected(copies[0].edge_index) for one in rewired.to_data_list()]
    assert all(len(pairs) == 1 for pairs in taken)
    weights = {}
    for pair in product(range(4), range(4, 8)):
        if pair != (3, 4):
            grown = graph.copy()
            grown.add_edge(*pair)
            weights[pair] = math.exp(tau * curvatures(grown, "paper")[3, 4])
    total = sum(weights.values())
    for pair, weight in weights.items():
        expected = 400 * weight / total
        observed = sum(pairs == {pair} for pairs in taken)
        assert abs(observed - expected) < 4.5 * math.sqrt(expected) + 1, pair


def test_other_seeds_draw_otherwise():
    batch = Batch.from_data_list([data_of(nx.barbell_graph(4, k)) for k in range(6)])
    found = [SDRF(seed=seed)(batch).edge_index for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1])
    assert found[0].shape != found[2].shape or not torch.equal(found[0], found[2])


def test_complete_graphs_only_lose():
    """There is nothing to add; K4 has curvature 4/3 everywhere, and the first edge goes."""
    data = data_of(nx.complete_graph(4))
    assert undirected(SDRF(num_iterations=1)(data).edge_index) == undirected(data.edge_index) - {(0, 1)}
    assert torch.equal(SDRF(max_curvature=None)(data).edge_index, data.edge_index)


def test_cycles_without_bound():
    """Every candidate of a long cycle makes a triangle or a square at the edge between 0 and 1."""
    rewired = SDRF(num_iterations=1, tau=math.inf)(data_of(nx.cycle_graph(8)))
    added = rewired.edge_index[:, rewired.edge_type == 1]
    assert undirected(added) == {(2, 7)}
    assert rewired.edge_order[rewired.edge_type == 1].tolist() == [1, 1]


@settings(max_examples=30)
@given(unions(max_nodes=9, max_edges=14), st.sampled_from([None, 0.5, -1.0]), st.sampled_from(["paper", "released"]))
def test_keeps_graphs_simple_and_components_apart(union, bound, variant):
    transform = SDRF(num_iterations=5, max_curvature=bound, variant=variant, symmetrise=True)
    rewired = transform(union)
    new = rewired.edge_type == 1
    added, kept = rewired.edge_index[:, new], rewired.edge_index[:, ~new]
    keys = added[0] * union.num_nodes + added[1]
    there = set(map(tuple, union.edge_index.t().tolist()))
    assert keys.unique().numel() == keys.numel()
    assert not any(
        edge in there or edge[::-1] in there or edge[0] == edge[1] for edge in map(tuple, added.t().tolist())
    )
    assert set(map(tuple, added.t().tolist())) == set(map(tuple, added.flip(0).t().tolist()))
    assert set(map(tuple, kept.t().tolist())) <= there
    component = connected_components(union.edge_index, union.num_nodes)
    assert torch.equal(component[added[0]], component[added[1]])
    loops = (union.edge_index[0] == union.edge_index[1]).sum()
    assert int((kept[0] == kept[1]).sum()) == int(loops)
    if bound is None:
        assert kept.size(1) == union.num_edges
    assert bool(((rewired.edge_order[new] >= 1) & (rewired.edge_order[new] <= 5)).all())


def test_comings_and_goings():
    first = torch.tensor([[0, 1], [1, 2]])
    edges = EdgeSet.start(first, 4)
    edges = edges.replace(torch.tensor([True, False]), torch.tensor([[3, 3], [0, 1]]), 1)
    assert edges.pairs.tolist() == [[0, 1, 1], [3, 2, 3]]
    edges = edges.replace(edges.pairs[1] == 3, torch.tensor([[1, 2], [0, 3]]), 2)
    assert edges.pairs.tolist() == [[0, 1, 2], [1, 2, 3]]
    edge_index = torch.tensor([[0, 1, 1, 2, 3, 0], [1, 0, 2, 1, 3, 1]])
    edits = edges.edits(first, edge_index)
    assert edits.added.tolist() == [[2, 3], [3, 2]]
    assert edits.order.tolist() == [2, 2]
    assert not bool(edits.removed.any())
    gone = edges.replace(torch.tensor([True, False, False]), first[:, :0], 3).edits(first, edge_index)
    assert gone.removed.tolist() == [True, True, False, False, False, True]


@pytest.mark.parametrize("transform", [SDRF(symmetrise=True), SDRF(12, math.inf, variant="released", symmetrise=True)])
def test_contract(transform):
    check_transform(transform)


def test_refusals(monkeypatch):
    with pytest.raises(ConfigError, match="at least 0"):
        SDRF(tau=-1.0)
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        SDRF(variant="papers")
    with pytest.raises(GraphError, match="symmetrise=True"):
        SDRF()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    monkeypatch.setattr(_forman_gain, "_LARGEST", 10)
    with pytest.raises(BudgetError, match="candidates"):
        SDRF()(data_of(nx.complete_graph(4)))
