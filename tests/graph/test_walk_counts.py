"""Walk counts against dense powers, by both engines, and where float64 ends."""

from __future__ import annotations

import sys

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import _walk_numba, walk_counts
from gnnlab.testing.strategies import unions

MODULE = sys.modules["gnnlab.graph.walk_counts"]  # the function has the name of its module
ENGINES = {"torch": MODULE._count_walks, "numba": _walk_numba.count_walks}


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(MODULE, "_counter_for", lambda device: ENGINES[request.param])
    return request.param


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def power(edge_index: Tensor, n: int, length: int, loops: bool, weight: Tensor | None = None) -> Tensor:
    weight = torch.ones(edge_index.size(1), dtype=torch.float64) if weight is None else weight.double()
    matrix = torch.eye(n, dtype=torch.float64) * loops
    matrix.index_put_(tuple(edge_index), weight, accumulate=True)
    return torch.linalg.matrix_power(matrix, length)


def all_pairs(n: int) -> Tensor:
    return torch.cartesian_prod(torch.arange(n), torch.arange(n)).reshape(-1, 2).t()


def test_a_path_by_hand(engine) -> None:
    edge_index, ptr = tensors(nx.path_graph(3))
    counts = walk_counts(edge_index, ptr, torch.tensor([[0, 0, 1], [2, 1, 1]]), length=2)
    assert counts.tolist() == [1, 2, 3]
    assert counts.dtype == torch.float64
    assert walk_counts(edge_index, ptr, all_pairs(3), 2, self_loops=False).tolist() == [1, 0, 1, 0, 2, 0, 1, 0, 1]


@pytest.mark.parametrize("name", ENGINES)
@given(
    batch=unions(max_nodes=8, max_edges=16),
    length=st.integers(0, 7),
    loops=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_union_matches_dense_powers(name, batch, length, loops, weighted, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(1, 5, (batch.num_edges,), generator=generator).double() if weighted else None
    pairs = all_pairs(batch.num_nodes)
    pairs = pairs[:, torch.randperm(pairs.size(1), generator=generator)[:20]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "_counter_for", lambda device: ENGINES[name])
        counts = walk_counts(batch.edge_index, batch.ptr, pairs, length, loops, weight)
    expected = power(batch.edge_index, batch.num_nodes, length, loops, weight)
    assert torch.equal(counts, expected[pairs[0], pairs[1]])


@pytest.mark.parametrize(
    "graph",
    [
        nx.grid_2d_graph(3, 100),
        nx.random_labeled_tree(300, seed=3),
        nx.path_graph(270),
        nx.gnm_random_graph(280, 400, seed=1),
        nx.gnp_random_graph(280, 0.01, seed=2, directed=True),
    ],
)
def test_large_graphs_look_at_neighbourhoods_only(engine, graph: nx.Graph) -> None:
    edge_index, ptr = tensors(graph)
    n = int(ptr[-1])
    loop = torch.tensor([[0, 7], [0, 7]])
    edge_index = torch.cat([edge_index, loop], 1)
    pairs = all_pairs(n)
    near = pairs[:, torch.randperm(n * n, generator=torch.Generator().manual_seed(0))[:3000]]
    for length, loops in ((8, True), (5, False), (0, True), (1, False)):
        expected = power(edge_index, n, length, loops)
        found = expected.nonzero().t()
        for some in (near, found[:, ::7], found[:, :1]):
            counts = walk_counts(edge_index, ptr, some, length, loops)
            assert torch.equal(counts, expected[some[0], some[1]])


def test_column_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index, ptr = tensors(nx.gnm_random_graph(70, 200, seed=0))
    monkeypatch.setattr(MODULE, "_counter_for", lambda device: MODULE._count_walks)
    whole = walk_counts(edge_index, ptr, all_pairs(70), 5)
    monkeypatch.setattr(MODULE, "_CELLS", 100)
    assert torch.equal(walk_counts(edge_index, ptr, all_pairs(70), 5), whole)


def test_pairs_between_graphs_count_nothing(engine) -> None:
    edge_index, _ = tensors(nx.disjoint_union(nx.path_graph(2), nx.path_graph(2)))
    pairs = torch.tensor([[3, 0, 1, 2], [0, 1, 2, 3]])
    assert walk_counts(edge_index, torch.tensor([0, 2, 4]), pairs, 2).tolist() == [0, 2, 0, 2]


def test_hubs_leave_float32_but_not_float64(engine) -> None:
    leaves = torch.arange(1, 200_001)
    spokes = torch.stack([torch.zeros_like(leaves), leaves])
    ptr = torch.tensor([0, 200_001])
    counts = walk_counts(torch.cat([spokes, spokes.flip(0)], 1), ptr, torch.tensor([[1], [2]]), 18)
    assert 3.5e38 < float(counts) < torch.inf


def test_beyond_float64_counts_are_infinite(engine) -> None:
    edge_index, ptr = tensors(nx.disjoint_union(nx.complete_graph(10), nx.path_graph(3)))
    pairs = torch.tensor([[0, 0, 10], [1, 11, 12]])
    assert walk_counts(edge_index, ptr, pairs, 400)[:2].tolist() == [torch.inf, 0]
    assert bool(walk_counts(edge_index, ptr, pairs, 400)[2].isfinite())


def test_degenerate_unions(engine) -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    assert walk_counts(none, torch.tensor([0]), none, 3).shape == (0,)
    assert walk_counts(none, torch.tensor([0, 0, 2]), torch.tensor([[0, 1], [0, 0]]), 3).tolist() == [1, 0]


def test_says_what_is_wrong() -> None:
    edge_index, ptr = tensors(nx.path_graph(3))
    with pytest.raises(ConfigError, match="length"):
        walk_counts(edge_index, ptr, edge_index, -1)
    with pytest.raises(GraphError, match="pairs hold nodes outside 0 to 2"):
        walk_counts(edge_index, ptr, edge_index + 1, 2)
    with pytest.raises(GraphError, match="pairs must be"):
        walk_counts(edge_index, ptr, edge_index.float(), 2)
