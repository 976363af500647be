"""Topological concentration: known values, the definition as loops over walks, and the claims made of it on Cora."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import pairwise
from math import nan

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch_geometric.data import Batch

from gnnlab.analysis import approximate_topological_concentration, topological_concentration
from gnnlab.data import load_dataset
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.testing.strategies import unions


def edges_of(graph: nx.Graph) -> torch.Tensor:
    return torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()


@pytest.mark.parametrize(
    ("graph", "one_hop", "two_hops"),
    [
        (nx.complete_graph(4), [1] * 4, [0.9048] * 4),
        (nx.cycle_graph(4), [0] * 4, [0.6] * 4),
        (nx.cycle_graph(6), [0] * 6, [0.5] * 6),
        (nx.star_graph(5), [0] * 6, [0.5085] + [0] * 5),
        (nx.Graph([(0, 1), (1, 2), (2, 0), (2, 3)]), [1, 1, 1 / 3, 0], [0.8478, 0.8478, 0.6897, 0]),
        (nx.bull_graph(), [1, 1 / 3, 1 / 3, 0, 0], [0.8077, 0.6562, 0.6562, 0, 0]),
    ],
)
def test_known_values(graph: nx.Graph, one_hop: list[float], two_hops: list[float]) -> None:
    edges, ptr = edges_of(graph), torch.tensor([0, len(graph)])
    assert topological_concentration(edges, ptr, hops=1).tolist() == pytest.approx(one_hop, abs=5e-5)
    assert topological_concentration(edges, ptr, hops=2).tolist() == pytest.approx(two_hops, abs=5e-5)


def walks(adjacency: dict[int, set[int]], start: int, hops: int) -> list[Counter]:
    """Ends of the walks of 1, ..., hops steps."""
    layers, ends = [], [start]
    for _ in range(hops):
        ends = [far for near in ends for far in adjacency[near]]
        layers.append(Counter(ends))
    return layers


def slow(edges: set[tuple[int, int]], links: set[tuple[int, int]] | None, nodes: int, hops: int) -> list[float]:
    """The definition, for one graph."""

    def joined(pairs: set[tuple[int, int]]) -> dict[int, set[int]]:
        return {v: {a + b - v for a, b in pairs if v in (a, b)} for v in range(nodes)}

    near, asked = joined(edges), joined(edges if links is None else links)
    decay = nodes / (2 * len(edges)) if edges else 0.0
    found = []
    for v in range(nodes):
        if not asked[v]:
            found.append(nan)
            continue
        if len(near[v]) < (2 if links is None else 1):
            found.append(0.0)
            continue
        mine, shares = walks(near, v, hops), []
        for u in asked[v]:
            theirs = walks(near, u, hops)
            above = below = 0.0
            for k, ends in enumerate(mine):
                for other, far in enumerate(theirs):
                    above += decay ** (k + other) * sum(count for x, count in ends.items() if x in far)
                    below += decay ** (k + other) * (sum(ends.values()) - (links is None and k == other == 0))
            shares.append(above / below)
        found.append(sum(shares) / len(shares))
    return found


def local(edge_index: torch.Tensor, begin: int, end: int) -> set[tuple[int, int]]:
    pairs = {tuple(sorted(pair)) for pair in edge_index.t().tolist() if begin <= pair[0] < end}
    return {(a - begin, b - begin) for a, b in pairs if a != b}


@settings(deadline=None)
@given(unions(max_graphs=3), st.integers(1, 3), st.data())
def test_equals_the_definition_graph_by_graph(batch: Batch, hops: int, data: st.DataObject) -> None:
    ends = [
        data.draw(st.tuples(st.integers(begin, end - 1), st.integers(begin, end - 1)))
        for begin, end in pairwise(batch.ptr.tolist())
        if end > begin
    ]
    links = torch.tensor(ends, dtype=torch.long).reshape(-1, 2).t()
    for asked in (None, links):
        found = topological_concentration(batch.edge_index, batch.ptr, asked, hops)
        for begin, end in pairwise(batch.ptr.tolist()):
            theirs = None if asked is None else local(asked, begin, end)
            expected = slow(local(batch.edge_index, begin, end), theirs, end - begin, hops)
            assert found[begin:end].tolist() == pytest.approx(expected, nan_ok=True)


def test_one_hop_is_the_clustering_coefficient() -> None:
    graph = nx.karate_club_graph()
    found = topological_concentration(edges_of(graph), torch.tensor([0, 34]), hops=1)
    assert found.tolist() == pytest.approx(list(nx.clustering(graph).values()))


def test_without_decay_only_the_first_hop_counts() -> None:
    graph = nx.karate_club_graph()
    of = partial(topological_concentration, edges_of(graph), torch.tensor([0, 34]))
    torch.testing.assert_close(of(hops=1), of(hops=1, decay=0.7))
    # 0^0 is 1: of all lengths the first is left.
    torch.testing.assert_close(of(hops=3, decay=0.0), of(hops=1))


def dense(edges: torch.Tensor, nodes: int, hops: int, by_degree: bool) -> torch.Tensor:
    """The rows before the projection."""
    step = torch.zeros(nodes, nodes, dtype=torch.float64)
    step[edges[0], edges[1]] = step[edges[1], edges[0]] = 1
    decay = nodes / step.sum()
    step = step / step.sum(1, keepdim=True) if by_degree else step
    return sum(decay ** (k - 1) * torch.linalg.matrix_power(step, k) for k in range(1, hops + 1))


def test_projections_estimate_inner_products() -> None:
    graph = nx.karate_club_graph()
    edges, ptr = edges_of(graph), torch.tensor([0, 34])
    approximate = partial(approximate_topological_concentration, edges, ptr, dimensions=20_000)
    rows = dense(edges, 34, 2, by_degree=True)
    lengths = rows.norm(dim=1)
    for similarity, values in {"dot": rows @ rows.t(), "cosine": rows @ rows.t() / lengths.outer(lengths)}.items():
        expected = [float(values[v, list(graph[v])].mean()) for v in graph]
        expected = [value if len(graph[v]) > 1 else 0.0 for v, value in enumerate(expected)]
        assert approximate(similarity=similarity).tolist() == pytest.approx(expected, abs=0.03)
    # Walks from both ends in place of patterns, over the same denominators; for one hop there is no difference.
    many = approximate(hops=1, dimensions=200_000)
    torch.testing.assert_close(many, topological_concentration(edges, ptr, hops=1), atol=0.04, rtol=0)
    seeds = torch.stack([approximate(hops=1, dimensions=8, seed=seed) for seed in range(200)])
    bias = seeds.mean(0) - topological_concentration(edges, ptr, hops=1)
    assert bool((bias.abs() <= 4 * seeds.std(0) / 200**0.5).all())


@settings(deadline=None, max_examples=25)
@given(unions(max_graphs=3))
def test_projections_of_a_union_are_those_of_its_graphs(batch: Batch) -> None:
    approximate = partial(approximate_topological_concentration, dimensions=70)
    together = approximate(batch.edge_index, batch.ptr)
    alone = [approximate(data.edge_index, torch.tensor([0, data.num_nodes])) for data in batch.to_data_list()]
    torch.testing.assert_close(together, torch.cat(alone), equal_nan=True)


def test_claims_on_cora(mirror) -> None:
    store = load_dataset("cora")
    batch = store[torch.arange(1)]
    one_way = batch.edge_index[:, batch.edge_index[0] < batch.edge_index[1]]
    exact = topological_concentration(one_way, batch.ptr)
    for similarity, least in {"overlap": 0.9, "cosine": 0.75}.items():
        rough = approximate_topological_concentration(one_way, batch.ptr, similarity=similarity)
        assert spearmanr(exact, rough, nan_policy="omit")[0] > least
    # New neighbours share less with a node than those of training do: the shift of topology at testing time.
    order = torch.randperm(one_way.size(1), generator=torch.Generator().manual_seed(0))
    held_out, kept = order[:500], order[500:]
    train = topological_concentration(one_way[:, kept], batch.ptr)
    test = topological_concentration(one_way[:, kept], batch.ptr, one_way[:, held_out])
    both = ~(train.isnan() | test.isnan())
    difference = train[both] - test[both]
    assert float(difference.mean()) > 3 * float(difference.std() / both.sum() ** 0.5)


def test_nothing_and_too_much() -> None:
    empty = torch.empty(2, 0, dtype=torch.long)
    for function in (topological_concentration, approximate_topological_concentration):
        assert function(empty, torch.tensor([0, 0, 2])).isnan().all()
        assert function(empty, torch.tensor([0])).shape == (0,)
        assert function(empty, torch.tensor([0, 3]), torch.tensor([[0], [1]])).tolist()[:2] == [0, 0]
        with pytest.raises(ConfigError, match="hops"):
            function(empty, torch.tensor([0, 2]), hops=0)
        with pytest.raises(GraphError, match="two graphs"):
            function(empty, torch.tensor([0, 2, 3]), torch.tensor([[0], [2]]))
    with pytest.raises(ConfigError, match="did you mean"):
        approximate_topological_concentration(empty, torch.tensor([0, 2]), similarity="cosin")
    edges = edges_of(nx.cycle_graph(50))
    with pytest.raises(BudgetError, match="approximate_topological_concentration"):
        topological_concentration(edges, torch.tensor([0, 50]), max_products=1e3)
    assert topological_concentration(edges, torch.tensor([0, 50]), hops=1, max_products=1e3).tolist() == [0] * 50
