"""Reductions without a graph: over consecutive rows, over rows that share an index, and the reverse."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._check import check_index, check_ptr, same_kind
from gnnlab.ops._layout import grouped, segments
from gnnlab.ops._reduce import reduce_rows

__all__ = ["gather", "scatter_reduce", "segment_expand", "segment_reduce"]


def segment_reduce(src: Tensor, ptr: Tensor, reduce: str = "sum") -> Tensor:
    """Reduce consecutive rows: graph pooling, given the ``ptr`` of a batch.

    Args:
        src: Rows to reduce, segment after segment.
        ptr: First row of every segment, and the number of rows at the end.
        reduce: ``"sum"``, ``"mean"``, ``"max"`` or ``"min"``; an empty segment gives 0.

    Shapes:
        src [M, ...], ptr [G + 1] -> [G, ...]

    Raises:
        GraphError: ``src`` not floating, or a ``ptr`` that does not run from 0 to M.
        ConfigError: an unknown ``reduce``.

    Example:
        >>> segment_reduce(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0, 2, 2, 3]), "max").tolist()
        [2.0, 0.0, 5.0]
    """
    (src,) = same_kind(src=src)
    check_ptr(ptr, src.size(0), src)
    return reduce_rows(src, segments(ptr, src.size(0)), reduce)


def segment_expand(x: Tensor, ptr: Tensor, total: int) -> Tensor:
    """Repeat row g once for every element of segment g: graph states for their nodes. The transpose of a segment sum.

    Args:
        x: One row per segment.
        ptr: First element of every segment, and the number of elements at the end.
        total: That number.

    Shapes:
        x [G, ...], ptr [G + 1] -> [total, ...]

    Raises:
        GraphError: ``x`` not floating or not of G rows, or a ``ptr`` that does not run from 0 to ``total``.

    Example:
        >>> segment_expand(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 2, 2, 3]), 3).tolist()
        [1.0, 1.0, 3.0]
    """
    (x,) = same_kind(x=x)
    check_ptr(ptr, total, x)
    if x.size(0) != ptr.size(0) - 1:
        raise GraphError(f"x has {x.size(0)} rows, but ptr has {ptr.size(0) - 1} segments")
    return reduce_rows(x, segments(ptr, total).t, "sum")


def scatter_reduce(src: Tensor, index: Tensor, dim_size: int, reduce: str = "sum") -> Tensor:
    """Reduce the rows that share an index, in their order (deterministic: sorted, no atomics).

    Args:
        src: Rows to reduce.
        index: Output row of every row.
        dim_size: Number of output rows.
        reduce: ``"sum"``, ``"mean"``, ``"max"`` or ``"min"``; an output row nobody names gives 0.

    Shapes:
        src [M, ...], index [M] -> [dim_size, ...]

    Raises:
        GraphError: ``src`` not floating, lengths that differ, or (on the CPU) an index out of range.
        ConfigError: an unknown ``reduce``.

    Example:
        >>> scatter_reduce(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1, 0, 1]), 3).tolist()
        [2.0, 6.0, 0.0]
    """
    (src,) = same_kind(src=src)
    check_index(index, dim_size, src)
    if index.size(0) != src.size(0):
        raise GraphError(f"index has {index.size(0)} elements, src {src.size(0)} rows")
    return reduce_rows(src, grouped(index, dim_size), reduce)


def gather(x: Tensor, index: Tensor) -> Tensor:
    """Rows of ``x`` by index. Unlike indexing, the gradient is a sorted sum: fast, and the same bits every run.

    Args:
        x: Rows.
        index: Row wanted at every place.

    Shapes:
        x [N, ...], index [M] -> [M, ...]

    Raises:
        GraphError: an index that is no vector of integers, or (on the CPU) out of range.

    Example:
        >>> gather(torch.tensor([10.0, 20.0]), torch.tensor([1, 1, 0])).tolist()
        [20.0, 20.0, 10.0]
    """
    check_index(index, x.size(0), x)
    if not (x.requires_grad and torch.is_grad_enabled()):
        return x.index_select(0, index)
    return reduce_rows(x, grouped(index, x.size(0)).t, "sum")
