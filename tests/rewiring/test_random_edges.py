"""The random control: uniform, inside components, and as far apart as what it is the control of."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.rewiring import GTR, LASER, DRewShells, Edits, RandomEdges, Rewiring, VirtualNode
from gnnlab.rewiring._profile import edges_alike
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def undirected(graph: nx.Graph) -> Data:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).view(-1, 2).t().contiguous()
    return Data(edge_index=edges, num_nodes=graph.number_of_nodes())


def added(data: Data) -> set[tuple[int, int]]:
    """Undirected edges that were added; each must be there once in both directions."""
    rows = data.edge_index[:, data.edge_type > 0].t().tolist()
    pairs = {(min(u, v), max(u, v)) for u, v in rows}
    assert sorted(map(tuple, rows)) == sorted([*pairs, *((v, u) for u, v in pairs)])
    return pairs


def histogram(before: Data, after: Data) -> Counter:
    """(distance, relation) of the undirected edges added, distances in the graph as it was."""
    graph = nx.Graph(before.edge_index.t().tolist())
    new = after.edge_type > 0
    rows = zip(*after.edge_index[:, new].tolist(), after.edge_type[new].tolist(), strict=True)
    labels = {(min(u, v), max(u, v)): relation for u, v, relation in rows}
    return Counter((nx.shortest_path_length(graph, u, v), relation) for (u, v), relation in labels.items())


@pytest.mark.parametrize(
    "rewire",
    [
        RandomEdges(symmetrise=True),
        RandomEdges(num_edges=2, seed=3, symmetrise=True),
        RandomEdges(like=LASER(symmetrise=True), symmetrise=True),
        RandomEdges(like=GTR(num_edges=3, symmetrise=True), symmetrise=True),
    ],
)
def test_keeps_the_contract(rewire: RandomEdges) -> None:
    check_transform(rewire)


@given(batch=unions(max_nodes=9, undirected=True), num_edges=st.integers(0, 12), seed=st.integers(0, 5))
def test_non_edges_inside_components_as_many_as_there_are(batch: Batch, num_edges: int, seed: int) -> None:
    out = RandomEdges(num_edges=num_edges, seed=seed)(batch)
    graph = nx.Graph()
    graph.add_nodes_from(range(batch.num_nodes))
    graph.add_edges_from(batch.edge_index.t().tolist())
    parts = list(nx.connected_components(graph))
    free = {(u, v) for part in parts for u in part for v in part if u < v and not graph.has_edge(u, v)}
    new = added(out)
    assert new <= free
    available = Counter(int(batch.batch[u]) for u, _ in free)
    expected = {g: min(num_edges, count) for g, count in available.items() if num_edges}
    assert Counter(int(batch.batch[u]) for u, _ in new) == expected
    for g, count in expected.items():
        mine = (batch.batch[out.edge_index[0]] == g) & (out.edge_type > 0)
        assert sorted(out.edge_order[mine].tolist()) == sorted([*range(1, count + 1)] * 2)


@pytest.mark.parametrize("num_edges", [1, 4], ids=["drawn", "enumerated"])
def test_every_non_edge_is_equally_likely(num_edges: int) -> None:
    data = undirected(nx.path_graph(6))  # ten of them
    counts = Counter(pair for seed in range(400) for pair in added(RandomEdges(num_edges=num_edges, seed=seed)(data)))
    share = num_edges / 10
    deviation = (400 * share * (1 - share)) ** 0.5
    assert len(counts) == 10
    assert max(abs(count - 400 * share) for count in counts.values()) < 4.5 * deviation


def test_fewer_edges_come_first() -> None:
    data = undirected(nx.random_labeled_tree(60, seed=1))
    many = RandomEdges(num_edges=20)(data)
    first = many.edge_index[:, (many.edge_order > 0) & (many.edge_order <= 7)]
    assert {(min(u, v), max(u, v)) for u, v in first.t().tolist()} == added(RandomEdges(num_edges=7)(data))


def test_a_complete_graph_stays() -> None:
    assert not added(RandomEdges()(undirected(nx.complete_graph(5))))


def test_hardly_any_candidate_is_found_too() -> None:
    almost = nx.complete_graph(40)
    missing = {(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)}
    almost.remove_edges_from(missing)
    assert added(RandomEdges(num_edges=9)(undirected(almost))) == missing
    assert added(RandomEdges(num_edges=1)(undirected(almost))) < missing


def test_large_graphs_are_sampled() -> None:
    data = undirected(nx.disjoint_union(nx.path_graph(20_000), nx.path_graph(300)))
    new = added(RandomEdges(num_edges=500, max_pairs=10_000)(data))
    assert len(new) == 500
    assert all((u < 20_000) == (v < 20_000) for u, v in new)


@pytest.mark.parametrize(
    "like",
    [
        LASER(),
        LASER(num_snapshots=4, density=0.2, relation=1),
        LASER(num_snapshots=4, mode="released"),
        GTR(num_edges=6),
        DRewShells(num_hops=3),
    ],
)
def test_distances_and_relations_are_those_of_the_model(like: Rewiring) -> None:
    trees = [undirected(nx.random_labeled_tree(n, seed=n)) for n in (3, 12, 25, 40)]
    trees.append(undirected(nx.disjoint_union(nx.cycle_graph(9), nx.path_graph(7))))
    batch = Batch.from_data_list(trees)
    control, model = RandomEdges(like=like)(batch), like(batch)
    added(control)
    for before, after, wanted in zip(trees, control.to_data_list(), model.to_data_list(), strict=True):
        assert histogram(before, after) == histogram(before, wanted)


def test_the_choice_among_equals_is_random() -> None:
    data = undirected(nx.cycle_graph(8))
    like = GTR(num_edges=1)  # one of four diameters, always the same
    counts = Counter(pair for seed in range(200) for pair in added(RandomEdges(like=like, seed=seed)(data)))
    assert set(counts) == {(0, 4), (1, 5), (2, 6), (3, 7)}
    assert max(abs(count - 50) for count in counts.values()) < 28


def test_only_new_pairs_of_a_component_have_a_counterpart() -> None:
    edges = torch.tensor([[0, 1, 1, 2, 2, 3, 4, 5], [1, 0, 2, 1, 3, 2, 5, 4]])
    loop, known, joining, new, twice = [0, 0], [0, 1], [0, 4], [0, 3], [3, 0]
    given = Edits(torch.tensor([loop, known, joining, new, twice]).t(), relation=torch.arange(5))
    pairs, order, relation = edges_alike(given, edges, torch.tensor([0, 6]), seed=0, max_pairs=100)
    assert (pairs.tolist(), order.tolist(), relation.tolist()) == ([[0], [3]], [1], [3])


def test_the_key_tells_models_apart() -> None:
    keys = {RandomEdges(like=like).key() for like in (None, LASER(), LASER(density=0.1), GTR())}
    assert len(keys) == 4
    assert RandomEdges(like=LASER()).spec()["fields"]["like"]["fields"]["num_snapshots"] == 3


def test_says_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="num_edges"):
        RandomEdges(num_edges=-1)
    for like in (VirtualNode(), "LASER"):
        with pytest.raises(ConfigError, match="like must be a rewiring that adds edges"):
            RandomEdges(like=like)
    with pytest.raises(GraphError, match="symmetrise=True"):
        RandomEdges()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    cycle = undirected(nx.cycle_graph(30))
    with pytest.raises(BudgetError, match="max_pairs"):
        RandomEdges(num_edges=200, max_pairs=500)(cycle)
    with pytest.raises(BudgetError, match="max_pairs"):
        RandomEdges(like=LASER(), max_pairs=50)(cycle)
