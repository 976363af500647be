"""Solvers over a union: against dense algebra and scipy, each graph on its own, and never silent."""

from __future__ import annotations

import warnings

import networkx as nx
import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from gnnlab.errors import ConfigError, GnnlabError
from gnnlab.nn.implicit import (
    Convergence,
    ConvergenceError,
    ConvergenceWarning,
    conjugate_gradients,
    fixed_point,
    implicit_state,
    largest_curvature,
    minimise,
    project_rows,
    spectral_radius_bound,
)
from gnnlab.ops import CSR, expand_ptr

SIZES = (4, 0, 1, 7, 3)
PTR = torch.tensor([0, 4, 4, 5, 12, 15])
WIDTH = 2


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def blocks(condition: float = 10.0) -> list[Tensor]:
    """A symmetric positive definite matrix per graph; later graphs are harder."""
    result = []
    for g, n in enumerate(SIZES):
        basis = torch.linalg.qr(random(n * WIDTH, n * WIDTH, seed=g)).Q
        values = torch.logspace(0, g * np.log10(condition) / 4, n * WIDTH, dtype=torch.double)
        result.append(basis @ torch.diag(values) @ basis.t())
    return result


def product(matrices: list[Tensor]):
    sizes = [len(matrix) for matrix in matrices]
    return lambda v: torch.cat(
        [matrix @ part for matrix, part in zip(matrices, v.reshape(-1).split(sizes), strict=True)]
    ).view_as(v)


def test_conjugate_gradients_solve_every_block():
    matrices, rhs = blocks(1e3), random(15, WIDTH, seed=9)
    rhs[PTR[3] : PTR[4]] = 0
    solution, record = conjugate_gradients(product(matrices), rhs, PTR, tolerance=1e-10)
    torch.testing.assert_close(
        solution, torch.linalg.solve(torch.block_diag(*matrices), rhs.reshape(-1)).view_as(rhs), rtol=1e-6, atol=1e-8
    )
    assert record.converged.all()
    assert record.iterations[1] == record.iterations[3] == 0  # no nodes; nothing to solve
    assert record.iterations[0] <= 8


def test_conjugate_gradients_of_a_graph_do_not_depend_on_the_others():
    matrices, rhs = blocks(1e4), random(15, WIDTH, seed=9)
    together, record = conjugate_gradients(product(matrices), rhs, PTR)
    assert len(record.iterations.unique()) > 2
    for g in range(len(SIZES)):
        part = rhs[PTR[g] : PTR[g + 1]]
        alone, own = conjugate_gradients(product(matrices[g : g + 1]), part, torch.tensor([0, SIZES[g]]))
        torch.testing.assert_close(together[PTR[g] : PTR[g + 1]], alone, rtol=1e-6, atol=1e-7)
        assert abs(int(own.iterations) - int(record.iterations[g])) <= 1  # rounding


def test_conjugate_gradients_that_run_out_or_meet_nan_did_not_converge():
    _, record = conjugate_gradients(product(blocks(1e6)), random(15, WIDTH), PTR, max_iterations=2)
    assert record.converged.tolist() == [True, True, True, False, False]
    rhs = random(15, WIDTH)
    rhs[0] = torch.nan
    _, record = conjugate_gradients(product(blocks()), rhs, PTR)
    assert record.converged.tolist() == [False, True, True, True, True]


def rosy(h: Tensor) -> Tensor:
    """Strongly convex, far from quadratic, of very different curvature in the graphs."""
    graph = expand_ptr(PTR, 15)
    scale = 10.0 ** graph[:, None].to(h.dtype)
    sums = torch.zeros(5, WIDTH, dtype=h.dtype).index_add_(0, graph, h)
    wells = torch.nn.functional.softplus(scale * (h - 1)) + torch.nn.functional.softplus(-3 * h) + h.square() / 20
    return (wells + (sums[graph] - 2).square() / 4).sum(1)


def scipy_energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
    leaf = torch.tensor(flat).view(15, WIDTH).requires_grad_()
    value = rosy(leaf).sum()
    value.backward()
    return float(value.detach()), leaf.grad.numpy().ravel()


def test_minimise_agrees_with_scipy():
    start = random(15, WIDTH)
    h, record = minimise(rosy, start, PTR, 1e-8)
    assert record.converged.all()
    assert len(record.iterations.unique()) > 2
    found = scipy.optimize.minimize(scipy_energy, start.numpy().ravel(), jac=True, tol=1e-14, method="BFGS").x
    torch.testing.assert_close(h, torch.tensor(found).view(15, WIDTH), atol=1e-5, rtol=0)


def test_gradient_descent_gets_there_more_slowly():
    start = random(15, WIDTH)
    h, record = minimise(rosy, start, PTR, 1e-6, 300, "gradient")
    exact, fast = minimise(rosy, start, PTR, 1e-9)
    assert record.converged[:3].all()
    torch.testing.assert_close(h[:5], exact[:5], atol=1e-4, rtol=0)
    assert record.iterations[0] > fast.iterations[0]


def test_minimise_is_unique_and_leaves_its_start_alone():
    first, second = 5 * random(15, WIDTH), 5 * random(15, WIDTH, seed=1)
    kept = first.clone()
    a, b = minimise(rosy, first, PTR, 1e-9)[0], minimise(rosy, second, PTR, 1e-9)[0]
    assert torch.equal(first, kept)
    assert (a - b).abs().max() < 1e-5


def test_minimise_of_a_quadratic_is_the_linear_solution():
    matrices, rhs = blocks(1e3), random(15, WIDTH, seed=4)
    times = product(matrices)
    h, record = minimise(lambda h: (h * (times(h) / 2 - rhs)).sum(1), torch.zeros_like(rhs), PTR, 1e-10)
    assert record.converged.all()
    torch.testing.assert_close(h, torch.linalg.solve(torch.block_diag(*matrices), rhs.reshape(-1)).view_as(rhs))
    # One graph with all its variables: far fewer steps than gradient descent needs.
    assert record.iterations.max() < 150


