"""Walk probabilities of pairs against dense float64 powers, closed forms and properties of walks."""

from __future__ import annotations

from importlib import import_module

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import _transition, _walk_probabilities_numba, walk_probabilities, walk_return_probabilities
from gnnlab.testing.strategies import unions

METHODS = ["sparse", "dense"]
MODULE = import_module("gnnlab.graph.walk_probabilities")


@pytest.fixture(scope="module", params=["numba", "torch"], autouse=True)
def engine(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setattr(MODULE, "compiled_walks", lambda weight: None)
            patch.setattr(_transition, "compiled_walks", lambda weight: None)
        yield request.param


def _tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def _all(num_nodes: int) -> Tensor:
    return torch.cartesian_prod(torch.arange(num_nodes), torch.arange(num_nodes)).reshape(-1, 2).t()


def _oracle(edge_index: Tensor, num_nodes: int, steps: int, weight: Tensor | None = None) -> Tensor:
    """[N, N, steps + 1] dense powers."""
    weight = torch.ones(edge_index.size(1)) if weight is None else weight
    adjacency = torch.zeros(num_nodes, num_nodes, dtype=torch.double)
    adjacency.index_put_(tuple(edge_index), weight.double(), accumulate=True)
    degree = adjacency.sum(1, keepdim=True)
    transition = torch.where(degree > 0, adjacency / degree, 0.0)
    return torch.stack([torch.linalg.matrix_power(transition, t) for t in range(steps + 1)], -1)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=50, deadline=None)
@given(unions(max_nodes=8, max_edges=14), st.integers(0, 6), st.booleans(), st.integers(0, 99))
def test_any_union_matches_dense_powers(method: str, batch, steps: int, weighted: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(batch.num_edges, generator=generator).round(decimals=1) if weighted else None
    pairs = _all(batch.num_nodes)  # also those between graphs
    pairs = pairs[:, torch.randperm(pairs.size(1), generator=generator)]
    found = walk_probabilities(batch.edge_index, batch.ptr, pairs, steps, weight, method=method, dtype=torch.double)
    expected = _oracle(batch.edge_index, batch.num_nodes, steps, weight)[pairs[0], pairs[1]]
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("graph", [nx.path_graph(60), nx.grid_2d_graph(4, 25), nx.random_labeled_tree(80, seed=3)])
def test_shared_columns_never_meet(graph: nx.Graph) -> None:
    edge_index, ptr = _tensors(graph)
    n = int(ptr[-1])
    pairs = _all(n)
    for steps in (1, 4, 9):
        expected = _oracle(edge_index, n, steps)[pairs[0], pairs[1]]
        for chosen in (slice(None), slice(0, None, 97)):
            found = walk_probabilities(edge_index, ptr, pairs[:, chosen], steps, method="sparse", dtype=torch.double)
            assert torch.allclose(found, expected[chosen], atol=1e-12)


def test_directed_walks_follow_the_edges() -> None:
    ring = torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30])
    edge_index = torch.cat([ring, torch.tensor([[0, 3, 10], [0, 1, 7]])], 1)
    pairs = _all(30)
    found = walk_probabilities(edge_index, torch.tensor([0, 30]), pairs, 6, method="sparse", dtype=torch.double)
    assert torch.allclose(found, _oracle(edge_index, 30, 6)[pairs[0], pairs[1]], atol=1e-12)


def test_column_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for graph in (nx.gnm_random_graph(70, 300, seed=0), nx.path_graph(70), nx.gnm_random_graph(70, 60, seed=1)):
        edge_index, ptr = _tensors(graph)
        for pairs in (_all(70), edge_index, _all(70)[:, 7::41]):
            whole = walk_probabilities(edge_index, ptr, pairs, 5, method="sparse")
            with monkeypatch.context() as patch:
                patch.setattr(MODULE, "_SPARSE_CELLS", 100)
                patch.setattr(_walk_probabilities_numba, "_STARTS", (3, 3))
                assert torch.equal(walk_probabilities(edge_index, ptr, pairs, 5, method="sparse"), whole)


