"""Eigenpairs of connected Laplacians beyond the trivial one: stacked, threaded and sparse solvers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import LinearOperator, lobpcg, splu
from torch import Tensor

from gnnlab.errors import GnnlabError
from gnnlab.graph._conjugate_gradients import degree_probe
from gnnlab.graph._engine import engine
from gnnlab.graph._lapack import in_threads, single_threaded_blas, smallest_eigenpairs
from gnnlab.graph._multigrid import Multigrid, sparse_tensor
from gnnlab.graph.buckets import SortedUnion, size_buckets
from gnnlab.ops import expand_ptr

__all__ = ["nontrivial_pairs"]

_STACKED, _COMPILED = 32, 56
"""Up to this many nodes, one call for a stack of matrices, and a compiled loop, beat one call per matrix on the CPU."""

_FACTORED = 5000
"""Up to this many nodes a sparse factorisation is affordable on any graph."""

_FALLBACK = 10
"""A component that LOBPCG fails on is solved as a dense matrix up to this multiple of the caller's limit."""

_CONVERGED, _USABLE = 1e-7, 1e-4
"""Residuals, relative to the mean degree, of a solution and of what may pass for one with a warning."""

_EXPANDER = 0.01
"""What ten steps of conjugate gradients leave of a residual where multigrid would fill in."""

_CELLS = 1 << 23
"""Cells of one stack of dense matrices: 64 MB in float64."""


def nontrivial_pairs(
    union: SortedUnion, diagonal: Tensor, constant: Tensor, k: int, dense_limit: int
) -> tuple[Tensor, Tensor]:
    """The k smallest eigenpairs of ``diag(diagonal) - A`` orthogonal to ``constant``, for every component.

    Args:
        union: Connected components by increasing size; weights are the entries of the symmetric A.
        diagonal: [N] by row.
        constant: [N] by row, positive; restricted to a component it spans the null space there.
        k: Pairs per component.
        dense_limit: Largest component solved as a dense matrix.

    Shapes:
        returns values [C, k], infinite where a component has fewer pairs, and vectors [N, k] by row.
    """
    sizes = union.ptr.diff()
    values = diagonal.new_full((sizes.numel(), k), torch.inf)
    vectors = diagonal.new_zeros(diagonal.numel(), k)
    fallback = _FALLBACK * dense_limit
    dense_limit = max(dense_limit, 6 * (k + 4))  # LOBPCG wants far more nodes than vectors
    routes = _dense_routes(diagonal.device, dense_limit)
    bounds = torch.tensor([1, *(limit for limit, _ in routes)], device=sizes.device)
    bounds = torch.searchsorted(sizes, bounds, right=True).tolist()
    problem = union, diagonal, constant
    for low, high, (_, solve) in zip(bounds[:-1], bounds[1:], routes, strict=True):
        if low < high:
            solve(values, vectors, *problem, low, high)
    for place in range(bounds[-1], sizes.numel()):
        rows = slice(int(union.ptr[place]), int(union.ptr[place + 1]))
        found, columns, residual = _sparse(union, rows, diagonal[rows], constant[rows], k)
        if not residual <= _CONVERGED and _solve_densely(rows.stop - rows.start, k, residual, fallback):
            routes[-1][-1](values, vectors, *problem, place, place + 1)
        else:
            values[place], vectors[rows] = found, columns
    return values, vectors


def _solve_densely(nodes: int, k: int, residual: float, fallback: int) -> bool:
    """Whether there is an exact way out of a failure of LOBPCG; says which way is taken."""
    failure = f"LOBPCG stopped at a residual of {residual:.1e} of the mean degree on a component of {nodes} nodes"
    if nodes <= fallback:
        warnings.warn(f"{failure}; solving it as a dense matrix instead", stacklevel=5)
        return True
    if residual <= _USABLE:
        warnings.warn(f"{failure} and {k} pairs, which are returned: eigenvalues are as far off", stacklevel=5)
        return False
    raise GnnlabError(
        failure, hint=f"solve it as a dense matrix with dense_limit={nodes}, or ask for fewer pairs than {k}"
    )