def test_minimise_in_single_precision_reaches_the_default_tolerance():
    h, record = minimise(lambda h: 1e4 + rosy(h), torch.zeros(15, WIDTH), PTR, 1e-3)
    assert h.dtype == torch.float32
    assert record.converged.all()


def test_minimise_recovers_from_energies_that_overflow():
    """Far from the minimum a step may leave the numbers there are; it is shortened, not believed."""
    h, record = minimise(
        lambda h: (h.square().exp() - h).sum(1), 3 * torch.ones(15, WIDTH, dtype=torch.double), PTR, 1e-8
    )
    assert record.converged.all()
    # 2 h exp(h^2) = 1
    torch.testing.assert_close(2 * h * h.square().exp(), torch.ones_like(h))


def test_what_did_not_converge_is_reported():
    _, record = minimise(rosy, random(15, WIDTH), PTR, 1e-12, max_iterations=3)
    assert not record.converged.all()
    with pytest.warns(
        ConvergenceWarning, match=r"search did not converge on \d of 5 graphs: residual up to .* tolerance"
    ):
        record.report("the search", "warn")
    with pytest.raises(ConvergenceError, match="the search did not converge") as caught:
        record.report("the search", "error")
    assert isinstance(caught.value, GnnlabError)
    assert "max_iterations" in str(caught.value)
    _, record = minimise(lambda h: h.square().sum(1) * torch.nan, random(15, WIDTH), PTR, max_iterations=20)
    assert record.converged.tolist() == [False, True, False, False, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Convergence(torch.ones(2), torch.zeros(2), 0.1).report("the search", "warn")
    with pytest.raises(ConfigError, match="did you mean 'lbfgs'"):
        minimise(rosy, random(15, WIDTH), PTR, method="lbgfs")


def test_fixed_points_rest_one_by_one():
    graph = expand_ptr(PTR, 15)
    rate = torch.tensor([0.1, 0.5, 0.5, 0.9, 0.3], dtype=torch.double)[graph, None]
    target = random(15, WIDTH)
    h, record = fixed_point(lambda h: target + rate * (h - target), torch.zeros_like(target), PTR, 1e-9)
    torch.testing.assert_close(h, target, atol=1e-7, rtol=0)
    assert record.converged.all()
    steps = record.iterations.tolist()
    assert steps[1] == 0
    assert steps[0] < steps[4] < steps[2] < steps[3]
    _, record = fixed_point(lambda h: 2 * h + 1, torch.zeros_like(target), PTR, max_iterations=5)
    assert record.converged.tolist() == [False, True, False, False, False]
    _, record = fixed_point(lambda h: h + torch.nan, torch.zeros_like(target), PTR, max_iterations=5)
    assert not record.converged[0]


def test_largest_curvature_of_every_block():
    matrices = blocks(1e3)
    found = largest_curvature(product(matrices), random(15, WIDTH), PTR, iterations=300)
    expected = [float(torch.linalg.eigvalsh(m)[-1]) if len(m) else 1.0 for m in matrices]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.double), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    "graph",
    [
        nx.path_graph(2),
        nx.path_graph(6),
        nx.star_graph(4),
        nx.complete_bipartite_graph(2, 5),
        nx.petersen_graph(),
        nx.disjoint_union(nx.complete_graph(4), nx.path_graph(3)),
        nx.empty_graph(3),
    ],
)
def test_spectral_radius_is_bounded_tightly_from_above(graph):
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    adj = CSR.from_edge_index(torch.cat([pairs, pairs.flip(0)], 1), len(graph))
    bound = float(spectral_radius_bound(adj, torch.tensor([0, len(graph)]), iterations=500))
    exact = float(np.abs(nx.adjacency_spectrum(graph)).max())
    assert exact - 1e-9 <= bound <= exact * 1.001


def test_spectral_radius_of_weighted_and_directed_graphs():
    edge_index = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 0, 4, 4]])
    weight = torch.tensor([2.0, 4.0, 1.0, 7.0, 0.25])
    adj = CSR.from_edge_index(edge_index, 5)
    bound = spectral_radius_bound(adj, torch.tensor([0, 3, 5]), weight, iterations=2000)
    assert float(bound[0]) == pytest.approx(2.0)  # a cycle: the geometric mean
    assert 0.25 <= float(bound[1]) < 7  # a loop that an edge feeds; the bound is loose, but a bound


def test_projection_onto_the_ball():
    weight = torch.cat([random(6, 5), 0.01 * random(1, 5), torch.zeros(1, 5, dtype=torch.double)])
    projected = project_rows(weight, 0.9)
    assert (projected.abs().sum(1) <= 0.9 + 1e-12).all()
    assert torch.equal(projected[6:], weight[6:])
    # Of all points of the ball none is nearer: so says the inequality of a projection, at its corners.
    corners = 0.9 * torch.cat([torch.eye(5), -torch.eye(5)]).double()
    for row, near in zip(weight, projected, strict=True):
        assert ((corners - near) @ (row - near) <= 1e-12).all()
    assert torch.equal(project_rows(weight, 0.0)[:7], torch.zeros(7, 5, dtype=torch.double))


def test_gradient_of_a_root():
    """h = sqrt(a), without ever differentiating a square root."""
    a = torch.tensor([[4.0], [9.0]], dtype=torch.double, requires_grad=True)
    h = a.detach().sqrt()
    state = implicit_state(h, a - h * h, lambda g: g / (2 * h))
    state.sum().backward()
    torch.testing.assert_close(a.grad, 0.5 / h)
