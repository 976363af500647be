"""Total effective resistance of large graphs, estimated with a known standard error."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from scipy.sparse import csr_array
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph._check import check_union
from gnnlab.graph._multigrid import sparse_tensor
from gnnlab.graph._pseudo_inverse import places, pseudo_inverses
from gnnlab.graph._random_signs import random_signs
from gnnlab.graph._symmetric import by_component, symmetric
from gnnlab.graph.buckets import SortedUnion
from gnnlab.graph.laplacian_solver import LaplacianSolver
from gnnlab.ops import expand_ptr, segment_reduce

__all__ = ["Estimate", "total_effective_resistance_estimate"]

_BLOCK, _BATCHES = 16, (16, 32, 64)  # right-hand sides
_EXACT = 256  # nodes of a core whose unit vectors are the basis
_TOLERANCE, _ROUGH = 1e-4, 1e-2


class Estimate(NamedTuple):
    """``value`` [G] and its ``standard_error`` [G], zero where the value is exact."""

    value: Tensor
    standard_error: Tensor


@torch.no_grad()
def total_effective_resistance_estimate(
    edge_index: Tensor,
    ptr: Tensor,
    edge_weight: Tensor | None = None,
    *,
    epsilon: float = 0.01,
    seed: int = 0,
    dense_limit: int = 1000,
) -> Estimate:
    r"""Kirchhoff index :math:`n \, \mathrm{tr}(L^+)` of graphs of up to millions of nodes, without a dense matrix.

    Nodes of one or two neighbours are eliminated exactly (a tree or a cycle is then done). The trace over the
    rest is split by a basis V of a few slow vectors, the solutions of an earlier batch and theirs in turn,

    .. math:: \mathrm{tr}(L^+) = \mathrm{tr}\big(V (V^\top L V)^{-1} V^\top\big)
              + \mathbb{E}\big[z^\top \big(L^+ - V (V^\top L V)^{-1} V^\top\big) z\big],

    with random signs z: the first part is exact for any V, the second is positive and has little variance left
    (the deflation of Hutch++, Meyer, Musco, Musco and Woodruff, SOSA 2021, arXiv 2010.09649, in the energy norm, where
    any basis will do). Batches of 16, 32 and 64 signs follow until the standard error is small enough.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        edge_weight: [E] non-negative conductances; ones by default.
        epsilon: Relative standard error of a component after which no further batch is drawn; the last one is
            the third, so look at ``standard_error`` where much depends on it.
        seed: Of the random signs, which depend on it and the component alone.
        dense_limit: Largest component that is solved exactly as a dense matrix; not below 256.

    Shapes:
        returns :class:`Estimate` of [G] float64, a graph of several components being the sum over them.

    Raises:
        ConfigError: ``epsilon`` not positive.
        GraphError: negative weights, or tensors that do not describe a union.
        GnnlabError: the solver did not converge.

    Example:
        >>> n = 5000
        >>> path = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
        >>> edge_index, ptr = torch.cat([path, path.flip(0)], 1), torch.tensor([0, n])
        >>> estimate = total_effective_resistance_estimate(edge_index, ptr)
        >>> round(estimate.value.item()) == (n**3 - n) // 6, estimate.standard_error.item()
        (True, 0.0)
    """
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be positive, got {epsilon}")
    batch = check_union(edge_index, ptr, edge_weight)
    component, union = by_component(*symmetric(edge_index, edge_weight), batch.numel())
    sizes = union.ptr.diff()
    total, variance = (torch.zeros(sizes.numel(), dtype=torch.float64, device=ptr.device) for _ in range(2))
    cut = int((sizes <= max(dense_limit, _EXACT)).sum())  # below that, the core would be solved as a dense matrix
    total[:cut] = _dense(replace(union, ptr=union.ptr[: cut + 1]))
    for place in range(cut, sizes.numel()):
        value, error = _estimate(*_own_graph(union, place), epsilon, seed)
        total[place], variance[place] = value, error**2
    graph = torch.empty_like(union.ptr[1:]).index_copy_(0, component, batch)[union.group]
    empty = total.new_zeros(ptr.numel() - 1)
    return Estimate(empty.index_add(0, graph, total), empty.index_add(0, graph, variance).sqrt())


def _dense(union: SortedUnion) -> Tensor:
    """[C] exact values."""
    diagonal = torch.zeros(int(union.ptr[-1]), dtype=torch.float64, device=union.ptr.device)
    for first, last, inverse in pseudo_inverses(union):
        block, place = places(union, first, last)
        diagonal[int(union.ptr[first]) : int(union.ptr[last])] = inverse[block, place, place]
    return segment_reduce(diagonal, union.ptr, "sum") * union.ptr.diff()


def _own_graph(union: SortedUnion, place: int) -> tuple[Tensor, Tensor]:
    """Edges and weights of one component, nodes counted from 0."""
    pointers, column, weight = union.edges(int(union.ptr[place]), int(union.ptr[place + 1]))
    return torch.stack([expand_ptr(pointers, column.numel()), column]), weight


def _estimate(edges: Tensor, weight: Tensor, epsilon: float, seed: int) -> tuple[float, float]:
    """Value and standard error for one component."""
    num_nodes = int(edges.max()) + 1
    ptr = torch.tensor([0, num_nodes], device=edges.device)
    solver = LaplacianSolver(edges, ptr, weight)
    exact = float(solver.elimination.kirchhoff.sum())
    if solver.core.numel() == 0:
        return exact, 0.0
    trace = _CoreTrace(solver)
    if solver.core.numel() <= _EXACT:
        return exact + trace.deflate(torch.eye(solver.core.numel(), dtype=torch.float64, device=edges.device)), 0.0
    nodes = torch.arange(num_nodes, device=edges.device).expand(2, -1)
    first, deflated, slow = 0, 0.0, []
    for size in _BATCHES:
        draws = [
            trace.sample(random_signs(nodes, edges, ptr, seed, start, start + _BLOCK))
            for start in range(first, first + size, _BLOCK)
        ]
        sample = torch.cat([draw for _, draw in draws])
        value, error = exact + deflated + float(sample.mean()), float(sample.std()) / size**0.5
        if error <= epsilon * value or size == _BATCHES[-1]:
            break
        first += size
        # The solutions of the solutions are slower still: two blocks of a Krylov space.
        slow += [part for x, _ in draws for part in (x, solver.solve_core(x - x.mean(0), _ROUGH))]
        deflated = trace.deflate(torch.cat(slow, 1))
    return value, error


class _CoreTrace:
    r"""Parts of :math:`\mathrm{tr}(L'^+ T^\top (n I - 1 1^\top) T)` over the core of an elimination."""

    def __init__(self, solver: LaplacianSolver) -> None:
        rest, n = solver.elimination, solver.core.numel()
        source, target = rest.edges.cpu().numpy()
        mass = csr_array((rest.mass.cpu().numpy(), (source, target)), shape=(n, n))
        self.solver, self.size = solver, float(solver.num_nodes)
        self.mass, self.own_mass, self.sum_mass = sparse_tensor(mass, rest.mass.device), rest.own_mass, rest.sum_mass
        self.basis, self.inverse = rest.mass.new_zeros(n, 0), rest.mass.new_zeros(0, 0)

    def deflate(self, vectors: Tensor) -> float:
        """Take the span of the columns as the basis; returns its part of the trace."""
        self.basis = torch.linalg.qr(vectors)[0]
        values, turn = torch.linalg.eigh(self.basis.t() @ (self.solver.laplacian @ self.basis))
        kept = values > 1e-13 * values[-1]
        self.inverse = turn[:, kept] / values[kept] @ turn[:, kept].t()
        weighted = self.own_mass[:, None] * self.basis + self.mass @ self.basis
        sums = self.sum_mass @ self.basis
        return float((self.inverse * (self.size * self.basis.t() @ weighted - torch.outer(sums, sums))).sum())

    def sample(self, signs: Tensor) -> tuple[Tensor, Tensor]:
        """Solutions [n, k] on the core, and what k independent quadratic forms leave beyond the basis."""
        b = self.size**0.5 * (signs - signs.mean(0))
        b = self.solver.elimination.down(b)[self.solver.core]
        x = self.solver.solve_core(b, _TOLERANCE)
        # As the error of x enters twice here, it counts by its square alone.
        form = (x * (2 * b - self.solver.laplacian @ x)).sum(0)
        along = self.basis.t() @ b
        return x, form - (along * (self.inverse @ along)).sum(0)