_Solver = Callable[[Tensor, Tensor, SortedUnion, Tensor, Tensor, int, int], None]
"""Writes the values and vectors of components ``[first, last)``, given (union, diagonal, constant, first, last)."""


def _dense_routes(device: torch.device, dense_limit: int) -> list[tuple[int, _Solver]]:
    """Solvers by increasing size, each with the largest component that it is for."""
    if device.type != "cpu":
        return [(dense_limit, partial(_stacked, growth=1.25))]
    stacks = partial(_stacked, growth=1.0)
    small = engine(device, stacks, "gnnlab.graph._eigen_numba:solve")
    limit = _STACKED if small is stacks else _COMPILED
    return [(min(limit, dense_limit), small), (dense_limit, _threaded)]


def _stacked(
    values: Tensor,
    vectors: Tensor,
    union: SortedUnion,
    diagonal: Tensor,
    constant: Tensor,
    first: int,
    last: int,
    *,
    growth: float,
) -> None:
    """Dense matrices of similar size in one call."""
    sizes = union.ptr[first : last + 1].diff()
    for low, high in size_buckets(union.ptr[first : last + 1], sizes, _CELLS, growth):
        _solve_stack(values, vectors, union, diagonal, constant, first + low, first + high)


def _solve_stack(
    values: Tensor, vectors: Tensor, union: SortedUnion, diagonal: Tensor, constant: Tensor, first: int, last: int
) -> None:
    begin, end = int(union.ptr[first]), int(union.ptr[last])
    sizes = union.ptr[first : last + 1].diff()
    blocks = union.blocks(first, last).neg_()
    width = blocks.size(1)
    real = torch.arange(width, device=sizes.device) < sizes[:, None]
    unit = blocks.new_zeros(real.shape).masked_scatter_(real, constant[begin:end])
    unit /= unit.norm(dim=1, keepdim=True)
    corner = blocks.new_zeros(real.shape).masked_scatter_(real, diagonal[begin:end])
    # No eigenvalue exceeds twice the largest diagonal entry: move the trivial pair and the padding above.
    above = 2 * corner.amax(1, keepdim=True) + 1
    blocks.diagonal(dim1=1, dim2=2).add_(corner.where(real, 2 * above))
    blocks.baddbmm_((unit * above)[:, :, None], unit[:, None, :])
    count = min(values.size(1), width - 1)
    found, columns = torch.linalg.eigh(blocks)
    found, columns = found[:, :count], columns[:, :, :count]
    missing = torch.arange(count, device=sizes.device) >= sizes[:, None] - 1
    values[first:last, :count] = found.clamp_(min=0).masked_fill_(missing, torch.inf)
    vectors[begin:end, :count] = columns.masked_fill_(missing[:, None, :], 0)[real]


def _threaded(
    values: Tensor, vectors: Tensor, union: SortedUnion, diagonal: Tensor, constant: Tensor, first: int, last: int
) -> None:
    """Dense matrices one by one, for the wanted pairs only, in several threads."""
    ptr, cells = union.ptr[first : last + 1].tolist(), union.edge_ptr[union.ptr[first : last + 1]].tolist()
    begin, slots = ptr[0], slice(cells[0], cells[-1])
    source = expand_ptr(union.edge_ptr[begin : ptr[-1] + 1] - cells[0], cells[-1] - cells[0]) + begin
    edges = (source, union.column[slots], union.weight[slots])
    row, column, weight, degree, null = (part.numpy() for part in (*edges, diagonal, constant))
    out_values, out_vectors = values[first:last].numpy(), vectors.numpy()

    def solve(place: int) -> None:
        (low, high), (begin, end) = (cell - cells[0] for cell in cells[place : place + 2]), ptr[place : place + 2]
        n = end - begin
        pairs, cell = min(values.size(1), n - 1), (row[low:high] - begin) * n + (column[low:high] - begin)
        matrix = np.bincount(cell, -weight[low:high], n * n).reshape(n, n)
        own, unit = degree[begin:end], null[begin:end] / np.linalg.norm(null[begin:end])
        # No eigenvalue exceeds twice the largest diagonal entry: move the trivial pair above.
        matrix += (2 * own.max() + 1) * unit[:, None] * unit
        matrix[np.arange(n), np.arange(n)] += own
        found, rows = smallest_eigenpairs(matrix, pairs)
        out_values[place, :pairs], out_vectors[begin:end, :pairs] = found.clip(min=0), rows.T

    in_threads(solve, last - first)


