"""Hop distances against networkx, by both engines; sizes that are refused; degenerate unions."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Batch

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import _search_numba, _search_torch, diameter, distances, k_hop_pairs, shortest_path_distances
from gnnlab.testing.strategies import unions

ENGINES = [_search_torch, _search_numba]


@pytest.fixture(params=ENGINES, ids=["torch", "numba"])
def engine(request, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distances, "_search_for", lambda device: request.param)
    return request.param


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def oracle(batch: Batch) -> dict[tuple[int, int], int]:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(batch.num_nodes))
    graph.add_edges_from(batch.edge_index.t().tolist())
    lengths = nx.all_pairs_shortest_path_length(graph)
    return {(u, v): hops for u, row in lengths for v, hops in row.items()}


def with_engine(which: int, function, *arguments, **options):
    """The fixture cannot be used with hypothesis."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_search_for", lambda device: ENGINES[which])
        return function(*arguments, **options)


@pytest.mark.parametrize("which", [0, 1])
@given(batch=unions(max_nodes=9, max_edges=18), cutoff=st.none() | st.integers(0, 4))
def test_tables_are_those_of_networkx(which: int, batch: Batch, cutoff: int | None) -> None:
    table = with_engine(which, shortest_path_distances, batch.edge_index, batch.ptr, cutoff)
    expected = torch.full_like(table, -1)
    for (u, v), hops in oracle(batch).items():
        if cutoff is None or hops <= cutoff:
            expected[u, v - int(batch.ptr[batch.batch[u]])] = hops
    assert table.dtype == torch.int32
    assert table.shape == (batch.num_nodes, int(batch.ptr.diff().max()))
    assert torch.equal(table, expected)


@pytest.mark.parametrize("which", [0, 1])
@given(batch=unions(max_nodes=9, max_edges=18), k=st.integers(0, 6))
def test_pairs_are_those_of_networkx_in_order(which: int, batch: Batch, k: int) -> None:
    pairs, distance = with_engine(which, k_hop_pairs, batch.edge_index, batch.ptr, k)
    expected = sorted((u, hops, v) for (u, v), hops in oracle(batch).items() if 1 <= hops <= k)
    assert list(zip(pairs[0].tolist(), distance.tolist(), pairs[1].tolist(), strict=True)) == expected
    assert pairs.dtype == distance.dtype == torch.long


@pytest.mark.parametrize("which", [0, 1])
@given(batch=unions(max_nodes=9, max_edges=18))
def test_diameters_are_the_largest_finite_distances(which: int, batch: Batch) -> None:
    expected = [0] * (batch.ptr.numel() - 1)
    for (u, _), hops in oracle(batch).items():
        graph = int(batch.batch[u])
        expected[graph] = max(expected[graph], hops)
    assert with_engine(which, diameter, batch.edge_index, batch.ptr).tolist() == expected


def test_known_diameters(engine) -> None:
    for graph, expected in [
        (nx.path_graph(50), 49),
        (nx.cycle_graph(11), 5),
        (nx.complete_graph(6), 1),
        (nx.petersen_graph(), 2),
        (nx.hypercube_graph(4), 4),
        (nx.empty_graph(3), 0),
    ]:
        assert diameter(*tensors(graph)).tolist() == [expected]


def test_rows_are_cut_where_a_table_would_be_large(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index, ptr = tensors(nx.random_labeled_tree(60, seed=1))
    whole = diameter(edge_index, ptr)
    monkeypatch.setattr(distances, "_CELLS", 130)
    assert torch.equal(diameter(edge_index, ptr), whole)
    assert int(whole) == int(shortest_path_distances(edge_index, ptr).max())


def test_ranges_of_sources_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index, ptr = tensors(nx.gnm_random_graph(70, 140, seed=2))
    monkeypatch.setattr(distances, "_search_for", lambda device: _search_torch)
    whole = k_hop_pairs(edge_index, ptr, 3)
    monkeypatch.setattr(_search_torch, "_VISITS", 100)
    assert all(map(torch.equal, k_hop_pairs(edge_index, ptr, 3), whole))


def test_many_nodes_in_a_layer_are_sorted(engine) -> None:
    star = nx.star_graph(300)
    star = nx.relabel_nodes(star, dict(zip(range(301), torch.randperm(301).tolist(), strict=True)))
    edges = torch.tensor(list(star.to_directed().edges)).t().contiguous()
    pairs, distance = k_hop_pairs(edges, torch.tensor([0, 301]), 2)
    key = (pairs[0] * 3 + distance) * 301 + pairs[1]
    assert pairs.size(1) == 301 * 300
    assert bool((key.diff() > 0).all())


def test_a_large_sparse_graph_stays_sparse(engine) -> None:
    n = 20_000
    edge_index, ptr = tensors(nx.path_graph(n))
    pairs, distance = k_hop_pairs(edge_index, ptr, 3, max_pairs=6 * n)
    assert distance.bincount().tolist() == [0, 2 * (n - 1), 2 * (n - 2), 2 * (n - 3)]
    assert torch.equal((pairs[0] - pairs[1]).abs(), distance)


def test_what_is_too_large_is_refused_before(engine) -> None:
    edge_index, ptr = tensors(nx.star_graph(20))
    assert k_hop_pairs(edge_index, ptr, 2, max_pairs=420).distance.numel() == 420
    with pytest.raises(BudgetError, match=r"more than 419 pairs .*at most 420"):
        k_hop_pairs(edge_index, ptr, 2, max_pairs=419)
    with pytest.raises(BudgetError, match="max_entries"):
        shortest_path_distances(edge_index, ptr, max_entries=440)
    with pytest.raises(BudgetError, match=r"37\.3 GiB"):
        shortest_path_distances(torch.empty(2, 0, dtype=torch.long), torch.tensor([0, 100_000]))


def test_degenerate_unions(engine) -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for ptr in (torch.tensor([0]), torch.tensor([0, 0, 0])):
        assert shortest_path_distances(none, ptr).shape == (0, 0)
        assert k_hop_pairs(none, ptr, 3).pairs.shape == (2, 0)
        assert diameter(none, ptr).tolist() == [0] * (ptr.numel() - 1)
    assert shortest_path_distances(none, torch.tensor([0, 2])).tolist() == [[0, -1], [-1, 0]]


def test_says_what_is_wrong() -> None:
    edge_index, ptr = tensors(nx.path_graph(3))
    with pytest.raises(ConfigError, match="cutoff"):
        shortest_path_distances(edge_index, ptr, -1)
    with pytest.raises(ConfigError, match="k must be"):
        k_hop_pairs(edge_index, ptr, -1)
    for function in (shortest_path_distances, diameter):
        with pytest.raises(GraphError, match="joins two graphs"):
            function(edge_index, torch.tensor([0, 2, 3]))