@settings(max_examples=80, deadline=None)
@given(
    unions(max_nodes=9, max_edges=16), st.integers(0, 7), st.integers(1, 4), st.integers(0, 99), st.floats(0.02, 1.0)
)
def test_compiled_blocks_leave_no_walk_out(batch, steps: int, starts: int, seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(batch.num_edges, generator=generator).round(decimals=1)
    pairs = _all(batch.num_nodes)
    pairs = pairs[:, torch.rand(pairs.size(1), generator=generator) < share]
    pairs = pairs[:, torch.randperm(pairs.size(1), generator=generator)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_walk_probabilities_numba, "_STARTS", (starts, starts))
        found = walk_probabilities(batch.edge_index, batch.ptr, pairs, steps, weight, method="sparse")
    expected = _oracle(batch.edge_index, batch.num_nodes, steps, weight)[pairs[0], pairs[1]]
    assert torch.allclose(found.double(), expected, atol=1e-6)


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_invariants(method: str) -> None:
    edge_index, ptr = _tensors(nx.connected_watts_strogatz_graph(30, 4, 0.3, seed=1))
    pairs = _all(30)
    power = walk_probabilities(edge_index, ptr, pairs, 8, method=method, dtype=torch.double).view(30, 30, 9)
    assert torch.allclose(power.sum(1), torch.ones(30, 9, dtype=torch.double))
    flow = power * torch.bincount(edge_index[0])[:, None, None]
    assert torch.allclose(flow, flow.transpose(0, 1))
    returns = walk_return_probabilities(edge_index, ptr, 8, dtype=torch.double)
    assert torch.allclose(power.diagonal().t()[:, 1:], returns)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_gives_what_its_graphs_give(method: str) -> None:
    parts = [_tensors(g) for g in (nx.star_graph(6), nx.cycle_graph(9), nx.barbell_graph(5, 3))]
    ptr = torch.tensor([0, *(int(p[-1]) for _, p in parts)]).cumsum(0)
    union = torch.cat([edges + start for (edges, _), start in zip(parts, ptr, strict=False)], 1)
    together = walk_probabilities(union, ptr, union, 6, method=method)
    alone = torch.cat([walk_probabilities(edges, p, edges, 6, method=method) for edges, p in parts])
    assert torch.allclose(together, alone, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_unions(method: str) -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    assert walk_probabilities(none, torch.tensor([0, 0]), none, 3, method=method).shape == (0, 4)
    own = torch.tensor([[0, 1, 0], [0, 1, 1]])
    found = walk_probabilities(none, torch.tensor([0, 2]), own, 2, method=method)
    assert found.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    loop = torch.tensor([[1], [1]])
    assert walk_probabilities(loop, torch.tensor([0, 1, 2]), own, 2, method=method)[1].tolist() == [1, 1, 1]


def test_says_what_is_wrong() -> None:
    edge_index, ptr = _tensors(nx.path_graph(3))
    with pytest.raises(ConfigError, match="sparse"):
        walk_probabilities(edge_index, ptr, edge_index, 2, method="spars")
    with pytest.raises(ConfigError, match="at least 0"):
        walk_probabilities(edge_index, ptr, edge_index, -1)
    with pytest.raises(GraphError, match="pairs"):
        walk_probabilities(edge_index, ptr, torch.tensor([[0], [3]]), 2)
    edge_index, ptr = _tensors(nx.path_graph(50))
    # A column for every node would be too much, but those of a path are shared.
    assert walk_probabilities(edge_index, ptr, edge_index, 2, max_work=2000).shape == (98, 3)
    for method in METHODS:
        with pytest.raises(BudgetError, match="max_work"):
            walk_probabilities(edge_index, ptr, edge_index, 2, method=method, max_work=100)
