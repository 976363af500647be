"""Sets and tuples of nodes: counts, against brute force, samples, degenerate graphs, and what is refused."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphStore
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.lifting import NodeTuples
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def graph(nx_graph: nx.Graph) -> Data:
    edges = torch.tensor(list(nx_graph.edges), dtype=torch.long).view(-1, 2).t()
    return Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=nx_graph.number_of_nodes())


C6 = graph(nx.cycle_graph(6))
SETTINGS = [
    {"size": 1},
    {"size": 3},
    {"size": 2, "ordered": True},
    {"size": 3, "ordered": True, "rate": 0.3},
    {"size": 3, "kind": "near", "max_distance": 2},
    {"size": 3, "kind": "near", "max_distance": 2, "ordered": True},
    {"size": 2, "kind": "near", "rate": 0.5},
    {"kind": "adjacent"},
    {"kind": "adjacent", "ordered": True},
]


@pytest.mark.parametrize("options", SETTINGS)
def test_keeps_the_contract_of_a_transform(options):
    check_transform(NodeTuples(**options))


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, [6, 15, 20, 15]),
        ({"ordered": True}, [6, 30, 120, 360]),
        ({"kind": "near", "max_distance": 1}, [6, 6, 0, 0]),
        ({"kind": "near", "max_distance": 2}, [6, 12, 8, 0]),
    ],
)
def test_counts_on_the_hexagon(options, counts):
    assert [NodeTuples(size, **options)(C6).tuple_index.size(1) for size in (1, 2, 3, 4)] == counts


@settings(max_examples=25, deadline=None)
@given(unions())
def test_tuples_are_those_of_brute_force(union):
    ptr = union.ptr.tolist()
    plain = nx.Graph()
    plain.add_nodes_from(range(ptr[-1]))
    plain.add_edges_from((u, v) for u, v in union.edge_index.t().tolist() if u != v)
    distance = dict(nx.all_pairs_shortest_path_length(plain))
    graphs = [range(a, b) for a, b in pairwise(ptr)]

    def near(nodes: tuple[int, ...]) -> bool:
        return all(distance[u].get(v, 99) <= 2 for u, v in combinations(nodes, 2))

    for size in (1, 2, 3):
        sets = [list(combinations(g, size)) or ([(*g, *[g[-1]] * (size - len(g)))] if g else []) for g in graphs]
        lifted = NodeTuples(size)(union).tuple_index
        assert sorted(map(tuple, lifted.t().tolist())) == sorted(t for some in sets for t in some)
        orders = [list(permutations(g, size)) for g in graphs]
        small = [list(permutations(g)) if 0 < len(g) < size else [] for g in graphs]
        padded = [(*order, *[order[-1]] * (size - len(order))) for some in small for order in some]
        lifted = NodeTuples(size, ordered=True)(union).tuple_index
        assert sorted(map(tuple, lifted.t().tolist())) == sorted([*padded, *(t for some in orders for t in some)])
        lifted = NodeTuples(size, kind="near", max_distance=2)(union).tuple_index
        kept = [t for some in sets for t in some if len(set(t)) < size or near(t)]
        assert sorted(map(tuple, lifted.t().tolist())) == sorted(kept)
    pairs = [(u, v) for u in plain for v in plain[u]] + [(u, u) for u in plain if not plain[u]]
    assert NodeTuples(kind="adjacent", ordered=True)(union).tuple_index.t().tolist() == sorted(map(list, pairs))
    pairs = [pair for pair in pairs if pair[0] <= pair[1]]
    assert NodeTuples(kind="adjacent")(union).tuple_index.t().tolist() == sorted(map(list, pairs))


@pytest.mark.parametrize("kind", ["all", "near"])
def test_sets_follow_the_numbering_of_nodes(kind):
    data = graph(nx.gnp_random_graph(8, 0.3, seed=3))
    place = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    moved = Data(edge_index=place[data.edge_index], num_nodes=8)
    lift = NodeTuples(3, kind=kind, max_distance=2)
    sets, others = (
        sorted(map(sorted, index.t().tolist())) for index in (place[lift(data).tuple_index], lift(moved).tuple_index)
    )
    assert sets == others


@pytest.mark.parametrize("options", [{}, {"ordered": True}, {"kind": "near", "max_distance": 2}])
def test_a_sample_is_a_part_and_says_how_many_it_stands_for(options):
    data = graph(nx.cycle_graph(9))
    full = list(map(tuple, NodeTuples(3, **options)(data).tuple_index.t().tolist()))
    samples = [NodeTuples(3, rate=0.2, seed=seed, **options)(data) for seed in (0, 0, 1)]
    assert torch.equal(samples[0].tuple_index, samples[1].tuple_index)
    assert samples[0].tuple_index.tolist() != samples[2].tuple_index.tolist()
    for sample in samples:
        assert set(map(tuple, sample.tuple_index.t().tolist())) <= set(full)
        assert sample.tuple_index.size(1) == round(0.2 * len(full))
        assert float(sample.tuple_weight.sum()) == pytest.approx(len(full))


def test_every_tuple_is_drawn_as_often_as_any_other():
    data = graph(nx.cycle_graph(6))
    count = torch.zeros(6, 6, dtype=torch.long)
    for seed in range(2000):
        u, v = NodeTuples(2, rate=0.2, seed=seed)(data).tuple_index
        count[u, v] += 1
    drawn = count[count > 0]
    assert drawn.numel() == 15
    assert int(drawn.sum()) == 3 * 2000
    # 400 on average; the deviation of a binomial is 18.
    assert int((drawn - 400).abs().max()) < 5 * 18


def test_a_small_graph_is_labelled_as_a_whole():
    data = Batch.from_data_list([graph(nx.path_graph(n)) for n in (1, 2, 3)])
    expected = [[0, 1, 3], [0, 2, 4], [0, 2, 5]]
    assert NodeTuples(3)(data).tuple_index.tolist() == expected
    assert NodeTuples(3, kind="near", max_distance=2)(data).tuple_index.tolist() == expected
    two = NodeTuples(3, ordered=True)(data).tuple_index[:, 1:3]
    assert two.t().tolist() == [[1, 2, 2], [2, 1, 1]]


def test_too_many_tuples_are_refused_with_the_estimate():
    with pytest.raises(BudgetError, match=r"(?s)166,167,000 tuples of 3 nodes.*kind='near'"):
        NodeTuples(3)(graph(nx.path_graph(1000)))
    with pytest.raises(BudgetError, match="100,010,000"):
        NodeTuples(2, ordered=True, max_gigabytes=1).check_budget(torch.tensor([10_001]))
    with pytest.raises(BudgetError, match="too many to number"):
        NodeTuples(8, rate=1e-30).check_budget(torch.tensor([100_000]))
    with pytest.raises(BudgetError, match="smaller max_distance"):
        NodeTuples(3, "near", 9, max_gigabytes=1e-3)(graph(nx.complete_graph(60)))
    assert NodeTuples(3, rate=1e-5)(graph(nx.path_graph(1000))).tuple_index.size(1) == 1662


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match="unknown kind 'nearby'"):
        NodeTuples(kind="nearby")
    for bad in ({"size": 0}, {"size": 9}, {"size": 3, "kind": "adjacent"}, {"max_distance": 0}, {"rate": 0.0}):
        with pytest.raises(ConfigError):
            NodeTuples(**bad)
    with pytest.raises(GraphError, match="tuple_mark"):
        NodeTuples()(Data(edge_index=C6.edge_index, num_nodes=6, tuple_mark=torch.zeros(3)))


@pytest.mark.parametrize("options", [{"size": 3}, {"size": 1}, {"size": 2, "rate": 0.5}, {"kind": "adjacent"}])
def test_a_store_batches_tuples(options):
    data = [graph(nx.cycle_graph(5)), graph(nx.path_graph(1)), graph(nx.path_graph(3))]
    lift = NodeTuples(**options)
    stores = [GraphStore.from_data_list(data).map(lift), GraphStore.from_data_list([lift(one) for one in data])]
    for store in stores:
        for index in ([0, 1, 2], [2, 0]):
            batch = store[torch.tensor(index)]
            expected = lift(Batch.from_data_list([data[i] for i in index]))
            assert torch.equal(batch.tuple_index, expected.tuple_index)
            if lift.rate < 1:
                assert torch.equal(batch.tuple_weight, expected.tuple_weight)
