"""The large-graph solver: elimination, both preconditioners, and the trace estimate, against dense matrices."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import ConfigError, GnnlabError, GraphError
from gnnlab.graph import (
    LaplacianSolver,
    solve_laplacian,
    total_effective_resistance,
    total_effective_resistance_estimate,
)
from gnnlab.graph._elimination import eliminate
from gnnlab.graph._symmetric import symmetric
from gnnlab.graph.components import connected_components
from gnnlab.testing.strategies import unions

METHODS = ["auto", "jacobi", "amg"]
GRAPHS = [
    nx.grid_2d_graph(30, 31),
    nx.barabasi_albert_graph(900, 2, seed=1),
    nx.random_regular_graph(3, 800, seed=1),
    nx.disjoint_union(nx.grid_2d_graph(22, 22), nx.ladder_graph(150)),
    nx.disjoint_union_all([nx.petersen_graph()] * 60),
    nx.fast_gnp_random_graph(1500, 2 / 1500, seed=2),
]


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


def laplacian(edge_index: Tensor, num_nodes: int, weight: Tensor | None = None) -> Tensor:
    weight = torch.ones(edge_index.size(1)) if weight is None else weight
    adjacency = torch.zeros(num_nodes, num_nodes, dtype=torch.double)
    adjacency.index_put_(tuple(edge_index), weight.double(), accumulate=True)
    adjacency = (adjacency + adjacency.t()) / 2
    adjacency.fill_diagonal_(0)
    return torch.diag(adjacency.sum(1)) - adjacency


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def centred(b: Tensor, component: Tensor) -> Tensor:
    same = (component[:, None] == component).double()
    return b - same / same.sum(1, keepdim=True) @ b


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_solves(graph, method):
    edge_index, ptr = tensors(graph)
    n = int(ptr[-1])
    weight = torch.rand(edge_index.size(1), generator=torch.Generator().manual_seed(1)) + 0.1
    component = connected_components(edge_index, n)
    b = random(n, 17)
    solution = LaplacianSolver(edge_index, ptr, weight, method=method).solve(b, tolerance=1e-8)
    matrix, wanted = laplacian(edge_index, n, weight), centred(b, component)
    worst = ((matrix @ solution.x - wanted).norm(dim=0) / wanted.norm(dim=0)).max()
    assert float(worst) <= 2e-8
    assert solution.residual <= 1e-8
    assert solution.method in ("jacobi", "amg")
    assert float(centred(solution.x, component).sub(solution.x).abs().max()) < 1e-9


@settings(max_examples=60, deadline=None)
@given(unions(max_nodes=12, max_edges=16), st.booleans())
def test_any_union(batch, weighted):
    n = batch.num_nodes
    weight = torch.rand(batch.num_edges, generator=torch.Generator().manual_seed(0)) if weighted else None
    b = random(n, 3)
    x = solve_laplacian(batch.edge_index, batch.ptr, b, weight, tolerance=1e-10)
    matrix = laplacian(batch.edge_index, n, weight)
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > 1e-9
    torch.testing.assert_close(x, vectors[:, kept] / values[kept] @ vectors[:, kept].t() @ b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "graph", [nx.path_graph(700), nx.random_labeled_tree(500, seed=1), nx.cycle_graph(300), nx.star_graph(90)]
)
def test_trees_and_cycles_are_eliminated(graph):
    edge_index, ptr = tensors(graph)
    solution = LaplacianSolver(edge_index, ptr).solve(random(int(ptr[-1]), 2))
    assert solution.iterations == 0
    assert total_effective_resistance_estimate(edge_index, ptr, dense_limit=1).standard_error.item() == 0


def test_elimination_is_a_schur_complement():
    edge_index, ptr = tensors(nx.disjoint_union(nx.karate_club_graph(), nx.random_lobster_graph(30, 0.6, 0.5, seed=3)))
    edges, weight = symmetric(edge_index, torch.rand(edge_index.size(1), generator=torch.Generator().manual_seed(2)))
    n = int(ptr[-1])
    rest = eliminate(edges, weight, connected_components(edges, n))
    matrix = laplacian(edges, n, 2 * weight) / 2
    core = rest.core
    gone = torch.tensor([node for node in range(n) if node not in set(core.tolist())])
    inner = torch.linalg.solve(matrix[gone][:, gone], matrix[gone][:, core])
    schur = matrix[core][:, core] - matrix[core][:, gone] @ inner
    torch.testing.assert_close(laplacian(rest.edges, core.numel(), rest.weight), schur)
    mass = torch.diag(rest.own_mass).index_put_(tuple(rest.edges), rest.mass, accumulate=True)
    torch.testing.assert_close(mass, torch.eye(core.numel(), dtype=torch.double) + inner.t() @ inner)
    torch.testing.assert_close(rest.sum_mass, 1 - inner.sum(0))


def test_nothing_to_solve():
    edge_index, ptr = tensors(nx.complete_graph(7))
    constant = torch.full((7, 2), 0.1, dtype=torch.double)
    assert float(solve_laplacian(edge_index, ptr, constant).abs().max()) < 1e-12
    assert solve_laplacian(edge_index, ptr, random(7, 0)).shape == (7, 0)
    assert solve_laplacian(torch.zeros(2, 0, dtype=torch.long), torch.tensor([0]), random(0, 3)).shape == (0, 3)


def test_the_probe_chooses():
    for graph, method in (
        (nx.barabasi_albert_graph(3000, 2, seed=0), "jacobi"),
        (nx.random_regular_graph(3, 3000, seed=0), "jacobi"),
        (nx.grid_2d_graph(100, 100), "amg"),
        (nx.circular_ladder_graph(3000), "amg"),
    ):
        assert LaplacianSolver(*tensors(graph)).method == method


def test_multigrid_steps_hardly_grow():
    steps = [
        LaplacianSolver(*tensors(nx.grid_2d_graph(side, side)), method="amg").solve(random(side**2, 2)).iterations
        for side in (30, 120)
    ]
    assert steps[1] <= 1.5 * steps[0]
    assert steps[1] < 30


def test_errors():
    edge_index, ptr = tensors(nx.grid_2d_graph(20, 20))
    with pytest.raises(ConfigError, match="did you mean 'jacobi'"):
        solve_laplacian(edge_index, ptr, random(400, 1), method="jacobbi")
    with pytest.raises(GraphError, match="right-hand sides"):
        solve_laplacian(edge_index, ptr, random(399, 1))
    with pytest.raises(GnnlabError, match="after 3 steps at a relative residual") as error:
        LaplacianSolver(edge_index, ptr, method="jacobi").solve(random(400, 1), max_iterations=3)
    assert "method='amg'" in error.value.hint
    with pytest.raises(ConfigError, match="epsilon"):
        total_effective_resistance_estimate(edge_index, ptr, epsilon=0)


def _torus_total(a: int, b: int) -> float:
    """Kirchhoff index from the eigenvalues 4 - 2 cos - 2 cos."""
    waves = [2 - 2 * torch.cos(2 * math.pi * torch.arange(n, dtype=torch.double) / n) for n in (a, b)]
    return float(a * b * (waves[0][:, None] + waves[1]).flatten()[1:].reciprocal().sum())


def test_total_of_a_torus():
    edge_index, ptr = tensors(nx.grid_2d_graph(40, 50, periodic=True))
    found = [total_effective_resistance_estimate(edge_index, ptr, seed=seed, dense_limit=1000) for seed in range(3)]
    exact = _torus_total(40, 50)
    for value, error in found:
        assert 0 < error.item() < 0.02 * exact
        assert abs(value.item() - exact) < 5 * error.item()
    assert len({value.item() for value, _ in found}) == 3


@pytest.mark.parametrize("graph", GRAPHS)
def test_total_against_dense(graph):
    edge_index, ptr = tensors(graph)
    weight = torch.rand(edge_index.size(1), generator=torch.Generator().manual_seed(3)) + 0.5
    value, error = total_effective_resistance_estimate(edge_index, ptr, weight, dense_limit=50)
    exact = total_effective_resistance(edge_index, ptr, weight)
    assert abs(float(value - exact)) <= 5 * float(error) + 1e-8 * float(exact)
    assert float(error) <= 0.02 * float(exact)


def test_closed_forms_of_large_trees():
    n = 20_000
    line = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    star = torch.stack([torch.zeros(n - 1, dtype=torch.long), torch.arange(1, n)])
    both = torch.cat([line, star + n], 1)
    value, _ = total_effective_resistance_estimate(torch.cat([both, both.flip(0)], 1), torch.tensor([0, n, 2 * n]))
    assert value.tolist() == pytest.approx([(n**3 - n) / 6, (n - 1) ** 2], rel=1e-10)


def test_batch_equals_single_estimates():
    parts = [tensors(nx.grid_2d_graph(20, 20)), tensors(nx.path_graph(3)), tensors(nx.grid_2d_graph(40, 8))]
    ptr = torch.cat([torch.zeros(1, dtype=torch.long), torch.stack([p[-1] for _, p in parts]).cumsum(0)])
    edges = torch.cat([e + start for (e, _), start in zip(parts, ptr, strict=False)], 1)
    together = total_effective_resistance_estimate(edges, ptr, dense_limit=100)
    alone = [total_effective_resistance_estimate(e, p, dense_limit=100) for e, p in parts]
    torch.testing.assert_close(together.value, torch.cat([part.value for part in alone]), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        together.standard_error, torch.cat([part.standard_error for part in alone]), rtol=1e-4, atol=0
    )
