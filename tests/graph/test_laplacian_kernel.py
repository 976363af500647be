"""Functions of the Laplacian against dense matrix functions, and their estimates against the stated error."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import laplacian_kernel
from gnnlab.graph._lapack import in_threads
from gnnlab.testing.strategies import unions

TIMES = torch.tensor([0.0, 0.5, 3.0, 20.0], dtype=torch.double)
GRAPHS = [nx.grid_2d_graph(7, 8), nx.barabasi_albert_graph(60, 2, seed=1), nx.random_labeled_tree(60, seed=2)]


def heat(values: Tensor) -> Tensor:
    return torch.exp(-values[..., None] * TIMES)


def _tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def _all(num_nodes: int) -> Tensor:
    return torch.cartesian_prod(torch.arange(num_nodes), torch.arange(num_nodes)).reshape(-1, 2).t()


def _laplacian(
    edge_index: Tensor, n: int, normalization: str | None, weight: Tensor | None = None, loop: float = 0.0
) -> Tensor:
    weight = torch.ones(edge_index.size(1)) if weight is None else weight
    a = torch.zeros(n, n, dtype=torch.double).index_put_(tuple(edge_index), weight.double(), accumulate=True)
    a = ((a + a.t()) / 2).fill_diagonal_(0)
    a += loop * torch.eye(n, dtype=torch.double)
    degree = a.sum(1)
    laplacian = torch.diag(degree) - a
    inverse = torch.where(degree > 0, 1 / degree, 0.0)
    if normalization == "sym":
        return laplacian * inverse.sqrt()[:, None] * inverse.sqrt()
    return laplacian if normalization is None else inverse[:, None] * laplacian


def _heat(laplacian: Tensor) -> Tensor:
    return torch.stack([torch.linalg.matrix_exp(-t * laplacian) for t in TIMES], -1)


@pytest.mark.parametrize("normalization", [None, "sym", "rw"])
@settings(max_examples=40, deadline=None)
@given(unions(max_nodes=7, max_edges=14))
def test_any_union_matches_dense_exponentials(normalization: str | None, batch) -> None:
    weight = torch.rand(batch.num_edges, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    n = batch.num_nodes
    expected = _heat(_laplacian(batch.edge_index, n, normalization, weight, loop=0.3))
    pairs = _all(n)
    for chosen in (slice(None), slice(None, None, 9)):
        found = laplacian_kernel(
            batch.edge_index, batch.ptr, heat, pairs[:, chosen], normalization, weight, loop_weight=0.3
        )
        assert torch.allclose(found, expected[pairs[0], pairs[1]][chosen], atol=1e-10)
    found = laplacian_kernel(batch.edge_index, batch.ptr, heat, None, normalization, weight, loop_weight=0.3)
    assert torch.allclose(found, expected.diagonal().t(), atol=1e-10)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("every", [1, 40], ids=["all pairs", "few pairs"])
def test_all_solvers_agree(monkeypatch: pytest.MonkeyPatch, threads: int, every: int) -> None:
    graphs = [nx.gnm_random_graph(n, 2 * n, seed=n) for n in (1, 2, 3, 10, 25, 25, 40, 56, 57, 70, 71)]
    edge_index, ptr = _tensors(nx.disjoint_union_all(graphs))
    pairs = _all(int(ptr[-1]))[:, ::every].flip(1)  # in no order that the solvers like
    weight = torch.rand(edge_index.size(1), generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = laplacian_kernel(edge_index, ptr, heat, pairs, None, weight)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    expected = _heat(_laplacian(edge_index, int(ptr[-1]), None, weight))
    assert torch.allclose(found, expected[pairs[0], pairs[1]], atol=1e-10)
    inside = laplacian_kernel.__globals__
    monkeypatch.setitem(inside, "engine", lambda device, program, compiled: program)
    monkeypatch.setitem(inside, "_PAIR_CELLS", 200)
    monkeypatch.setitem(inside, "_ALONE", 30)
    assert torch.allclose(laplacian_kernel(edge_index, ptr, heat, pairs, None, weight), found, atol=1e-12)


def test_ranges_of_components_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = pytest.importorskip("gnnlab.graph._eigen_numba")
    edge_index, ptr = _tensors(nx.disjoint_union_all([nx.gnm_random_graph(n, 2 * n, seed=n) for n in range(1, 20)]))
    whole = laplacian_kernel(edge_index, ptr, heat)
    monkeypatch.setattr(compiled, "_CELLS", 300)
    assert torch.equal(laplacian_kernel(edge_index, ptr, heat), whole)


def test_threads_that_fail_leave_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            in_threads(lambda place: 1 // place, 5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("normalization", [None, "sym", "rw"])
def test_without_the_trivial_pairs(normalization: str | None) -> None:
    graph = nx.disjoint_union(nx.path_graph(4), nx.star_graph(3))
    graph.add_node(8)
    edge_index, ptr = _tensors(graph)
    laplacian = _laplacian(edge_index, 9, normalization)
    if normalization == "rw":  # similar to the symmetric one
        laplacian = _laplacian(edge_index, 9, "sym")
    values, vectors = torch.linalg.eigh(laplacian)
    function = heat(values) * (values > 1e-8)[:, None]
    expected = torch.einsum("ui,vi,ik->uvk", vectors, vectors, function)
    if normalization == "rw":
        scale = torch.bincount(edge_index[0], minlength=9).clamp(min=1).double().rsqrt()
        expected = expected * (scale[:, None] / scale)[:, :, None]
    pairs = _all(9)
    for options in ({}, {"probes": 4000, "dense_limit": 4}):
        found = laplacian_kernel(edge_index, ptr, heat, pairs, normalization, trivial=False, **options)
        # The estimate leaves noise of size sqrt(2 / 4000) times the kernel.
        assert torch.allclose(found.view(9, 9, -1), expected, atol=0.08 if options else 1e-10)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("normalization", [None, "sym"])
def test_estimates_are_unbiased_with_the_stated_error(graph: nx.Graph, normalization: str | None) -> None:
    edge_index, ptr = _tensors(graph)
    n = int(ptr[-1])
    exact = _heat(_laplacian(edge_index, n, normalization))
    pairs = torch.cat([torch.arange(n).expand(2, -1), edge_index], 1)
    own, other = exact[pairs[0], pairs[0]], exact[pairs[1], pairs[1]]
    exact = exact[pairs[0], pairs[1]]
    bound = ((own * other + exact.square()) / 30).sqrt()
    draws = torch.stack(
        [
            laplacian_kernel(edge_index, ptr, heat, pairs, normalization, probes=30, seed=seed, dense_limit=1)
            for seed in range(40)
        ]
    )
    assert float(((draws - exact).square().mean(0).sqrt() / bound).max()) < 1.6
    assert float(((draws.mean(0) - exact).abs() / bound).max()) < 6 / 40**0.5
    assert bool((draws[:, :n] >= 0).all())


def test_large_components_alone_are_estimated() -> None:
    small, large = _tensors(nx.cycle_graph(5))[0], _tensors(nx.grid_2d_graph(5, 5))[0]
    union, ptr = torch.cat([small, large + 5], 1), torch.tensor([0, 5, 30])
    exact = laplacian_kernel(union, ptr, heat)
    mixed = laplacian_kernel(union, ptr, heat, probes=7, dense_limit=10)
    assert torch.equal(mixed[:5], exact[:5])
    assert not torch.allclose(mixed[5:], exact[5:], atol=1e-3)
    alone = laplacian_kernel(large, torch.tensor([0, 25]), heat, probes=7, dense_limit=10)
    assert torch.allclose(mixed[5:], alone, atol=1e-8)


def test_blocks_of_probes_and_pairs_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index, ptr = _tensors(nx.grid_2d_graph(6, 6))
    whole = laplacian_kernel(edge_index, ptr, heat, edge_index)
    sketched = laplacian_kernel(edge_index, ptr, heat, edge_index, probes=20, dense_limit=1)
    monkeypatch.setitem(laplacian_kernel.__globals__, "_PAIR_CELLS", 100)
    monkeypatch.setattr("gnnlab.graph._kernel_sketch._CELLS", 36 * 4 * 3)
    monkeypatch.setattr("gnnlab.graph._kernel_sketch._TERMS", 3)
    assert torch.allclose(laplacian_kernel(edge_index, ptr, heat, edge_index), whole, atol=1e-13)
    again = laplacian_kernel(edge_index, ptr, heat, edge_index, probes=20, dense_limit=1)
    assert torch.allclose(again, sketched, atol=1e-9)


def test_hubs_and_long_times_need_high_degrees() -> None:
    edge_index, ptr = _tensors(nx.star_graph(200))
    found = laplacian_kernel(edge_index, ptr, heat, probes=2, dense_limit=10)
    n, t = 201, TIMES
    # L of a star has the eigenvalues 0, 1 (n - 2 times) and n.
    hub = 1 / n + torch.exp(-t * n) * (1 - 1 / n)
    assert bool((found[0] >= 0).all())
    assert torch.allclose(laplacian_kernel(edge_index[:, :0], torch.tensor([0, 2]), heat), torch.ones(2, 4).double())
    draws = [laplacian_kernel(edge_index, ptr, heat, probes=2, dense_limit=10, seed=s)[0, 1:] for s in range(40)]
    assert torch.allclose(torch.stack(draws).mean(0), hub[1:], rtol=0.7)


def test_says_what_is_wrong() -> None:
    edge_index, ptr = _tensors(nx.path_graph(50))
    with pytest.raises(BudgetError, match=r"dense_limit=40(.|\n)*probes="):
        laplacian_kernel(edge_index, ptr, heat, dense_limit=40)
    with pytest.raises(ConfigError, match="normalization"):
        laplacian_kernel(edge_index, ptr, heat, normalization="symm")
    with pytest.raises(ConfigError, match="probes"):
        laplacian_kernel(edge_index, ptr, heat, probes=0)
    with pytest.raises(GraphError, match="negative"):
        laplacian_kernel(edge_index, ptr, heat, edge_weight=-torch.ones(edge_index.size(1)))
    with pytest.raises(BudgetError, match="degree"):
        laplacian_kernel(edge_index, ptr, lambda v: (v > 1.0).double()[..., None], probes=2, dense_limit=10)
