"""Orthonormal columns for every graph of a union: thin QR by Cholesky factorisation, graphs of a size together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.graph.buckets import size_buckets
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["Stacks", "orthonormal_columns", "stacks"]

_GROWTH = 1.5
"""Largest graph of a stack over its smallest one."""

_TOLERANCE = 1e-8
"""Square of the distance, relative to its norm, at which a column counts as a combination of the ones before it."""


class Stacks(NamedTuple):
    """Rows of a union in padded stacks, one after the other.

    ``place`` [N] long says where a row lies among all ``rows``, padding included (``None``: where it was); ``shapes``
    holds (graphs, rows per graph) of every stack, ``width`` how many columns are orthogonalised together.
    """

    place: Tensor | None
    rows: int
    shapes: list[tuple[int, int]]
    width: int


def stacks(ptr: Tensor, width: int) -> Stacks:
    """Where the graphs of a union go so that those of similar size form dense stacks.

    Args:
        ptr: [G + 1] long, first node of every graph.
        width: Columns that are orthogonalised together.
    """
    sizes = ptr.diff()
    order = sizes.argsort(stable=True)
    ordered = sizes[order]
    first = torch.cat([ptr[:1], ordered.cumsum(0)])
    ranges = size_buckets(first, ordered, max_cells=1 << 62, growth=_GROWTH)
    widest = ordered.tolist()
    shapes = [(last - begin, widest[last - 1]) for begin, last in ranges]
    counts, widths = torch.tensor(shapes, dtype=torch.long, device=ptr.device).view(-1, 2).t()
    padded = widths.repeat_interleave(counts)
    start = torch.empty_like(padded).index_copy_(0, order, padded.cumsum(0) - padded)
    graph = expand_ptr(ptr)
    total = sum(count * rows for count, rows in shapes)
    if len(shapes) == 1 and total == graph.numel():  # graphs of one size lie as they should
        return Stacks(None, total, shapes, width)
    return Stacks(start[graph] + ragged_arange(sizes, graph.numel()), total, shapes, width)


def orthonormal_columns(x: Tensor, layout: Stacks) -> Tensor:
    """[N, C] Q factors of [N, C]: of every graph's rows, in groups of ``layout.width`` columns.

    The diagonal of R is positive. A column that depends on those before it becomes zero.
    """
    with torch.autocast(x.device.type, enabled=False):
        exact = x.double()
        if layout.place is not None:
            exact = x.new_zeros(layout.rows, x.size(1), dtype=torch.double).index_copy(0, layout.place, exact)
        parts = exact.split([count * rows for count, rows in layout.shapes])
        solved = []
        for part, (count, rows) in zip(parts, layout.shapes, strict=True):
            groups = part.view(count, rows, x.size(1) // max(layout.width, 1), layout.width).transpose(1, 2)
            solved.append(_factor(groups).transpose(1, 2).reshape(part.shape).to(x.dtype))
        if not solved:
            return x
        joined = solved[0] if len(solved) == 1 else torch.cat(solved)
        return joined if layout.place is None else joined.index_select(0, layout.place)


def _factor(x: Tensor) -> Tensor:
    """Q of matrices [..., n, k] in float64."""
    gram = x.mT @ x
    square = gram.diagonal(dim1=-2, dim2=-1)
    positive = square > 0
    scale = torch.where(positive, torch.where(positive, square, 1).rsqrt(), 0)
    gram = gram * scale[..., None] * scale[..., None, :]
    keep = _independent(gram.detach()).to(gram.dtype)
    gram = gram * keep[..., None] * keep[..., None, :] + torch.diag_embed(1 - keep)
    lower = torch.linalg.cholesky_ex(gram).L
    # The inverse of R is small, and well conditioned where its columns are independent.
    inverse = torch.linalg.solve_triangular(lower, torch.diag_embed(keep), upper=False).mT
    return x @ (scale[..., None] * inverse)


def _independent(gram: Tensor) -> Tensor:
    """[..., k] columns that do not depend on the ones before, from inner products [..., k, k] of unit columns."""
    if not gram.is_cuda:  # where looking costs nothing: most often all of them
        factor = torch.linalg.cholesky_ex(gram)
        pivots = factor.L.diagonal(dim1=-2, dim2=-1).square()
        if not bool(factor.info.any()) and bool((pivots > _TOLERANCE).all()):
            return torch.ones_like(pivots, dtype=torch.bool)
    lower, keep = torch.zeros_like(gram), []
    for column in range(gram.size(-1)):
        row = lower[..., column, :column]
        rest = gram[..., column] - (lower[..., :column] @ row[..., None])[..., 0]
        pivot = rest[..., column]
        keep.append(pivot > _TOLERANCE)
        lower[..., column] = rest * torch.where(keep[-1], pivot, torch.inf).rsqrt()[..., None]
    return torch.stack(keep, -1) if keep else gram.new_zeros(gram.shape[:-1], dtype=torch.bool)