def _sparse(
    union: SortedUnion, rows: slice, diagonal: Tensor, constant: Tensor, k: int
) -> tuple[Tensor, Tensor, float]:
    """Values, vectors and the largest residual, relative to the mean of the diagonal."""
    pointers, column, weight = (part.cpu().numpy() for part in union.edges(rows.start, rows.stop))
    n, degree = rows.stop - rows.start, diagonal.cpu().numpy()
    laplacian = diags_array(degree) - csr_array((weight, column, pointers), shape=(n, n))
    typical = degree.mean()
    start = np.random.default_rng(0).standard_normal((n, k + 4))  # the block finds copies of multiple eigenvalues
    fixed = constant.cpu().numpy()[:, None]
    precondition = _preconditioner(laplacian.tocsr(), fixed)
    # All columns have to get there, so what the wanted ones reach is far below.
    tolerance = (1e-9 if n <= _FACTORED else 1e-8) * typical
    with single_threaded_blas(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is checked below
        inverse = LinearOperator((n, n), matvec=precondition, matmat=precondition, dtype=np.float64)
        values, vectors = lobpcg(laplacian, start, M=inverse, Y=fixed, tol=tolerance, maxiter=1000, largest=False)
    order = np.argsort(values)[:k]
    values, vectors = values[order], vectors[:, order]
    residual = np.linalg.norm(laplacian @ vectors - vectors * values, axis=0).max()
    values, vectors = (torch.from_numpy(part).to(diagonal) for part in (values, vectors))
    return values.clamp_(min=0), vectors, float(residual / typical)


def _preconditioner(matrix: csr_array, constant: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """An approximate inverse of a matrix whose null space is spanned by ``constant`` [n, 1].

    A factorisation where it stays small, the degrees on expanders (where it would fill in, and multigrid too),
    multigrid on everything else.
    """
    n = matrix.shape[0]
    if n <= _FACTORED:
        shifted = (matrix + 1e-4 * matrix.trace() / n * eye_array(n)).tocsc()
        # Symmetric positive definite, so the pivots may stay on the diagonal.
        options = {"SymmetricMode": True}
        return splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options).solve
    scale = diags_array(constant[:, 0])
    laplacian = (scale @ matrix @ scale).tocsr()  # whatever the normalisation: its rows sum to zero
    inverse_degree = 1 / laplacian.diagonal()[:, None]
    b = np.random.default_rng(1).standard_normal((n, 1))
    cpu = torch.device("cpu")
    probe = degree_probe(
        sparse_tensor(laplacian, cpu), torch.from_numpy(inverse_degree), torch.from_numpy(b - b.mean())
    )
    if probe < _EXPANDER:
        return lambda block: block / matrix.diagonal().reshape(-1, *[1] * (block.ndim - 1))
    cycle = Multigrid(laplacian, cpu)

    def precondition(block: np.ndarray) -> np.ndarray:
        columns = np.ascontiguousarray(constant * block.reshape(n, -1))
        return (constant * cycle(torch.from_numpy(columns)).numpy()).reshape(block.shape)

    return precondition
