"""The pool of candidate pairs: against networkx, by property, in a store and from YAML."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from jsonargparse import ArgumentParser
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_networkx

from gnnlab.data import GraphStore
from gnnlab.errors import ConfigError, GraphError
from gnnlab.lifting import CandidatePairs
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import graphs
from gnnlab.transform import Transform

POLICIES = ["farthest", "random", "features"]


def data_of(graph: nx.Graph, width: int = 3, seed: int = 0) -> Data:
    edges = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    x = torch.randn(graph.number_of_nodes(), width, generator=torch.Generator().manual_seed(seed))
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1))


def pairs_of(data: Data) -> list[tuple[int, int]]:
    return [tuple(pair) for pair in data.candidate_index.t().tolist()]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("pool_size", [3, 100, None])
def test_keeps_the_contract(policy, pool_size):
    check_transform(CandidatePairs(pool_size, policy, symmetrise=True))


@given(graphs(max_nodes=9, undirected=True))
@settings(max_examples=60, deadline=None)
def test_the_farthest_pairs_by_networkx(data):
    distance = dict(nx.all_pairs_shortest_path_length(to_networkx(data, to_undirected=True)))
    possible = {
        (u, v): distance[u][v]
        for u, v in combinations(range(data.num_nodes), 2)
        if v in distance.get(u, {}) and distance[u][v] > 1
    }
    for pool_size in (1, 4, 100, None):
        pairs = pairs_of(CandidatePairs(pool_size)(data.clone()))
        assert pairs == sorted(set(pairs))
        assert len(pairs) == min(len(possible), pool_size or len(possible))
        best = sorted(possible.values(), reverse=True)[: len(pairs)]
        assert sorted((possible[pair] for pair in pairs), reverse=True) == best


def test_ends_of_a_path_come_first():
    path = data_of(nx.path_graph(20))
    assert pairs_of(CandidatePairs(1)(path)) == [(0, 19)]
    assert pairs_of(CandidatePairs(3)(path)) == [(0, 18), (0, 19), (1, 19)]


def test_ties_are_broken_by_the_seed():
    ring = data_of(nx.cycle_graph(30))
    pools = [pairs_of(CandidatePairs(5, seed=seed)(ring.clone())) for seed in range(3)]
    assert pools[0] != pools[1] != pools[2]
    assert all((v - u) == 15 for pool in pools for u, v in pool)


def test_random_pairs_are_uniform():
    ring = data_of(nx.cycle_graph(7))
    counts = torch.zeros(7, 7)
    for seed in range(700):
        counts[CandidatePairs(2, "random", seed=seed)(ring.clone()).candidate_index.unbind()] += 1
    drawn = counts[counts > 0]
    assert drawn.numel() == 14  # the pairs that are not adjacent
    # 1400 draws over 14 pairs: 100 each, standard deviation 9.3.
    assert float((drawn - 100).abs().max()) < 40


@pytest.mark.parametrize("neighbours", [1, 3, 50])
def test_similar_features_by_brute_force(neighbours):
    graph = nx.disjoint_union(nx.gnm_random_graph(15, 20, seed=1), nx.path_graph(6))
    data = data_of(graph)
    component = [next(i for i, c in enumerate(nx.connected_components(graph)) if v in c) for v in graph]
    cosine = torch.cosine_similarity(data.x[:, None].double(), data.x[None].double(), dim=-1)
    expected = set()
    for u in graph:
        others = [v for v in graph if v != u and component[u] == component[v] and not graph.has_edge(u, v)]
        others.sort(key=lambda v: -float(cosine[u, v]))
        expected |= {(min(u, v), max(u, v)) for v in others[:neighbours]}
    found = pairs_of(CandidatePairs(None, "features", neighbours=neighbours)(data.clone()))
    assert found == sorted(expected)
    best = pairs_of(CandidatePairs(5, "features", neighbours=neighbours)(data.clone()))
    assert best == sorted(sorted(expected, key=lambda pair: -float(cosine[pair]))[:5])


def test_a_large_graph_is_searched_in_blocks(monkeypatch):
    data = Batch.from_data_list([data_of(nx.path_graph(n), seed=n) for n in (30, 4, 9, 1)])
    whole = CandidatePairs(None, "features", neighbours=2)(data.clone()).candidate_index
    monkeypatch.setattr("gnnlab.lifting._similar._CELLS", 100)
    assert torch.equal(CandidatePairs(None, "features", neighbours=2)(data.clone()).candidate_index, whole)


@pytest.mark.parametrize("policy", POLICIES)
def test_survives_the_store(policy):
    items = [data_of(graph, seed=i) for i, graph in enumerate([nx.path_graph(6), nx.path_graph(1), nx.cycle_graph(9)])]
    transform = CandidatePairs(4, policy)
    alone = [transform(item.clone()) for item in items]
    stores = [GraphStore.from_data_list(items).map(transform), GraphStore.from_data_list(alone)]
    for store in stores:
        for i, item in enumerate(alone):
            assert torch.equal(store[i].candidate_index, item.candidate_index)
        batch = store[torch.tensor([2, 1, 0])]
        shifted = torch.cat([alone[2].candidate_index, alone[0].candidate_index + 10], 1)
        assert torch.equal(batch.candidate_index, shifted)
        assert batch.candidate_index.dtype == torch.long
    assert torch.equal(Batch.from_data_list([alone[2], alone[1], alone[0]]).candidate_index, shifted)


def test_from_yaml():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--transform", type=Transform)
    args = ["--transform=gnnlab.lifting.CandidatePairs", "--transform.pool_size=7", "--transform.policy=random"]
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    assert instantiate(parser.parse_args(args)).transform == CandidatePairs(7, "random")


def test_bad_settings_and_input():
    with pytest.raises(ConfigError, match="did you mean 'farthest'"):
        CandidatePairs(policy="furthest")
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        CandidatePairs(0)
    one_way = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    with pytest.raises(GraphError, match="symmetrise=True"):
        CandidatePairs()(one_way)
    with pytest.raises(GraphError, match="needs node features"):
        CandidatePairs(policy="features", symmetrise=True)(one_way)
