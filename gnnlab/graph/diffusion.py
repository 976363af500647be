"""Diffusion on graphs: personalised PageRank and the heat kernel, as sparse matrices of a disjoint union."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from math import ceil, exp, log, log2, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._symmetric import by_component
from gnnlab.graph.buckets import SortedUnion, size_buckets
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import CSR, aggregate, expand_ptr

__all__ = ["Diffusion", "diffusion_matrix"]

_CELLS, _GROWTH = {"cpu": 2**16, "cuda": 2**24}, 1.25  # rows x width of a stack of dense matrices
_COLUMN_CELLS = {"cpu": 2**18, "cuda": 2**25}  # of one block of columns of a large component
_TAYLOR = 18  # terms after which exp(x), x <= 1, is exact in float64
_TIE = 1e-9  # relative difference below which two entries are equal but for rounding
_TOLERANCE = 1e-8
_MAX_TIME = 500.0  # exp(-t) is far from underflow


class Diffusion(NamedTuple):
    """Entries :math:`S_{uv}`: ``index`` [2, K] long, u in row 0 and v in row 1, in lexicographic order, and ``weight``
    [K] float64."""

    index: Tensor
    weight: Tensor


@torch.no_grad()
def diffusion_matrix(
    edge_index: Tensor,
    ptr: Tensor,
    kernel: str = "ppr",
    *,
    alpha: float = 0.15,
    t: float = 5.0,
    top_k: int | None = None,
    epsilon: float = 0.0,
    loop_weight: float = 1.0,
    symmetrise: bool = False,
    dense_limit: int = 4000,
    max_entries: int = 2**26,
) -> Diffusion:
    r"""Generalised diffusion of "Diffusion Improves Graph Learning" (Gasteiger et al., NeurIPS 2019, arXiv 1911.05485).

    .. math::
        S_{ppr} = \alpha (I - (1 - \alpha) H)^{-1}, \qquad S_{heat} = e^{-t (I - H)}, \qquad
        H = \tilde D^{-1/2} (A + w I) \tilde D^{-1/2}

    of the simple undirected graph A, with the degrees :math:`\tilde D` of A + w I. S is symmetric, positive on every
    component and zero between components. It is thinned out column by column: only the ``top_k`` largest entries of
    a column (equal ones by the number of their node), and only those of at least ``epsilon``.

    Components of similar size are solved in one stack of dense matrices (by Cholesky factorisation, or by a Taylor
    series with repeated squaring; entries below 1e-16 may be missing from the latter). Those above ``dense_limit``
    nodes are solved a block of columns at a time on the sparse H (Chebyshev iteration, Taylor series), until the
    error of a column is below 1e-8 in Euclidean norm; entries below that are dropped.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        kernel: ``"ppr"``, personalised PageRank, or ``"heat"``.
        alpha: Teleport probability of ``"ppr"``, in (0, 1].
        t: Time of ``"heat"``, not negative.
        top_k: Entries kept per column, at least 1; all by default.
        epsilon: Smallest entry that is kept.
        loop_weight: w, weight of the self-loops that every node is given, not negative.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.
        dense_limit: Largest component that is solved as a dense matrix.
        max_entries: Entries above which the work is refused. They are estimated from ``top_k`` and from
            :math:`\sqrt{\tilde d_v} / \epsilon`, which bounds the entries of a column.

    Shapes:
        returns :class:`Diffusion` with K entries, those of the diagonal included

    Raises:
        ConfigError: unknown kernel, or a setting out of range.
        GraphError: an edge without its reverse, or tensors that do not describe a union.
        BudgetError: more than ``max_entries`` entries to be expected.

    Example:
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> diffusion_matrix(square, torch.tensor([0, 4]), alpha=0.5).weight[:4].round(decimals=4).tolist()
        [0.6571, 0.1429, 0.0571, 0.1429]
    """
    _check(kernel, alpha, t, top_k, epsilon, loop_weight)
    num_nodes = check_union(edge_index, ptr).numel()
    one_way = undirected_edges(edge_index, ptr, symmetrise)
    edges = torch.cat([one_way, one_way.flip(0)], 1)
    degree = torch.bincount(edges[0], minlength=num_nodes).double() + loop_weight
    scale = torch.where(degree > 0, degree, 1.0).rsqrt()
    _, union = by_component(edges, scale[edges[0]] * scale[edges[1]], num_nodes)
    node = torch.empty_like(union.row).index_copy_(0, union.row, torch.arange(num_nodes, device=ptr.device))
    _check_budget(union, degree[node], top_k, epsilon, max_entries)
    loops = loop_weight * scale[node].square()

    dense, sparse = (partial(solver, **_SETTINGS[kernel](alpha, t)) for solver in _SOLVERS[kernel])
    small = int(torch.searchsorted(union.ptr.diff(), dense_limit, right=True))
    found = [(union.row.new_zeros(2, 0), scale.new_zeros(0))]
    for begin, start, values in _stacks(union, loops, dense, small):
        found.append(_entries(begin, start, values, 0.0, top_k, epsilon))
    for begin, start, values in _blocks(union, loops, sparse, small):
        found.append(_entries(begin, start, values, _TOLERANCE, top_k, epsilon))
    index, weight = (torch.cat(part, -1) for part in zip(*found, strict=True))
    index = node[index]
    order = (index[0] * max(num_nodes, 1) + index[1]).argsort()
    return Diffusion(index[:, order], weight[order])


Rows = Iterator[tuple[int, Tensor, Tensor]]
"""Rows of S from a row ``begin`` of the layout on: [R] column of the first entry of each, and its entries [R, n]."""


def _stacks(union: SortedUnion, loops: Tensor, solve: Callable[[Tensor], Tensor], count: int) -> Rows:
    """The first ``count`` components, in stacks of dense matrices."""
    sizes = union.ptr[: count + 1].diff()
    cells = _CELLS.get(loops.device.type, _CELLS["cpu"])
    for first, last in size_buckets(union.ptr, sizes, cells, _GROWTH):
        matrix = union.blocks(first, last)
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        real = torch.arange(matrix.size(-1), device=sizes.device) < sizes[first:last, None]
        matrix.diagonal(dim1=1, dim2=2)[real] = loops[begin:end]
        start = union.ptr[first:last].repeat_interleave(sizes[first:last], output_size=end - begin)
        yield begin, start, solve(matrix)[real]


def _blocks(union: SortedUnion, loops: Tensor, solve: Callable[[Callable, Tensor], Tensor], count: int) -> Rows:
    """The components after the first ``count``, columns of each block by block."""
    bounds = union.ptr[count:].tolist()
    for begin, end in pairwise(bounds):
        size = end - begin
        pointers, column, weight = union.edges(begin, end)
        loop = torch.arange(size, device=column.device)
        edges = torch.cat([torch.stack([expand_ptr(pointers, column.numel()), column]), loop.expand(2, -1)], 1)
        weight = torch.cat([weight, loops[begin:end]])
        apply = partial(aggregate, adj=CSR.from_edge_index(edges, size), edge_weight=weight)
        width = max(1, _COLUMN_CELLS.get(loops.device.type, _COLUMN_CELLS["cpu"]) // size)
        for low in range(0, size, width):
            chosen = loop[low : low + width]
            unit = weight.new_zeros(size, chosen.numel())
            unit[chosen, torch.arange(chosen.numel(), device=chosen.device)] = 1
            # S is symmetric: its columns are its rows.
            yield begin + low, torch.full_like(chosen, begin), solve(apply, unit).t()


def _entries(
    begin: int, start: Tensor, values: Tensor, floor: float, top_k: int | None, epsilon: float
) -> tuple[Tensor, Tensor]:
    """What is kept of every row, as (other end, row) and value."""
    keep = (values > floor) & (values >= epsilon)
    if top_k is not None and top_k < values.size(1):
        smallest = values.topk(top_k, dim=1).values[:, -1:]
        above = values > smallest * (1 + _TIE)
        tied = (values >= smallest * (1 - _TIE)) & ~above
        keep &= above | (tied & (tied.cumsum(1) <= top_k - above.sum(1, keepdim=True)))
    row, column = keep.nonzero().t()
    return torch.stack([start[row] + column, begin + row]), values[keep]


def _page_rank(matrix: Tensor, alpha: float) -> Tensor:
    identity = torch.eye(matrix.size(-1), dtype=matrix.dtype, device=matrix.device)
    return alpha * torch.cholesky_inverse(torch.linalg.cholesky(identity - (1 - alpha) * matrix))


def _heat(matrix: Tensor, t: float) -> Tensor:
    """A sum of non-negative terms, so small entries are as accurate as large ones."""
    squarings = max(0, ceil(log2(t))) if t else 0
    step = t / 2**squarings
    identity = torch.eye(matrix.size(-1), dtype=matrix.dtype, device=matrix.device).expand_as(matrix)
    result = identity
    for term in range(_TAYLOR, 0, -1):
        result = identity + step / term * (matrix @ result)
    result = exp(-step) * result
    for _ in range(squarings):
        result = result @ result
    return result


def _page_rank_columns(apply: Callable[[Tensor], Tensor], unit: Tensor, alpha: float) -> Tensor:
    """Chebyshev iteration for I - (1 - alpha) H, whose eigenvalues lie between alpha and 2 - alpha."""
    reach = 1 - alpha
    rate = reach / (1 + sqrt(1 - reach**2))
    steps = ceil(log(_TOLERANCE / 2) / log(rate)) if rate else 1
    solution, residual = torch.zeros_like(unit), unit
    direction, factor = residual, 1.0
    for step in range(steps):
        if step:
            change = (reach * factor) ** 2 / (2 if step == 1 else 4)
            factor = 1 / (1 - change / factor)
            direction = residual + change * direction
        solution = solution + factor * direction
        residual = residual - factor * (direction - reach * apply(direction))
    return alpha * solution


def _heat_columns(apply: Callable[[Tensor], Tensor], unit: Tensor, t: float) -> Tensor:
    """Taylor series up to the term after which less than the tolerance of the Poisson distribution is left."""
    term, share, rest, count = unit, exp(-t), 1 - exp(-t), 0
    result = share * unit
    while rest > _TOLERANCE:
        count += 1
        share *= t / count
        rest -= share
        term = apply(term)
        result = result + share * term
    return result


_SOLVERS = {"ppr": (_page_rank, _page_rank_columns), "heat": (_heat, _heat_columns)}
"""By kernel: S of stacks of matrices H, and columns of S from the product with H."""

_SETTINGS = {"ppr": lambda alpha, t: {"alpha": alpha}, "heat": lambda alpha, t: {"t": t}}


def _check(kernel: str, alpha: float, t: float, top_k: int | None, epsilon: float, loop_weight: float) -> None:
    if kernel not in _SOLVERS:
        raise ConfigError(f"unknown kernel {kernel!r}", hint=nearest(str(kernel), _SOLVERS))
    if not 0 < alpha <= 1:
        raise ConfigError(f"alpha must be above 0 and at most 1, got {alpha}")
    if not 0 <= t <= _MAX_TIME:
        raise ConfigError(f"t must be between 0 and {_MAX_TIME}, got {t}")
    if (top_k is not None and top_k < 1) or epsilon < 0:
        raise ConfigError(f"top_k must be at least 1 and epsilon at least 0, got {top_k} and {epsilon}")
    if loop_weight < 0:
        raise ConfigError(f"loop_weight must be at least 0, got {loop_weight}")


def _check_budget(union: SortedUnion, degree: Tensor, top_k: int | None, epsilon: float, max_entries: int) -> None:
    """S D^(1/2) 1 = D^(1/2) 1, so the entries of column v sum to at most the root of its degree."""
    sizes = union.ptr.diff()
    count = sizes.repeat_interleave(sizes, output_size=degree.numel()).double()
    count = count.clamp(max=top_k or torch.inf)
    if epsilon:
        count = torch.minimum(count, degree.clamp(min=1).sqrt() / epsilon)
    if (total := float(count.sum())) > max_entries:
        raise BudgetError(
            f"up to {total:,.0f} entries of the diffusion matrix, more than max_entries={max_entries:,}",
            hint=f"lower top_k, raise epsilon, or raise max_entries ({32 * total / 2**30:.1f} GiB)",
        )
