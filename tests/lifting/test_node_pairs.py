"""Node pairs: order, marks, ego networks, samples, and what is refused."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphStore
from gnnlab.encodings import RRWP
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.lifting import NodePairs
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def graph(nx_graph: nx.Graph) -> Data:
    edges = torch.tensor(list(nx_graph.edges), dtype=torch.long).view(-1, 2).t()
    return Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=nx_graph.number_of_nodes())


C6 = graph(nx.cycle_graph(6))


@pytest.mark.parametrize("marking", ["node", "distance", "none"])
@pytest.mark.parametrize("policy", [{}, {"policy": "ego", "hops": 2}, {"roots": 2}, {"policy": "ego", "roots": 1}])
def test_keeps_the_contract_of_a_transform(policy, marking):
    check_transform(NodePairs(marking=marking, **policy))


@pytest.mark.parametrize(("policy", "pairs"), [({}, 36), ({"hops": 1}, 18), ({"hops": 2}, 30), ({"hops": 0}, 6)])
def test_sizes_on_the_hexagon(policy, pairs):
    policy = {"policy": "ego", **policy} if policy else {}
    assert NodePairs(**policy)(C6).pair_index.size(1) == pairs


@settings(max_examples=25, deadline=None)
@given(unions())
def test_pairs_and_marks_are_those_of_networkx(union):
    edge_index, ptr, data = union.edge_index, union.ptr, union
    digraph = nx.DiGraph()
    digraph.add_nodes_from(range(int(ptr[-1])))
    digraph.add_edges_from(edge_index.t().tolist())
    distance = dict(nx.all_pairs_shortest_path_length(digraph))
    bounds = list(zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True))
    inside = [(u, v) for a, b in bounds for u in range(a, b) for v in range(a, b)]
    full = NodePairs(marking="distance", max_distance=2)(data)
    assert full.pair_index.t().tolist() == [list(pair) for pair in inside]
    assert full.pair_mark.tolist() == [min(distance[u].get(v, 3), 2) if v in distance[u] else 3 for u, v in inside]
    ego = NodePairs("ego", hops=1, marking="distance")(data)
    assert ego.pair_index.t().tolist() == [[u, v] for u, v in inside if distance[u].get(v, 9) <= 1]
    assert NodePairs()(data).pair_mark.tolist() == [int(u == v) for u, v in inside]


def test_unreachable_nodes_have_a_mark_of_their_own():
    lifted = NodePairs(marking="distance", max_distance=5)(graph(nx.disjoint_union(nx.path_graph(9), nx.path_graph(1))))
    mark = lifted.pair_mark.view(10, 10)
    assert mark[0].tolist() == [0, 1, 2, 3, 4, 5, 5, 5, 5, 6]
    assert mark[9].tolist() == [6] * 9 + [0]


def test_a_wide_union_is_measured_without_a_table(monkeypatch):
    graphs = Batch.from_data_list([graph(nx.cycle_graph(30)), *[graph(nx.path_graph(2))] * 40])
    expected = NodePairs(marking="distance")(graphs).pair_mark
    monkeypatch.setattr("gnnlab.lifting.node_pairs._CELLS", 0)
    monkeypatch.setattr("gnnlab.lifting.node_pairs._SPARE", 0)
    assert torch.equal(NodePairs(marking="distance")(graphs).pair_mark, expected)


def test_a_sample_of_roots_depends_on_the_seed_and_is_a_part_of_all_pairs():
    data = graph(nx.cycle_graph(20))
    full = set(map(tuple, NodePairs()(data).pair_index.t().tolist()))
    samples = [NodePairs(roots=3, seed=seed)(data).pair_index for seed in (0, 0, 1)]
    assert torch.equal(samples[0], samples[1])
    assert samples[0].tolist() != samples[2].tolist()
    for pairs in samples:
        assert pairs[0].unique().numel() == 3
        assert pairs.size(1) == 60
        assert set(map(tuple, pairs.t().tolist())) <= full


def test_large_graphs_are_refused_with_what_ego_networks_would_take():
    data = graph(nx.cycle_graph(3000))
    with pytest.raises(BudgetError, match=r"(?s)9,000,000 pairs.*with hops=2 at most 21,000 pairs"):
        NodePairs(hops=2, max_gigabytes=0.1)(data)
    with pytest.raises(BudgetError, match="policy='ego'"):
        NodePairs().check_budget(torch.tensor([100_000]))
    with pytest.raises(BudgetError, match="fewer hops"):
        NodePairs("ego", hops=2, max_gigabytes=1e-6)(data)
    assert NodePairs("ego", hops=2, max_gigabytes=0.1)(data).pair_index.size(1) == 15_000


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match="unknown policy 'egos'"):
        NodePairs("egos")
    with pytest.raises(ConfigError, match="unknown marking"):
        NodePairs(marking="nodes")
    for bad in ({"hops": -1}, {"max_distance": -1}, {"roots": 0}, {"max_gigabytes": 0.0}):
        with pytest.raises(ConfigError):
            NodePairs(**bad)


def test_a_store_batches_pairs_marks_and_encodings_of_pairs():
    data = [graph(nx.cycle_graph(5)), graph(nx.path_graph(1)), graph(nx.path_graph(3))]
    for i, one in enumerate(data):
        one.x = torch.full((one.num_nodes, 1), float(i))
    store = GraphStore.from_data_list(data).map(NodePairs(marking="distance")).map(RRWP(4, pairs="all"))
    for index in ([0, 1, 2], [2, 0]):
        batch = store[torch.tensor(index)]
        expected = NodePairs(marking="distance")(Batch.from_data_list([data[i] for i in index]))
        assert torch.equal(batch.pair_index, expected.pair_index)
        assert torch.equal(batch.pair_mark, expected.pair_mark)
        assert torch.allclose(batch.pair_pe_rrwp, RRWP(4, pairs="all")(expected).pair_pe_rrwp)


def test_pairs_that_are_encoded_already_are_not_exchanged():
    with pytest.raises(GraphError, match="pair_pe_rrwp"):
        NodePairs()(RRWP(4, pairs="all")(C6))
    again = NodePairs(marking="none")(NodePairs("ego")(C6))
    assert again.pair_index.size(1) == 36
    assert "pair_mark" not in again
