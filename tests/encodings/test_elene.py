"""ELENE as features: the layout of its columns, clipping, self-loops, what is refused."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from gnnlab.encodings import ElenePE
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import ego_intersections, ego_vertices
from gnnlab.testing import check_transform


def data(graph: nx.Graph) -> Data:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return Data(edge_index=edges.t().contiguous(), num_nodes=graph.number_of_nodes())


@pytest.mark.parametrize("level", ["node", "edge"])
@pytest.mark.parametrize("layout", ["histogram", "hash"])
@pytest.mark.parametrize("k", [1, 2])
def test_contract(level: str, layout: str, k: int) -> None:
    check_transform(ElenePE(k=k, max_degree=3, level=level, layout=layout))


def test_defaults() -> None:
    encoding = ElenePE()
    result = encoding(data(nx.petersen_graph()))
    assert result.pe_elene.shape == (10, encoding.width) == (10, 66)
    assert result.pe_elene.dtype == torch.float32
    assert "edge_pe_elene" not in result


@pytest.mark.parametrize("k", [1, 2, 3])
def test_columns_of_nodes(k: int) -> None:
    graph, limit = data(nx.gnm_random_graph(14, 24, seed=k)), 3
    ptr = torch.tensor([0, 14])
    expected = torch.zeros(14, 3 * (k + 1) * (limit + 1))
    ego = ego_vertices(graph.edge_index, ptr, k)
    for root, distance, degrees in zip(ego.root.tolist(), ego.distance.tolist(), ego.degrees.tolist(), strict=True):
        for position, degree in enumerate(degrees):
            expected[root, (3 * distance + position) * (limit + 1) + min(degree, limit)] += 1
    assert torch.equal(ElenePE(k=k, max_degree=limit)(graph).pe_elene, expected)


@pytest.mark.parametrize("k", [1, 2])
def test_columns_of_edges(k: int) -> None:
    graph, limit = data(nx.gnm_random_graph(14, 24, seed=k)), 3
    block = 3 * (k + 1) * (limit + 1)
    shared = ego_intersections(graph.edge_index, torch.tensor([0, 14]), k)
    table = {tuple(ends): torch.zeros(k * block) for ends in graph.edge_index.t().tolist()}
    nodes = torch.zeros(14, k * block)
    for edge, pair, degrees in zip(shared.edge.tolist(), shared.distance.tolist(), shared.degree.tolist(), strict=True):
        ends = shared.edges[:, edge].tolist()
        for (u, v), (near, far) in ((ends, pair), (ends[::-1], pair[::-1])):
            for level, degree in enumerate(degrees):
                if degree >= 0:
                    column = level * block + (3 * near + far - near + 1) * (limit + 1) + min(degree, limit)
                    table[u, v][column] += 1
                    nodes[u, column] += 1
    result = ElenePE(k=k, max_degree=limit, level="edge")(graph)
    assert torch.equal(result.edge_pe_elene, torch.stack([table[tuple(e)] for e in graph.edge_index.t().tolist()]))
    assert torch.equal(result.pe_elene, nodes)
    last = ElenePE(k=k, max_degree=limit, level="edge", union=False)(graph)
    assert torch.equal(last.edge_pe_elene, result.edge_pe_elene[:, -block:])


def test_hash_keeps_what_occurs_together() -> None:
    graph = data(nx.gnm_random_graph(20, 40, seed=0))
    wide = ElenePE(k=2, layout="hash", buckets=1 << 16)(graph).pe_elene
    ego = ego_vertices(graph.edge_index, torch.tensor([0, 20]), 2)
    rows = torch.cat([ego.distance[:, None], ego.degrees], 1).tolist()
    for root in range(20):
        counts = Counter(tuple(row) for row, r in zip(rows, ego.root.tolist(), strict=True) if r == root)
        assert sorted(counts.values()) == sorted(wide[root][wide[root] > 0].tolist())


@pytest.mark.parametrize("level", ["node", "edge"])
def test_clipping_changes_nothing_within_bounds(level: str) -> None:
    for seed in range(10):
        graph = data(nx.random_regular_graph(4, 12, seed=seed))
        exact, wide = (ElenePE(k=2, max_degree=bound, level=level)(graph).pe_elene for bound in (4, 12))
        assert torch.equal(exact.unflatten(1, (-1, 5)), wide.unflatten(1, (-1, 13))[..., :5])
        assert int(wide.unflatten(1, (-1, 13))[..., 5:].sum()) == 0


def test_histograms_of_one_hop_lose_nothing() -> None:
    graph = data(nx.gnm_random_graph(30, 70, seed=0))
    histogram = ElenePE(max_degree=30)(graph).pe_elene
    exact = ElenePE(layout="hash", buckets=1 << 16)(graph).pe_elene
    same = (histogram[:, None] == histogram).all(-1)
    assert torch.equal(same, (exact[:, None] == exact).all(-1))
    assert not bool(same.all())


def test_fewer_hops_can_be_read_off_the_nodes() -> None:
    graph = data(nx.gnm_random_graph(30, 45, seed=0))
    one, two = (ElenePE(k=k)(graph).pe_elene.view(30, k + 1, 3, 11) for k in (1, 2))
    assert torch.equal(two[:, 0], one[:, 0])
    assert torch.equal(two[:, 1, :2], one[:, 1, :2])


def test_self_loops_and_directions() -> None:
    directed = Data(edge_index=torch.tensor([[0, 1, 2, 1], [1, 2, 0, 1]]), num_nodes=3)
    both = ElenePE(level="edge")(data(nx.cycle_graph(3)))
    result = ElenePE(level="edge")(directed)
    assert torch.equal(result.pe_elene, both.pe_elene)
    assert int(result.edge_pe_elene[3].abs().sum()) == 0
    assert int(result.edge_pe_elene[0].sum()) == 3


def test_says_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="edge"):
        ElenePE(level="edges")
    with pytest.raises(ConfigError, match="histogram"):
        ElenePE(layout="histograms")
    with pytest.raises(ConfigError, match="k must be"):
        ElenePE(k=0)
    big = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=10**8)
    with pytest.raises(BudgetError, match="max_gigabytes"):
        ElenePE()(big)
    with pytest.raises(BudgetError, match="columns for 1,000,000,000 nodes"):
        ElenePE().check_budget(torch.tensor([10**9]))
