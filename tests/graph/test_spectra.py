"""Laplacian eigenpairs against closed forms, dense float64 solvers and the definition."""

from __future__ import annotations

import math
from importlib.util import find_spec

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import ConfigError, GnnlabError, GraphError
from gnnlab.graph import _eigensolvers, laplacian_eigh
from gnnlab.graph._signs import canonical_signs
from gnnlab.testing.strategies import unions

NORMALIZATIONS = [None, "sym", "rw"]


def _tensors(*graphs: nx.Graph) -> tuple[Tensor, Tensor]:
    edges, ptr = [], [0]
    for graph in graphs:
        graph = nx.convert_node_labels_to_integers(graph)
        pairs = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2).t()
        edges.append(pairs + ptr[-1])
        ptr.append(ptr[-1] + graph.number_of_nodes())
    return torch.cat(edges, 1), torch.tensor(ptr)


def _laplacian(edge_index: Tensor, num_nodes: int, normalization: str | None, weight: Tensor | None = None) -> Tensor:
    weight = torch.ones(edge_index.size(1)) if weight is None else weight
    adjacency = torch.zeros(num_nodes, num_nodes, dtype=torch.double)
    adjacency.index_put_(tuple(edge_index), weight.double(), accumulate=True)
    adjacency = (adjacency + adjacency.t()) / 2
    adjacency.fill_diagonal_(0)
    degree = adjacency.sum(1)
    laplacian = degree.diag() - adjacency
    inverse = torch.where(degree > 0, degree, 1.0).reciprocal()
    if normalization == "sym":
        return inverse.sqrt()[:, None] * laplacian * inverse.sqrt()
    return laplacian if normalization is None else inverse[:, None] * laplacian


def _check_pairs(spectrum, graph: int, ptr: Tensor, laplacian: Tensor, normalization: str | None) -> None:
    """Everything the docstring promises about one graph."""
    k, n = spectrum.values.size(1), laplacian.size(0)
    values, mask = spectrum.values[graph], spectrum.mask[graph]
    vectors = spectrum.vectors[ptr[graph] : ptr[graph + 1]]
    exact = torch.linalg.eigvals(laplacian).real.sort().values if n else values[:0]
    found = min(k, n)
    assert mask.tolist() == [True] * found + [False] * (k - found)
    assert torch.allclose(values[:found], exact[:found], atol=1e-7)
    assert not values[found:].any()
    assert not vectors[:, found:].any()
    vectors, values = vectors[:, :found], values[:found]
    assert torch.allclose(laplacian @ vectors, vectors * values, atol=1e-8)
    assert torch.allclose(vectors.norm(dim=0), torch.ones(found, dtype=torch.double))
    if normalization != "rw":
        assert torch.allclose(vectors.t() @ vectors, torch.eye(found, dtype=torch.double), atol=1e-9)
    gap = math.inf if k >= n else float(exact[k] - exact[k - 1])
    assert float(spectrum.gap[graph]) == pytest.approx(gap, abs=1e-7)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@settings(max_examples=60, deadline=None)
@given(unions(max_nodes=9, max_edges=14), st.integers(1, 11), st.booleans())
def test_any_union(normalization: str | None, batch, k: int, weighted: bool) -> None:
    weight = torch.rand(batch.num_edges, generator=torch.Generator().manual_seed(0)) + 0.1 if weighted else None
    spectrum = laplacian_eigh(batch.edge_index, batch.ptr, k, normalization, weight)
    for graph, (begin, end) in enumerate(zip(batch.ptr[:-1], batch.ptr[1:], strict=True)):
        mine = batch.batch[batch.edge_index[0]] == graph
        own = None if weight is None else weight[mine]
        laplacian = _laplacian(batch.edge_index[:, mine] - begin, int(end - begin), normalization, own)
        _check_pairs(spectrum, graph, batch.ptr, laplacian, normalization)


