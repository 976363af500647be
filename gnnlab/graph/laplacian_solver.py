"""Systems of Laplacian equations on large graphs: elimination, then preconditioned conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.sparse import csr_array
from torch import Tensor

from gnnlab.errors import ConfigError, GnnlabError, GraphError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._conjugate_gradients import conjugate_gradients, degree_probe
from gnnlab.graph._elimination import eliminate
from gnnlab.graph._multigrid import Multigrid, sparse_tensor
from gnnlab.graph._symmetric import symmetric
from gnnlab.graph.components import connected_components
from gnnlab.ops import scatter_reduce

__all__ = ["LaplacianSolver", "Solution", "solve_laplacian"]

_COLUMNS = 16  # of a block: what a product with a sparse matrix does best
_GOOD = 0.1
_ROUNDING = 1e-10
_METHODS = ("auto", "jacobi", "amg")


class Solution(NamedTuple):
    """``x`` [N, k], the ``method`` used, ``iterations`` (of the slowest block) and the worst relative ``residual``."""

    x: Tensor
    method: str
    iterations: int
    residual: float


def solve_laplacian(
    edge_index: Tensor,
    ptr: Tensor,
    b: Tensor,
    edge_weight: Tensor | None = None,
    *,
    tolerance: float = 1e-6,
    method: str = "auto",
) -> Tensor:
    r"""Solve :math:`L x = b` for all columns of b at once, on every component of every graph.

    The part of b that is constant on a component is taken away first, and x has mean zero on every
    component, so :math:`x = L^+ b`. See :class:`LaplacianSolver`, which also tells how it went and keeps what
    it has prepared for more right-hand sides.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        b: [N, k] right-hand sides.
        edge_weight: [E] non-negative conductances; ones by default.
        tolerance: Largest relative residual :math:`\lVert L x - b \rVert / \lVert b \rVert` of a column.
        method: ``"auto"``, ``"jacobi"`` or ``"amg"``.

    Shapes:
        returns [N, k] float64

    Raises:
        ConfigError: unknown method.
        GraphError: negative weights, tensors that do not describe a union, or b of another shape.
        GnnlabError: conjugate gradients did not converge.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> solve_laplacian(path, torch.tensor([0, 3]), torch.tensor([[1.0], [0.0], [-1.0]])).flatten().tolist()
        [1.0, 0.0, -1.0]
    """
    return LaplacianSolver(edge_index, ptr, edge_weight, method=method).solve(b, tolerance).x


class LaplacianSolver:
    """Solves with the Laplacian of a union of graphs, for as many right-hand sides as come.

    Nodes of one or two neighbours are eliminated exactly where that shrinks the graph, which leaves nothing of
    trees and cycles. What remains is solved by conjugate gradients in float64, in blocks of 16 columns,
    preconditioned by the degrees (``"jacobi"``: best where few steps reach every node, as in scale-free and
    random graphs) or by algebraic multigrid (``"amg"``: best on meshes, molecules and roads, where a cycle
    carries information across the graph). ``"auto"`` takes ten steps with the degrees on a random right-hand
    side and stays with them if these reduce the residual tenfold.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        edge_weight: [E] non-negative conductances; ones by default. A weight in one direction alone counts half.
        method: ``"auto"``, ``"jacobi"`` or ``"amg"``; the attribute ``method`` says which of the two it became.

    Example:
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> solver = LaplacianSolver(square, torch.tensor([0, 4]))
        >>> solver.solve(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])).x.round(decimals=6).flatten().tolist()
        [0.25, -0.25, 0.25, -0.25]
    """

    @torch.no_grad()
    def __init__(
        self, edge_index: Tensor, ptr: Tensor, edge_weight: Tensor | None = None, *, method: str = "auto"
    ) -> None:
        if method not in _METHODS:
            raise ConfigError(f"unknown method {method!r} of a Laplacian solver", hint=nearest(method, _METHODS))
        self.num_nodes = check_union(edge_index, ptr, edge_weight).numel()
        edges, weight = symmetric(edge_index, edge_weight)
        self.component = connected_components(edges, self.num_nodes)
        self.elimination = eliminate(edges, weight, self.component)
        self.sizes = torch.bincount(self.component, minlength=1)
        core, edges, weight = self.elimination.core, self.elimination.edges, self.elimination.weight
        degree = weight.new_zeros(core.numel()).index_add_(0, edges[0], weight)
        # Nothing to solve at a node that is all that is left of its component.
        busy = degree > 0
        self.core, self.inverse_degree = core[busy], degree[busy].reciprocal()[:, None]
        place = torch.cumsum(busy, 0) - 1
        source, target = place[edges].cpu().numpy()
        n = self.core.numel()
        adjacency = csr_array((-weight.cpu().numpy(), (source, target)), shape=(n, n))
        adjacency.setdiag(degree[busy].cpu().numpy())
        self.laplacian = sparse_tensor(adjacency, ptr.device) if n else None
        self.method = method
        if method == "auto":
            self.method = "jacobi" if n == 0 or self._probe() <= _GOOD else "amg"
        self._precondition: Callable[[Tensor], Tensor] = self._jacobi
        if n and self.method == "amg":
            self._precondition = Multigrid(adjacency, ptr.device)

    @torch.no_grad()
    def solve(self, b: Tensor, tolerance: float = 1e-6, max_iterations: int = 1000) -> Solution:
        """Solve for [N, k] right-hand sides; ``x`` has mean zero on every component.

        Args:
            b: [N, k]; its mean over a component does not matter.
            tolerance: Largest relative residual of a column.
            max_iterations: Steps of conjugate gradients after which it is an error not to have converged.
        """
        if b.dim() != 2 or b.size(0) != self.num_nodes:
            raise GraphError(f"right-hand sides must be [{self.num_nodes}, k], got {list(b.shape)}")
        out = torch.empty(b.shape, dtype=torch.float64, device=b.device)
        iterations, residual = 0, 0.0
        for columns in range(0, b.size(1), _COLUMNS):
            given = b[:, columns : columns + _COLUMNS].double()
            block = self.centred(given)
            # What is left of a column that was constant is rounding.
            norm = block.norm(dim=0).maximum(_ROUNDING * given.norm(dim=0))
            carried = self.elimination.down(block)
            x = torch.zeros_like(block)
            x[self.core], steps, worst = self._converged(carried[self.core], norm, tolerance, max_iterations)
            x = self.elimination.up(x[self.elimination.core], carried)
            out[:, columns : columns + _COLUMNS] = self.centred(x)
            iterations, residual = max(iterations, steps), max(residual, worst)
        return Solution(out, self.method, iterations, residual)

    def solve_core(self, b: Tensor, tolerance: float, max_iterations: int = 1000) -> Tensor:
        """Solve for one block [n, k] of right-hand sides on the core alone; sums over its components must be zero."""
        return self._converged(b, b.norm(dim=0), tolerance, max_iterations)[0]

    def centred(self, x: Tensor) -> Tensor:
        """[N, k] without its mean over every component."""
        total = scatter_reduce(x, self.component, self.sizes.numel(), "sum")
        return x - (total / self.sizes[:, None])[self.component]

    def _jacobi(self, residual: Tensor) -> Tensor:
        return self.inverse_degree * residual

    def _probe(self) -> float:
        """What ten steps with the degrees leave of the residual of a fixed random right-hand side."""
        generator = torch.Generator().manual_seed(0)
        b = torch.randn(self.num_nodes, 1, dtype=torch.float64, generator=generator).to(self.component.device)
        b = self.centred(b)
        return degree_probe(self.laplacian, self.inverse_degree, self.elimination.down(b)[self.core])

    def _converged(self, b: Tensor, norm: Tensor, tolerance: float, limit: int) -> tuple[Tensor, int, float]:
        if self.laplacian is None:
            return torch.zeros_like(b), 0, 0.0
        x, steps, worst = conjugate_gradients(self.laplacian, self._precondition, b, norm, tolerance, limit)
        if not worst <= tolerance:
            other = "amg" if self.method == "jacobi" else "jacobi"
            raise GnnlabError(
                f"conjugate gradients ({self.method}) stopped after {steps} steps at a relative residual of "
                f"{worst:.1e}, not {tolerance:.1e}",
                hint=f"try method='{other}', or a larger tolerance; weights that differ by many orders are hard",
            )
        return x, steps, worst
