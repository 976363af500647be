"""Return probabilities against closed forms, dense float64 powers and properties of walks."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import _transition, _walk_probabilities_numba, walk_return_probabilities, walks
from gnnlab.testing.strategies import unions

METHODS = ["sparse", "dense"]


@pytest.fixture(scope="module", params=["numba", "torch"], autouse=True)
def engine(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setattr(walks, "compiled_walks", lambda weight: None)
            patch.setattr(_transition, "compiled_walks", lambda weight: None)
        yield request.param


def _tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def _oracle(edge_index: Tensor, num_nodes: int, steps: int, weight: Tensor | None = None) -> Tensor:
    weight = torch.ones(edge_index.size(1)) if weight is None else weight
    adjacency = torch.zeros(num_nodes, num_nodes, dtype=torch.double)
    adjacency.index_put_(tuple(edge_index), weight.double(), accumulate=True)
    degree = adjacency.sum(1, keepdim=True)
    transition = torch.where(degree > 0, adjacency / degree, 0.0)
    power, diagonals = torch.eye(num_nodes, dtype=torch.double), []
    for _ in range(steps):
        power = power @ transition
        diagonals.append(power.diagonal())
    return torch.stack(diagonals, 1) if diagonals else torch.zeros(num_nodes, 0, dtype=torch.double)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("graph", "node", "expected"),
    [
        (nx.cycle_graph(3), 0, [0, 1 / 2, 1 / 4, 3 / 8]),
        (nx.cycle_graph(4), 0, [0, 1 / 2, 0, 1 / 2, 0, 1 / 2]),
        (nx.cycle_graph(5), 0, [0, 0.5, 0, 0.375, 0.0625, 0.3125]),
        (nx.cycle_graph(6), 0, [0, 0.5, 0, 0.375, 0, 0.34375]),
        (nx.complete_graph(4), 0, [0, 1 / 3, 2 / 9, 7 / 27, 20 / 81]),
        (nx.path_graph(3), 0, [0, 0.5, 0, 0.5]),
        (nx.path_graph(3), 1, [0, 1, 0, 1]),
    ],
)
def test_closed_forms(method: str, graph: nx.Graph, node: int, expected: list[float]) -> None:
    edge_index, ptr = _tensors(graph)
    returns = walk_return_probabilities(edge_index, ptr, len(expected), method=method)
    assert returns.dtype == torch.float32
    assert returns[node].tolist() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_tells_decalin_from_bicyclopentyl_at_step_five(method: str) -> None:
    decalin = nx.cycle_graph(10)
    decalin.add_edge(0, 5)
    bicyclopentyl = nx.disjoint_union(nx.cycle_graph(5), nx.cycle_graph(5))
    bicyclopentyl.add_edge(0, 5)
    sums = [walk_return_probabilities(*_tensors(g), 5, method=method).sum(0) for g in (decalin, bicyclopentyl)]
    assert torch.allclose(sums[0][:4], sums[1][:4], atol=1e-6)
    assert sums[0][4] == 0
    assert float(sums[1][4]) == pytest.approx(0.41667, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(unions(max_nodes=9, max_edges=16), st.integers(0, 7), st.booleans())
def test_any_union_matches_dense_powers(method: str, batch, steps: int, weighted: bool) -> None:
    weight = torch.rand(batch.num_edges, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    weight = weight if weighted else None
    returns = walk_return_probabilities(batch.edge_index, batch.ptr, steps, weight, method=method, dtype=torch.double)
    expected = _oracle(batch.edge_index, batch.num_nodes, steps, weight)
    assert torch.allclose(returns, expected, atol=1e-12)


@pytest.mark.parametrize("graph", [nx.path_graph(60), nx.grid_2d_graph(4, 25), nx.random_labeled_tree(80, seed=3)])
def test_shared_columns_never_meet(graph: nx.Graph) -> None:
    edge_index, ptr = _tensors(graph)
    for steps in (1, 4, 9):
        returns = walk_return_probabilities(edge_index, ptr, steps, method="sparse", dtype=torch.double)
        assert torch.allclose(returns, _oracle(edge_index, int(ptr[-1]), steps), atol=1e-12)


def test_directed_graphs_share_columns_safely() -> None:
    ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
    shortcut = torch.tensor([[0, 3, 10], [0, 1, 7]])
    edge_index = torch.cat([ring, shortcut], 1)
    returns = walk_return_probabilities(edge_index, torch.tensor([0, 40]), 6, method="sparse", dtype=torch.double)
    assert torch.allclose(returns, _oracle(edge_index, 40, 6), atol=1e-12)


def test_column_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for graph in (nx.gnm_random_graph(70, 300, seed=0), nx.path_graph(70), nx.gnm_random_graph(70, 60, seed=1)):
        edge_index, ptr = _tensors(graph)
        whole = walk_return_probabilities(edge_index, ptr, 5, method="sparse")
        with monkeypatch.context() as patch:
            patch.setattr(walks, "_SPARSE_CELLS", 100)
            patch.setattr(_walk_probabilities_numba, "_STARTS", (3, 3))
            assert torch.equal(walk_return_probabilities(edge_index, ptr, 5, method="sparse"), whole)


@settings(max_examples=60, deadline=None)
@given(unions(max_nodes=9, max_edges=16), st.integers(0, 7), st.integers(1, 4))
def test_compiled_blocks_leave_no_walk_out(batch, steps: int, starts: int) -> None:
    weight = torch.rand(batch.num_edges, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_walk_probabilities_numba, "_STARTS", (starts, starts))
        returns = walk_return_probabilities(batch.edge_index, batch.ptr, steps, weight, method="sparse")
    assert torch.allclose(returns.double(), _oracle(batch.edge_index, batch.num_nodes, steps, weight), atol=1e-6)


def test_every_floating_type() -> None:
    edge_index, ptr = _tensors(nx.gnm_random_graph(30, 60, seed=2))
    expected = _oracle(edge_index, 30, 6)
    for dtype, error in ((torch.float16, 5e-3), (torch.bfloat16, 4e-2), (torch.float32, 1e-6), (torch.double, 1e-14)):
        returns = walk_return_probabilities(edge_index, ptr, 6, method="sparse", dtype=dtype)
        assert returns.dtype == dtype
        assert torch.allclose(returns.double(), expected, atol=error)


def test_threads_do_not_change_a_bit() -> None:
    edge_index, ptr = _tensors(nx.gnm_random_graph(600, 1500, seed=0))
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(walk_return_probabilities(edge_index, ptr, 12, method="sparse"))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_traces_are_power_sums_of_eigenvalues() -> None:
    edge_index, ptr = _tensors(nx.petersen_graph())
    returns = walk_return_probabilities(edge_index, ptr, 8, dtype=torch.double)
    eigenvalues = torch.tensor([1.0] + 5 * [1 / 3] + 4 * [-2 / 3], dtype=torch.double)
    powers = torch.stack([eigenvalues.pow(t).sum() for t in range(1, 9)])
    assert torch.allclose(returns.sum(0), powers, atol=1e-12)


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_a_batch_gives_the_bits_of_its_graphs(method: str) -> None:
    parts = [_tensors(g) for g in (nx.star_graph(6), nx.cycle_graph(9), nx.barbell_graph(5, 3))]
    ptr = torch.tensor([0, *(int(p[-1]) for _, p in parts)]).cumsum(0)
    union = torch.cat([edges + start for (edges, _), start in zip(parts, ptr, strict=False)], 1)
    together = walk_return_probabilities(union, ptr, 6, method=method)
    alone = torch.cat([walk_return_probabilities(edges, p, 6, method=method) for edges, p in parts])
    assert torch.allclose(together, alone, atol=1e-7)
    if method == "sparse":
        assert torch.equal(together, alone)


def test_auto_takes_the_dense_route_for_dense_graphs(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name, route in list(walks._METHODS.items()):
        monkeypatch.setitem(
            walks._METHODS, name, lambda *args, name=name, route=route: (taken.append(name), route(*args))[1]
        )
    for graph in (nx.complete_graph(140), nx.path_graph(140), nx.complete_graph(12)):
        walk_return_probabilities(*_tensors(graph), 3)
    assert taken == ["dense", "sparse", "sparse" if engine == "numba" else "dense"]


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_unions(method: str) -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    assert walk_return_probabilities(none, torch.tensor([0]), 3, method=method).shape == (0, 3)
    assert walk_return_probabilities(none, torch.tensor([0, 0, 0]), 3, method=method).shape == (0, 3)
    assert not walk_return_probabilities(none, torch.tensor([0, 4]), 3, method=method).any()
    loop = torch.tensor([[1], [1]])
    returns = walk_return_probabilities(loop, torch.tensor([0, 1, 2, 2]), 2, method=method)
    assert returns.tolist() == [[0, 0], [1, 1]]


def test_says_what_is_wrong() -> None:
    edge_index, ptr = _tensors(nx.path_graph(3))
    with pytest.raises(ConfigError, match="unknown method 'spare'"):
        walk_return_probabilities(edge_index, ptr, 2, method="spare")
    with pytest.raises(ConfigError, match="at least 0"):
        walk_return_probabilities(edge_index, ptr, -1)
    with pytest.raises(GraphError, match="holds node 2"):
        walk_return_probabilities(edge_index, torch.tensor([0, 2]), 2)
    with pytest.raises(GraphError, match="joins two graphs"):
        walk_return_probabilities(edge_index, torch.tensor([0, 2, 3]), 2)
    with pytest.raises(GraphError, match="edge_weight"):
        walk_return_probabilities(edge_index, ptr, 2, torch.ones(3))
    with pytest.raises(GraphError, match="edge_index must be"):
        walk_return_probabilities(edge_index.float(), ptr, 2)
    with pytest.raises(GraphError, match="ptr must be"):
        walk_return_probabilities(edge_index, ptr.float(), 2)


@pytest.mark.parametrize(
    "graph", [nx.grid_2d_graph(7, 8), nx.barabasi_albert_graph(60, 2, seed=1), nx.random_labeled_tree(60, seed=2)]
)
def test_probes_are_unbiased_with_the_stated_error(graph: nx.Graph) -> None:
    edge_index, ptr = _tensors(graph)
    n, steps = int(ptr[-1]), 7
    adjacency = torch.zeros(n, n, dtype=torch.double).index_put_(tuple(edge_index), torch.tensor(1.0).double())
    transition = adjacency / adjacency.sum(1, keepdim=True)
    norms = torch.stack(
        [
            torch.linalg.matrix_power(transition, t - t // 2).norm(dim=1)
            * torch.linalg.matrix_power(transition, t // 2).norm(dim=0)
            for t in range(1, steps + 1)
        ],
        1,
    )
    exact = walk_return_probabilities(edge_index, ptr, steps, dtype=torch.double)
    draws = torch.stack(
        [
            walk_return_probabilities(edge_index, ptr, steps, probes=20, seed=seed, dtype=torch.double)
            for seed in range(200)
        ]
    )
    bound = (2 / 20) ** 0.5 * norms
    deviation = (draws - exact).square().mean(0).sqrt()
    assert float((deviation / bound).max()) < 1.3
    assert float(((draws.mean(0) - exact).abs() / bound).max()) < 5 / 200**0.5
    assert torch.equal(draws[0, :, 0], exact[:, 0])


def test_probes_do_not_depend_on_the_batch_or_the_block() -> None:
    parts = [_tensors(g) for g in (nx.star_graph(6), nx.cycle_graph(9), nx.barbell_graph(5, 3))]
    ptr = torch.tensor([0, *(int(p[-1]) for _, p in parts)]).cumsum(0)
    union = torch.cat([edges + start for (edges, _), start in zip(parts, ptr, strict=False)], 1)
    together = walk_return_probabilities(union, ptr, 6, probes=40)
    alone = torch.cat([walk_return_probabilities(edges, p, 6, probes=40) for edges, p in parts])
    assert torch.allclose(together, alone, atol=1e-6)
    assert not torch.equal(together, walk_return_probabilities(union, ptr, 6, probes=40, seed=1))


def test_probes_see_self_loops_and_directions() -> None:
    edge_index = torch.tensor([[0, 0, 1, 2], [0, 1, 2, 0]])
    exact = walk_return_probabilities(edge_index, torch.tensor([0, 3]), 5, dtype=torch.double)
    found = walk_return_probabilities(edge_index, torch.tensor([0, 3]), 5, probes=20_000, dtype=torch.double)
    assert torch.allclose(found, exact, atol=0.03)


def test_exact_walks_know_their_budget() -> None:
    edge_index, ptr = _tensors(nx.gnm_random_graph(100, 200, seed=0))
    for method in METHODS:
        with pytest.raises(BudgetError, match=r"multiply-adds(.|\n)*probes="):
            walk_return_probabilities(edge_index, ptr, 10, method=method, max_work=1e3)
    # A column for every node would be too much, but those of a path are shared.
    assert walk_return_probabilities(*_tensors(nx.path_graph(300)), 5, max_work=1e5).shape == (300, 5)
    assert walk_return_probabilities(edge_index, ptr, 10, max_work=1e3, probes=2).shape == (100, 10)
    with pytest.raises(ConfigError, match="probes"):
        walk_return_probabilities(edge_index, ptr, 10, probes=0)