@pytest.fixture(params=["numba", "torch"])
def small_solver(request, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who solves the small components."""
    if request.param == "torch":
        monkeypatch.setattr(_eigensolvers, "engine", lambda device, program, compiled: program)
    elif find_spec("numba") is None:
        pytest.skip("one solver only")
    return request.param


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("limit", [1000, 40], ids=["dense", "sparse"])
def test_every_solver(small_solver: str, normalization: str | None, limit: int) -> None:
    graphs = [
        nx.path_graph(3),
        nx.random_labeled_tree(31, seed=0),
        nx.gnm_random_graph(45, 120, seed=1),
        nx.grid_2d_graph(9, 10),
        nx.star_graph(70),
        nx.complete_graph(50),
    ]
    edge_index, ptr = _tensors(*graphs)
    spectrum = laplacian_eigh(edge_index, ptr, 4, normalization, dense_limit=limit)
    for graph in range(len(graphs)):
        mine = (edge_index[0] >= ptr[graph]) & (edge_index[0] < ptr[graph + 1])
        size = int(ptr[graph + 1] - ptr[graph])
        laplacian = _laplacian(edge_index[:, mine] - ptr[graph], size, normalization)
        _check_pairs(spectrum, graph, ptr, laplacian, normalization)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("threads", [1, 2])
def test_both_solvers_of_small_components_agree(
    monkeypatch: pytest.MonkeyPatch, normalization: str | None, threads: int
) -> None:
    graphs = [nx.gnm_random_graph(n, n + n // 4, seed=n) for n in range(2, 60)]
    graphs += [nx.star_graph(20), nx.complete_graph(17), nx.grid_2d_graph(5, 5), nx.path_graph(56)]
    edge_index, ptr = _tensors(*graphs)
    weight = torch.rand(edge_index.size(1), generator=torch.Generator().manual_seed(0), dtype=torch.double)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        mine = laplacian_eigh(edge_index, ptr, 7, normalization, weight)
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(_eigensolvers, "engine", lambda device, program, compiled: program)
    other = laplacian_eigh(edge_index, ptr, 7, normalization, weight)
    assert torch.allclose(mine.values, other.values, atol=1e-12)
    assert torch.equal(mine.mask, other.mask)
    batch = torch.arange(len(graphs)).repeat_interleave(ptr.diff())
    clear = mine.canonical[batch]
    assert clear.double().mean() > 0.4
    # Vectors turn by what the values are off, divided by the distance to the next.
    assert torch.allclose(mine.vectors[clear], other.vectors[clear], atol=1e-8)


def test_a_batch_has_the_bytes_of_its_graphs(small_solver: str) -> None:
    graphs = [nx.gnm_random_graph(n, 2 * n, seed=n) for n in (25, 9, 33, 25, 2, 50)]
    edge_index, ptr = _tensors(*graphs)
    union = laplacian_eigh(edge_index, ptr, 5)
    for graph, alone in enumerate(graphs):
        single = laplacian_eigh(*_tensors(alone), 5)
        exact = small_solver == "numba"  # a stack may be solved in another order than its matrices
        own = union.vectors[ptr[graph] : ptr[graph + 1]]
        assert torch.equal(own, single.vectors) if exact else torch.allclose(own, single.vectors, atol=1e-9)


@pytest.mark.parametrize("size", [1e-150, 1e-12, 1e12, 1e150])
def test_weights_of_any_size(small_solver: str, size: float) -> None:
    edge_index, ptr = _tensors(nx.cycle_graph(5), nx.path_graph(9))
    ours = laplacian_eigh(edge_index, ptr, 5, None, torch.full((edge_index.size(1),), size, dtype=torch.double))
    plain = laplacian_eigh(edge_index, ptr, 5)
    # Below the precision of the numbers around it a weight is lost, not wrong.
    assert torch.allclose(ours.values, plain.values * size, rtol=1e-9, atol=1e-14)
    identity = ours.vectors[:5].t() @ ours.vectors[:5]
    assert torch.allclose(identity, torch.eye(5, dtype=torch.double), atol=1e-12)


def test_weights_that_are_no_numbers_are_an_error(small_solver: str) -> None:
    edge_index, ptr = _tensors(nx.path_graph(4))
    with pytest.raises((GnnlabError, torch.linalg.LinAlgError)):
        laplacian_eigh(edge_index, ptr, 2, None, torch.full((6,), math.nan))


def test_the_sparse_solver_finds_every_copy_of_a_multiple_eigenvalue() -> None:
    edge_index, ptr = _tensors(nx.grid_2d_graph(34, 34))
    spectrum = laplacian_eigh(edge_index, ptr, 6)
    wave = [2 - 2 * math.cos(math.pi * i / 34) for i in range(34)]
    expected = sorted(a + b for a in wave for b in wave)[:6]
    assert spectrum.values[0].tolist() == pytest.approx(expected, abs=1e-9)
    assert spectrum.group[0].tolist() == [0, 1, 1, 2, 3, 3]


def test_the_sparse_solver_reports_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_eigensolvers, "lobpcg", lambda matrix, start, **_: (start[0], start))
    with pytest.raises(GnnlabError, match="dense_limit=200"):
        laplacian_eigh(*_tensors(nx.path_graph(200)), 4, dense_limit=10)


@pytest.mark.parametrize(
    ("graph", "values", "groups"),
    [
        (nx.cycle_graph(4), [0, 1, 1, 2], [0, 1, 1, 2]),
        (nx.cycle_graph(5), [0, 0.690983, 0.690983, 1.809017, 1.809017], [0, 1, 1, 2, 2]),
        (nx.cycle_graph(6), [0, 0.5, 0.5, 1.5, 1.5, 2], [0, 1, 1, 2, 2, 3]),
        (nx.complete_graph(4), [0, 4 / 3, 4 / 3, 4 / 3], [0, 1, 1, 1]),
        (nx.path_graph(3), [0, 1, 2], [0, 1, 2]),
    ],
)
def test_multiplicities_of_known_spectra(graph: nx.Graph, values: list[float], groups: list[int]) -> None:
    edge_index, ptr = _tensors(graph)
    spectrum = laplacian_eigh(edge_index, ptr, len(values), "sym")
    assert spectrum.values[0].tolist() == pytest.approx(values, abs=1e-6)
    assert spectrum.group[0].tolist() == groups
    simple = [groups.count(group) == 1 for group in groups]
    assert all(is_simple or not canonical for is_simple, canonical in zip(simple, spectrum.canonical[0], strict=True))


def test_the_gap_tells_whether_an_eigenspace_was_cut() -> None:
    edge_index, ptr = _tensors(nx.cycle_graph(6), nx.path_graph(6))
    spectrum = laplacian_eigh(edge_index, ptr, 2)
    assert spectrum.gap[0] < 1e-12
    assert spectrum.gap[1] > 0.1
    assert spectrum.canonical[:, 1].tolist() == [False, False]  # a path reads the same from both ends


def test_components_have_their_own_vectors() -> None:
    edge_index, ptr = _tensors(nx.disjoint_union(nx.path_graph(4), nx.empty_graph(2)), nx.empty_graph(3))
    spectrum = laplacian_eigh(edge_index, ptr, 4)
    assert spectrum.values[0].tolist() == pytest.approx([0, 0, 0, 2 - math.sqrt(2)], abs=1e-12)
    assert spectrum.values[0, :3].tolist() == [0, 0, 0]
    assert spectrum.vectors[:6, :3].tolist() == [[0.5, 0, 0]] * 4 + [[0, 1, 0], [0, 0, 1]]
    assert spectrum.vectors[6:].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert spectrum.mask[1].tolist() == [True] * 3 + [False]
    assert spectrum.group.tolist() == [[0, 0, 0, 1], [0, 0, 0, -1]]
    nontrivial = laplacian_eigh(edge_index, ptr, 4, trivial=False)
    assert nontrivial.values[0].tolist() == pytest.approx([2 - math.sqrt(2), 2, 2 + math.sqrt(2), 0], abs=1e-12)
    assert nontrivial.mask.tolist() == [[True] * 3 + [False], [False] * 4]
    assert not nontrivial.vectors[4:].any()
    assert laplacian_eigh(edge_index, ptr, 2, trivial=False).gap.tolist() == pytest.approx([math.sqrt(2), math.inf])


def test_directions_loops_and_zero_weights_are_ignored() -> None:
    path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    messy = torch.tensor([[0, 0, 1, 1, 2, 0], [1, 1, 2, 2, 2, 2]])  # each edge twice one way, a loop, a zero
    weight = torch.tensor([1.0, 1.0, 1.0, 1.0, 5.0, 0.0])
    ptr = torch.tensor([0, 3])
    for normalization in NORMALIZATIONS:
        clean = laplacian_eigh(path, ptr, 3, normalization)
        other = laplacian_eigh(messy, ptr, 3, normalization, weight)
        assert torch.allclose(clean.values, other.values, atol=1e-12)
        assert torch.allclose(clean.vectors, other.vectors, atol=1e-12)


def test_tiny_weights_keep_the_basis_orthonormal() -> None:
    edge_index, ptr = _tensors(nx.path_graph(4))
    weight = torch.where((edge_index == 1).any(0) & (edge_index == 2).any(0), 1e-17, 1.0).double()
    vectors = laplacian_eigh(edge_index, ptr, 4, None, weight).vectors
    assert torch.allclose(vectors.t() @ vectors, torch.eye(4, dtype=torch.double), atol=1e-12)


def test_signs_follow_the_graph_not_the_numbering() -> None:
    generator = torch.Generator().manual_seed(0)
    graph = nx.convert_node_labels_to_integers(nx.gnm_random_graph(30, 60, seed=4).subgraph(range(30)))
    graph = graph.subgraph(max(nx.connected_components(graph), key=len))
    edge_index, ptr = _tensors(graph)
    n = int(ptr[-1])
    first = laplacian_eigh(edge_index, ptr, 6)
    assert first.canonical.all()
    for _ in range(5):
        order = torch.randperm(n, generator=generator)
        moved = laplacian_eigh(order.argsort()[edge_index], ptr, 6)
        assert torch.allclose(moved.vectors, first.vectors[order], atol=1e-9)
    top = first.vectors.gather(0, first.vectors.abs().argmax(0, keepdim=True))
    assert (top > 0).all()


def test_ties_are_broken_by_the_sum_of_cubes() -> None:
    ptr, batch = torch.tensor([0, 4]), torch.zeros(4, dtype=torch.long)
    columns = torch.tensor(
        [
            [1.0, 1.0, 1.0, -3.0, 0.0],
            [-1.0, -1.0, -1.0, 1.0, 0.0],
            [0.5, -0.5, 0.0, 1.0, 0.0],
            [-0.2, 0.2, 0.0, 1.0, 0.0],
        ],
        dtype=torch.double,
    )
    signs, decided = canonical_signs(columns, batch, ptr)
    assert signs.tolist() == [[1, -1, 1, -1, 1]]
    assert decided.tolist() == [[True, True, False, True, False]]
    signs, _ = canonical_signs(-columns, batch, ptr)
    assert signs.tolist() == [[-1, 1, -1, 1, 1]]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_degenerate_unions(normalization: str | None) -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    empty = laplacian_eigh(none, torch.tensor([0]), 2, normalization)
    assert empty.values.shape == (0, 2)
    assert empty.vectors.shape == (0, 2)
    holes = laplacian_eigh(none, torch.tensor([0, 0, 1, 1]), 2, normalization)
    assert holes.mask.tolist() == [[False, False], [True, False], [False, False]]
    assert holes.vectors.tolist() == [[1, 0]]
    assert holes.gap.tolist() == [math.inf] * 3


def test_says_what_is_wrong() -> None:
    edge_index, ptr = _tensors(nx.path_graph(3))
    with pytest.raises(ConfigError, match="normalization 'symm'"):
        laplacian_eigh(edge_index, ptr, 2, "symm")
    with pytest.raises(ConfigError, match="at least 1"):
        laplacian_eigh(edge_index, ptr, 0)
    with pytest.raises(GraphError, match="negative"):
        laplacian_eigh(edge_index, ptr, 2, None, torch.tensor([1.0, 1.0, -1.0, -1.0]))
    with pytest.raises(GraphError, match="joins two graphs"):
        laplacian_eigh(edge_index, torch.tensor([0, 1, 3]), 2)
