"""Index arithmetic on ragged rows: families of different sizes laid end to end."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import GraphError

__all__ = ["INT32_MAX", "check_size", "complete_edge_index", "expand_ptr", "iota", "ragged_arange", "row_pointers"]

INT32_MAX = 2**31 - 1
"""Largest index of a kernel."""


def ragged_arange(counts: Tensor, total: int | None = None) -> Tensor:
    """``0 .. counts[i] - 1`` for every ``i``, concatenated.

    Args:
        counts: [G] integer, not negative.
        total: ``counts.sum()``, if known: saves a device synchronisation.

    Shapes:
        [G] -> [counts.sum()] long

    Example:
        >>> ragged_arange(torch.tensor([2, 0, 3])).tolist()
        [0, 1, 0, 1, 2]
    """
    counts = counts.long()
    total = int(counts.sum()) if total is None else total
    starts = counts.cumsum(0) - counts
    return torch.arange(total, device=counts.device) - torch.repeat_interleave(starts, counts, output_size=total)


def expand_ptr(ptr: Tensor, total: int | None = None) -> Tensor:
    """The row every element belongs to; the ``batch`` vector of a ``ptr``.

    Args:
        ptr: [G + 1] integer, first element of every row.
        total: ``ptr[-1]``, if known: saves a device synchronisation.

    Shapes:
        [G + 1] -> [ptr[-1]] long

    Example:
        >>> expand_ptr(torch.tensor([0, 2, 2, 5])).tolist()
        [0, 0, 2, 2, 2]
    """
    rows = torch.arange(ptr.numel() - 1, device=ptr.device)
    return torch.repeat_interleave(rows, ptr.diff(), output_size=total)


def complete_edge_index(ptr: Tensor) -> Tensor:
    r"""All ordered pairs :math:`u \neq v` inside every graph of a union, in lexicographic order.

    Args:
        ptr: [G + 1] integer, first node of every graph.

    Shapes:
        [G + 1] -> [2, sum of n (n - 1)] long

    Example:
        >>> complete_edge_index(torch.tensor([0, 2, 3])).tolist()
        [[0, 1], [1, 0]]
    """
    nodes = ptr.diff().long()
    graph = expand_ptr(ptr)
    others = (nodes - 1)[graph]
    source = expand_ptr(torch.cat([others.new_zeros(1), others.cumsum(0)]))
    target = ragged_arange(others, source.numel()) + ptr[graph][source]
    return torch.stack([source, target + (target >= source)])


def check_size(size: int, what: str) -> None:
    """Kernels count in 32 bits: refuse what does not fit before an index wraps."""
    if size > INT32_MAX:
        raise GraphError(f"{size} {what} do not fit 32-bit indices", hint="split the graph, or sample neighbourhoods")


def iota(size: int, like: Tensor) -> Tensor:
    """[size] int32, ``0 .. size - 1`` on the device of ``like``."""
    return torch.arange(size, dtype=torch.int32, device=like.device)


def row_pointers(sorted_rows: Tensor, num_rows: int) -> Tensor:
    """[num_rows + 1] int32, first position of every row in a sorted row index."""
    bounds = torch.arange(num_rows + 1, dtype=sorted_rows.dtype, device=sorted_rows.device)
    return torch.searchsorted(sorted_rows, bounds, out_int32=True)
