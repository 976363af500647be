"""Propagated signals against dense iterations, known limits, and numerical gradients."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import propagate_features
from gnnlab.graph._noise import node_normals
from gnnlab.graph.feature_propagation import OPERATORS
from gnnlab.ops import CSR
from gnnlab.testing.strategies import unions

NAMED = sorted(set(OPERATORS) - {"weights"})


def _union(*graphs: nx.Graph) -> tuple[Tensor, Tensor]:
    edges, ptr = [], [0]
    for graph in graphs:
        graph = nx.convert_node_labels_to_integers(graph)
        pairs = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2).t()
        edges.append(pairs + ptr[-1])
        ptr.append(ptr[-1] + graph.number_of_nodes())
    return torch.cat(edges, 1), torch.tensor(ptr)


def _matrix(edge_index: Tensor, n: int, operator: str, weight: Tensor | None = None) -> Tensor:
    """S, row v receiving, from its definition."""
    weight = torch.ones(edge_index.size(1)) if weight is None else weight
    a = torch.zeros(n, n, dtype=torch.double).index_put(
        (edge_index[1], edge_index[0]), weight.double(), accumulate=True
    )
    if operator == "weights":
        return a
    eye = torch.eye(n, dtype=torch.double)
    a = a + eye if operator == "looped" else a
    entering, leaving = a.sum(1), a.sum(0)
    inverse = [torch.where(d > 0, 1 / d, 0) for d in (entering, leaving)]
    if operator == "walk":
        return inverse[0][:, None] * a
    normal = inverse[0].sqrt()[:, None] * a * inverse[1].sqrt()
    if operator == "laplacian":
        return (entering > 0).double().diag() - normal
    return (eye + normal) / 2 if operator == "lazy" else normal


def _start(n: int, *width: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *width, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


@pytest.mark.parametrize("operator", sorted(OPERATORS))
@settings(max_examples=20, deadline=None)
@given(unions(max_nodes=7, max_edges=14), st.booleans(), st.booleans())
def test_l2_is_power_iteration_of_the_defined_matrix(operator: str, batch, weighted: bool, as_csr: bool) -> None:
    n = batch.num_nodes
    weight = torch.rand(batch.num_edges, generator=torch.Generator().manual_seed(1)) + 0.1 if weighted else None
    start = _start(n, 3)
    graph = CSR.from_edge_index(batch.edge_index, n) if as_csr else batch.edge_index
    got = propagate_features(graph, batch.ptr, start, 3, operator, "l2", weight)
    assert got.shape == (n, 4, 3)
    plain = propagate_features(graph, batch.ptr, start, 3, operator, None, weight)
    matrix = _matrix(batch.edge_index, n, operator, weight)
    state = power = start
    for step in range(1, 4):
        power = matrix @ power
        assert torch.allclose(plain[:, step], power, atol=1e-10)
        state = matrix @ state
        for begin, end in zip(batch.ptr[:-1], batch.ptr[1:], strict=True):
            norm = state[begin:end].norm(dim=0)
            # What the matrix wiped out is told from rounding by its size.
            state[begin:end] = torch.where(norm > 1e-12, state[begin:end] / norm, 0)
        assert torch.allclose(got[:, step], state, atol=1e-8)


@pytest.mark.parametrize("operator", ["adjacency", "looped", "lazy"])
def test_qr_is_orthogonal_iteration_with_a_positive_diagonal(operator: str) -> None:
    graphs = [nx.gnm_random_graph(9, 20, seed=0), nx.karate_club_graph(), nx.gnm_random_graph(12, 30, seed=1)]
    edge_index, ptr = _union(*graphs)
    start = _start(int(ptr[-1]), 2, 4)
    got = propagate_features(edge_index, ptr, start, 5, operator, "qr")
    assert got.shape == (int(ptr[-1]), 2, 6, 4)
    assert torch.equal(got[:, :, 0], start)
    matrix = _matrix(edge_index, int(ptr[-1]), operator)
    for begin, end in pairwise(ptr):
        for draw in range(2):
            state = start[begin:end, draw]
            for step in range(1, 6):
                q, r = torch.linalg.qr(matrix[begin:end, begin:end] @ state)
                state = q * r.diagonal().sign()
                assert torch.allclose(got[begin:end, draw, step], state, atol=1e-7)


def test_karate_club_approaches_the_dominant_eigenspace() -> None:
    edge_index, ptr = _union(nx.karate_club_graph())
    matrix = _matrix(edge_index, 34, "looped")
    values, vectors = torch.linalg.eigh(matrix)
    order = values.abs().argsort(descending=True)
    top = vectors[:, order[:4]]
    rate = float(values[order[4]].abs() / values[order[3]].abs())
    got = propagate_features(edge_index, ptr, node_normals(4, edge_index, ptr, 0), 32, "looped", "qr")
    sine = [float((1 - torch.linalg.svdvals(got[:, p].T @ top).min().square()).clamp(min=0).sqrt()) for p in (1, 8, 32)]
    assert sine[0] > 0.5
    assert sine[1] < 0.3
    assert sine[2] < 3 * rate**24 * sine[1]
    assert torch.allclose(got[:, 32].T @ got[:, 32], torch.eye(4, dtype=torch.double), atol=1e-12)


def test_l2_columns_have_unit_norm_and_one_limit() -> None:
    edge_index, ptr = _union(nx.karate_club_graph(), nx.complete_graph(5))
    got = propagate_features(edge_index, ptr, _start(39, 2), 150, "looped", "l2")
    for begin, end in ((0, 34), (34, 39)):
        norms = got[begin:end, 1:].norm(dim=0)
        assert torch.allclose(norms, torch.ones_like(norms))
    dominant = torch.bincount(edge_index[0], minlength=39).add(1).double().sqrt()
    for begin, end in ((0, 34), (34, 39)):
        vector = dominant[begin:end] / dominant[begin:end].norm()
        assert torch.allclose(got[begin:end, -1].abs(), vector[:, None].expand(-1, 2), atol=1e-4)


def test_the_lazy_operator_settles_on_bipartite_graphs() -> None:
    edge_index, ptr = _union(nx.complete_bipartite_graph(3, 4))
    start = _start(7, 1)
    two = propagate_features(edge_index, ptr, start, 61, "adjacency", "l2")[:, -2:, 0]
    assert not torch.allclose(two[:, 0], two[:, 1], atol=0.1)
    two = propagate_features(edge_index, ptr, start, 61, "lazy", "l2")[:, -2:, 0]
    assert torch.allclose(two[:, 0], two[:, 1], atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_more_columns_than_nodes_or_rank(dtype: torch.dtype) -> None:
    edge_index, ptr = _union(nx.cycle_graph(3), nx.star_graph(9), nx.complete_graph(8))
    got = propagate_features(edge_index, ptr, _start(21, 5).to(dtype), 4, "adjacency", "qr")[:, 4]
    alive = [3, 2, 5]  # a star has rank 2
    for begin, end, rank in zip(ptr[:-1], ptr[1:], alive, strict=True):
        inner = got[begin:end].T @ got[begin:end]
        expected = torch.diag((torch.arange(5) < rank).to(dtype))
        assert torch.allclose(inner, expected, atol=1e-12 if dtype == torch.float64 else 1e-5)


def test_a_dependent_column_in_the_middle_leaves_the_others() -> None:
    edge_index, ptr = _union(nx.complete_graph(6))
    start = _start(6, 4)
    start[:, 1] = 2 * start[:, 0]
    got = propagate_features(edge_index, ptr, start, 1, "looped", "qr")[:, 1]
    other = propagate_features(edge_index, ptr, start[:, [0, 2, 3]], 1, "looped", "qr")[:, 1]
    assert not got[:, 1].any()
    assert torch.allclose(got[:, [0, 2, 3]], other)


@pytest.mark.parametrize("normalization", ["l2", "qr"])
def test_follows_a_renumbering_of_nodes_and_signal(normalization: str) -> None:
    edge_index, ptr = _union(nx.gnm_random_graph(14, 30, seed=3))
    start, order = _start(14, 3), torch.randperm(14, generator=torch.Generator().manual_seed(0))
    got = propagate_features(edge_index, ptr, start, 6, "adjacency", normalization)
    moved = propagate_features(order.argsort()[edge_index], ptr, start[order], 6, "adjacency", normalization)
    assert torch.allclose(moved, got[order], atol=1e-10)


@pytest.mark.parametrize("qr_every", [1, 3])
@pytest.mark.parametrize("normalization", ["l2", "qr"])
def test_a_batch_gives_what_its_graphs_give(normalization: str, qr_every: int) -> None:
    graphs = [nx.star_graph(3), nx.empty_graph(2), nx.gnm_random_graph(17, 40, seed=2), nx.empty_graph(0)]
    graphs.append(nx.disjoint_union(nx.cycle_graph(5), nx.path_graph(4)))
    edge_index, ptr = _union(*graphs)
    start = _start(int(ptr[-1]), 4)
    together = propagate_features(edge_index, ptr, start, 7, "adjacency", normalization, qr_every=qr_every)
    for graph, begin, end in zip(graphs, ptr[:-1], ptr[1:], strict=True):
        own, own_ptr = _union(graph)
        single = propagate_features(own, own_ptr, start[begin:end], 7, "adjacency", normalization, qr_every=qr_every)
        assert torch.allclose(single, together[begin:end], atol=1e-9)


@pytest.mark.parametrize("normalization", ["l2", "qr"])
def test_gradients_reach_signal_and_operator(normalization: str) -> None:
    edge_index, ptr = _union(nx.path_graph(2), nx.wheel_graph(4), nx.cycle_graph(3))
    start = _start(9, 2, seed=4).requires_grad_()
    weight = (
        torch.rand(edge_index.size(1), generator=torch.Generator().manual_seed(0)).double() + 0.5
    ).requires_grad_()

    def run(operator: str, start: Tensor, weight: Tensor) -> Tensor:
        return propagate_features(edge_index, ptr, start, 2, operator, normalization, weight)

    for operator in ("weights", "adjacency"):
        assert torch.autograd.gradcheck(
            lambda *a, operator=operator: run(operator, *a), (start, weight), fast_mode=True
        )


def test_gradients_of_rank_deficient_graphs_are_finite() -> None:
    edge_index, ptr = _union(nx.star_graph(6), nx.empty_graph(2), nx.path_graph(3))
    start = _start(12, 4).float().requires_grad_()
    weight = torch.ones(edge_index.size(1), requires_grad=True)
    propagate_features(edge_index, ptr, start, 8, "adjacency", "qr", weight).pow(3).sum().backward()
    assert start.grad.isfinite().all()
    assert weight.grad.isfinite().all()
    assert weight.grad.any()


def test_one_operator_per_step() -> None:
    edge_index, ptr = _union(nx.cycle_graph(5))
    weight = _start(10, 3).abs()
    got = propagate_features(edge_index, ptr, _start(5, 2), 3, "weights", None, weight)
    state = _start(5, 2)
    for step in range(3):
        state = _matrix(edge_index, 5, "weights", weight[:, step]) @ state
        assert torch.allclose(got[:, step + 1], state)


def test_half_precision_does_not_overflow() -> None:
    edge_index, ptr = _union(nx.complete_graph(4))
    got = propagate_features(edge_index, ptr, torch.full((4, 1), 6e4, dtype=torch.float16), 2)
    assert got.dtype == torch.float32
    assert torch.allclose(got[:, 1:], torch.full((4, 2, 1), 0.5))


@pytest.mark.parametrize("operator", NAMED)
@pytest.mark.parametrize("normalization", ["l2", "qr"])
def test_degenerate_unions(operator: str, normalization: str) -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    assert propagate_features(none, torch.tensor([0]), torch.zeros(0, 2), 3, operator, normalization).shape == (0, 4, 2)
    got = propagate_features(none, torch.tensor([0, 0, 1, 4, 4]), torch.ones(4, 2), 3, operator, normalization)
    assert got.isfinite().all()
    alone = operator in ("lazy", "looped")
    assert got[:, 1:].any().item() is alone


def test_says_what_is_wrong() -> None:
    edge_index, ptr = _union(nx.path_graph(3))
    with pytest.raises(ConfigError, match="did you mean 'laplacian'"):
        propagate_features(edge_index, ptr, torch.ones(3, 1), 2, "laplacien")
    with pytest.raises(ConfigError, match="normalization"):
        propagate_features(edge_index, ptr, torch.ones(3, 1), 2, normalization="l1")
    with pytest.raises(ConfigError, match="steps"):
        propagate_features(edge_index, ptr, torch.ones(3, 1), -1)
    with pytest.raises(GraphError, match="signal"):
        propagate_features(edge_index, ptr, torch.ones(3, 1).long(), 2)
    with pytest.raises(GraphError, match="one per edge and step"):
        propagate_features(edge_index, ptr, torch.ones(3, 1), 2, "weights", None, torch.ones(4, 3))
    with pytest.raises(GraphError, match="joins two graphs"):
        propagate_features(edge_index, torch.tensor([0, 1, 3]), torch.ones(3, 1), 2)
