"""Resistances and biharmonic distances of any pairs of a large graph, from random projections of the pseudo-inverse."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._random_signs import random_signs
from gnnlab.graph._symmetric import symmetric
from gnnlab.graph.laplacian_solver import LaplacianSolver

__all__ = [
    "BiharmonicSketch",
    "ResistanceSketch",
    "approximate_forms",
    "biharmonic_sketch",
    "resistance_sketch",
    "sketch_dimensions",
]

_MOST_BYTES = 2**33
_CELLS = 1 << 20
_ROUNDING = 1e-10
_TOLERANCE = 1e-8  # of a single pair, whose right-hand side is far from the slow vectors


@dataclass(frozen=True)
class ResistanceSketch:
    """Rows whose squared distances estimate effective resistances.

    Args:
        rows: [N, k] float64.
        component: [N] long; no current flows between components.
        foster_error: Relative deviation from Foster's theorem, by which the resistances of all edges times their
            conductances sum to N minus the number of components. Far more than 1 / sqrt(k N) means that
            the solver was not accurate enough.
    """

    rows: Tensor
    component: Tensor
    foster_error: float

    def resistance(self, pairs: Tensor) -> Tensor:
        """[2, P] -> [P] estimates, infinite between components; the relative error is sqrt(2 / k) (rms)."""
        return _squared(self.rows, self.component, pairs)


@dataclass(frozen=True)
class BiharmonicSketch:
    """Rows whose distances estimate biharmonic distances.

    Args:
        rows: [N, k] float64.
        component: [N] long.
    """

    rows: Tensor
    component: Tensor

    def biharmonic(self, pairs: Tensor) -> Tensor:
        """[2, P] -> [P] estimates, infinite between components; the squares err by sqrt(2 / k) (rms)."""
        return _squared(self.rows, self.component, pairs).sqrt()


def sketch_dimensions(epsilon: float) -> int:
    """Columns for a relative error of epsilon (rms) in resistances and squared biharmonic distances: 2 / epsilon^2.

    Example:
        >>> sketch_dimensions(0.1)
        200
    """
    if not 0 < epsilon < 1:
        raise ConfigError(f"epsilon must lie between 0 and 1, got {epsilon}")
    return math.ceil(round(2 / epsilon**2, 6))


@torch.no_grad()
def resistance_sketch(
    edge_index: Tensor,
    ptr: Tensor,
    dimensions: int | None = None,
    *,
    epsilon: float = 0.1,
    seed: int = 0,
    edge_weight: Tensor | None = None,
    tolerance: float = 1e-6,
    method: str = "auto",
) -> ResistanceSketch:
    r"""Project :math:`W^{1/2} B L^+` on k random directions (Spielman and Srivastava, SIAM J. Comput. 2011).

    .. math:: Y = \Omega W^{1/2} B L^+, \qquad R_{st} \approx \lVert Y (e_s - e_t) \rVert^2

    with random signs :math:`\Omega` over :math:`\sqrt k`, incidence B and conductances W: k solutions of a
    Laplacian system (:class:`gnnlab.graph.LaplacianSolver`) instead of a dense matrix. An estimate is unbiased with a
    standard deviation of at most :math:`\sqrt{2/k}` of its value; all pairs lie within :math:`1 \pm \epsilon` with
    high probability once :math:`k = O(\log N / \epsilon^2)`.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        dimensions: Columns k; from ``epsilon`` by default.
        epsilon: Relative error (rms) wanted, if ``dimensions`` is not given: 0.1 takes 200 columns.
        seed: Of the random signs, which depend on it and each graph alone.
        edge_weight: [E] non-negative conductances; ones by default.
        tolerance: Relative residual of the solver.
        method: Of the solver.

    Shapes:
        returns :class:`ResistanceSketch` of [N, k] float64

    Raises:
        ConfigError: ``epsilon`` outside (0, 1), or no columns.
        GraphError: negative weights, or tensors that do not describe a union.
        BudgetError: a sketch of more than 8 GiB.

    Example:
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> sketch = resistance_sketch(square, torch.tensor([0, 4]), dimensions=4000)
        >>> sketch.resistance(torch.tensor([[0, 0], [1, 2]])).round(decimals=1).tolist()
        [0.8, 1.0]
    """
    dimensions = _checked(dimensions, epsilon, int(ptr[-1]))
    solver, edges, weight = _prepare(edge_index, ptr, edge_weight, method)
    scale = (weight / dimensions).sqrt()[:, None]

    def flows(first: int, last: int) -> Tensor:
        signs = scale * random_signs(edges, edges, ptr, seed, first, last)
        out = signs.new_zeros(solver.num_nodes, last - first)
        out.index_add_(0, edges[0], signs).index_add_(0, edges[1], -signs)
        # Flows that go round in cycles leave rounding, for which there is nothing to solve.
        return out * (out.norm(dim=0) > _ROUNDING * scale.norm())

    rows = torch.cat(
        [solver.solve(flows(low, high), tolerance).x for low, high in _ranges(dimensions, edges.size(1))], 1
    )
    sketch = ResistanceSketch(rows, solver.component, 0.0)
    rank = int((solver.sizes - 1).clamp(min=0).sum())
    foster = float((weight * sketch.resistance(edges)).sum()) / rank - 1 if rank else 0.0
    return ResistanceSketch(rows, solver.component, abs(foster))


@torch.no_grad()
def biharmonic_sketch(
    edge_index: Tensor,
    ptr: Tensor,
    dimensions: int | None = None,
    *,
    epsilon: float = 0.1,
    seed: int = 0,
    edge_weight: Tensor | None = None,
    tolerance: float = 1e-6,
    method: str = "auto",
) -> BiharmonicSketch:
    r"""Project the columns of :math:`L^+` on k random directions.

    .. math:: Z = G L^+, \qquad B_{st} \approx \lVert Z (e_s - e_t) \rVert

    with random signs G over :math:`\sqrt k`. Arguments and errors as :func:`resistance_sketch`; ``epsilon`` is the
    relative error (rms) of the squared distance, so half of it remains for the distance.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> sketch = biharmonic_sketch(path, torch.tensor([0, 4]), dimensions=4000)
        >>> sketch.biharmonic(torch.tensor([[0], [3]])).square().round().tolist()
        [5.0]
    """
    dimensions = _checked(dimensions, epsilon, int(ptr[-1]))
    solver = LaplacianSolver(edge_index, ptr, edge_weight, method=method)
    nodes = torch.arange(solver.num_nodes, device=ptr.device).expand(2, -1)
    rows = [
        solver.solve(random_signs(nodes, edge_index, ptr, seed, low, high) / dimensions**0.5, tolerance).x
        for low, high in _ranges(dimensions, solver.num_nodes)
    ]
    return BiharmonicSketch(torch.cat(rows, 1), solver.component)


def approximate_forms(
    edges: Tensor, ptr: Tensor, pairs: Tensor, weight: Tensor, power: int, epsilon: float, seed: int
) -> Tensor:
    """[P] resistances (power 1) or squared biharmonic distances (2) of pairs within components.

    One solution per pair as long as a sketch would need no fewer, a sketch otherwise.
    """
    dimensions = sketch_dimensions(epsilon)
    if pairs.size(1) > dimensions:
        if power == 1:
            return resistance_sketch(edges, ptr, dimensions, seed=seed, edge_weight=weight).resistance(pairs)
        return biharmonic_sketch(edges, ptr, dimensions, seed=seed, edge_weight=weight).biharmonic(pairs).square()
    solver = LaplacianSolver(edges, ptr, weight)
    parts = []
    for part in pairs.split(16, dim=1):
        place = torch.arange(part.size(1), device=part.device)
        b = weight.new_zeros(solver.num_nodes, part.size(1))
        b[part[0], place] += 1
        b[part[1], place] -= 1
        x = solver.solve(b, _TOLERANCE).x
        parts.append(x[part[0], place] - x[part[1], place] if power == 1 else x.square().sum(0))
    return torch.cat(parts)


def _prepare(
    edge_index: Tensor, ptr: Tensor, edge_weight: Tensor | None, method: str
) -> tuple[LaplacianSolver, Tensor, Tensor]:
    """The solver, and every edge once (u < v) with its conductance, in an order of its own."""
    num_nodes = check_union(edge_index, ptr, edge_weight).numel()
    edges, weight = symmetric(edge_index, edge_weight)
    upper = edges[0] < edges[1]
    key, inverse = torch.unique(edges[0, upper] * num_nodes + edges[1, upper], return_inverse=True)
    conductance = weight.new_zeros(key.numel()).index_add_(0, inverse, weight[upper])
    pairs = torch.stack([key // max(num_nodes, 1), key % max(num_nodes, 1)])
    return LaplacianSolver(edge_index, ptr, edge_weight, method=method), pairs, conductance


def _checked(dimensions: int | None, epsilon: float, num_nodes: int) -> int:
    dimensions = sketch_dimensions(epsilon) if dimensions is None else dimensions
    if dimensions < 1:
        raise ConfigError(f"a sketch has at least one dimension, got {dimensions}")
    size = 8 * dimensions * num_nodes
    if size > _MOST_BYTES:
        raise BudgetError(
            f"a sketch of {num_nodes:,} nodes and {dimensions} columns takes {size / 2**30:.1f} GiB",
            hint="ask for fewer dimensions, or a larger epsilon",
        )
    return dimensions


def _ranges(dimensions: int, rows: int) -> list[tuple[int, int]]:
    """Columns in multiples of 16, as the solver takes them, so many at a time that the signs stay small."""
    width = 16 * max(1, _CELLS // (16 * max(rows, 1)))
    return [(low, min(low + width, dimensions)) for low in range(0, dimensions, width)]


def _squared(rows: Tensor, component: Tensor, pairs: Tensor) -> Tensor:
    check_pairs(pairs, component.numel())
    parts = [
        (rows[source] - rows[target]).square().sum(1)
        for source, target in (part.unbind() for part in pairs.split(max(1, _CELLS // rows.size(1)), dim=1))
    ]
    distance = torch.cat(parts)
    distance = torch.where(component[pairs[0]] == component[pairs[1]], distance, torch.inf)
    return torch.where(pairs[0] == pairs[1], 0.0, distance)
