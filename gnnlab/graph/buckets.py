"""Groups of similar size side by side: the layout every padded dense batch and every chunk starts from."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["SortedUnion", "size_buckets", "sort_union"]


@dataclass(frozen=True)
class SortedUnion:
    """A disjoint union relabelled so that groups (graphs, components) follow one another, narrowest first.

    A range of groups is then a range of rows and a range of edges.

    Args:
        group: [C] long, group that lies at every place.
        ptr: [C + 1] long, first row of every place.
        row: [N] long, row of every node of the caller.
        edge_ptr: [N + 1] long, first edge of every row.
        column: [E] long, the other endpoint of every edge, as a row.
        weight: [E], in the same order.
    """

    group: Tensor
    ptr: Tensor
    row: Tensor
    edge_ptr: Tensor
    column: Tensor
    weight: Tensor

    def edges(self, first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows ``[first, last)`` as a compressed matrix: pointers, columns counted from ``first``, weights."""
        pointers = self.edge_ptr[first : last + 1]
        span = slice(int(pointers[0]), int(pointers[-1]))
        return pointers - pointers[0], self.column[span] - first, self.weight[span]

    def blocks(self, first: int, last: int) -> Tensor:
        """Groups ``[first, last)`` as dense matrices [B, n, n], padded with zeros to the largest one."""
        starts = self.ptr[first : last + 1]
        sizes = starts.diff()
        begin, end = int(starts[0]), int(starts[-1])
        width = int(sizes.max())
        pointers, column, weight = self.edges(begin, end)
        padded = expand_ptr(starts, end - begin) * width + ragged_arange(sizes, end - begin)
        rows = padded[expand_ptr(pointers, column.numel())]
        flat = weight.new_zeros((last - first) * width * width)
        flat.index_add_(0, rows * width + padded[column] % width, weight)
        return flat.view(last - first, width, width)


def sort_union(edge_index: Tensor, weight: Tensor, group: Tensor, position: Tensor, width: Tensor) -> SortedUnion:
    """Lay groups out by increasing ``width``; edges are sorted by source row, keeping the caller's order in it.

    Args:
        edge_index: [2, E] long.
        weight: [E].
        group: [N] long, group of every node.
        position: [N] long, place of every node in its group, from 0.
        width: [C] long, what groups are sorted by (stable).
    """
    num_nodes, count = group.numel(), width.numel()
    order = torch.argsort(width, stable=True)
    sizes = torch.bincount(group, minlength=count)
    ptr = torch.cat([sizes.new_zeros(1), sizes[order].cumsum(0)])
    start = torch.empty_like(order).index_copy_(0, order, ptr[:-1])
    row = start[group] + position
    source, permutation = torch.sort(row[edge_index[0]], stable=True)
    edge_ptr = torch.searchsorted(source, torch.arange(num_nodes + 1, device=source.device))
    return SortedUnion(order, ptr, row, edge_ptr, row[edge_index[1]][permutation], weight[permutation])


def size_buckets(ptr: Tensor, width: Tensor, max_cells: int, growth: float | None = None) -> list[tuple[int, int]]:
    """Cut a sequence of groups, narrowest first, into ranges whose padded size stays below ``max_cells``.

    A range has (rows) x (width of its last group) cells; a single group may exceed the bound.

    Args:
        ptr: [C + 1] long, first row of every group.
        width: [C] long, non-decreasing.
        max_cells: Cells per range.
        growth: A range spans widths ``w`` to at most ``growth * w`` (1 = equal widths only); no bound by default.

    Shapes:
        returns ranges ``(first, last)`` of groups that cover all of them in order.

    Example:
        >>> sizes = torch.tensor([2, 2, 3, 9])
        >>> size_buckets(torch.tensor([0, 2, 4, 7, 16]), sizes, max_cells=21)
        [(0, 3), (3, 4)]
    """
    rows, widths = ptr.tolist(), width.tolist()
    ranges, first = [], 0
    while first < len(widths):
        start = rows[first]
        stop = len(widths)
        if growth is not None:
            stop = bisect_right(widths, growth * widths[first])
        candidates = range(first, stop)
        fitting = bisect_right(candidates, max_cells, key=lambda g, start=start: (rows[g + 1] - start) * widths[g])
        last = first + max(fitting, 1)
        ranges.append((first, last))
        first = last
    return ranges
