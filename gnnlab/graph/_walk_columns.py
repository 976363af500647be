"""Products of a sparse matrix with an identity whose columns are shared by nodes too far apart to be confused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from gnnlab.graph.buckets import SortedUnion, size_buckets, sort_union
from gnnlab.graph.components import Layers
from gnnlab.ops import expand_ptr

__all__ = ["Block", "WalkColumns", "share_columns"]


@dataclass(frozen=True)
class WalkColumns:
    """Components as rows of one sparse matrix, narrowest first, and the column of every row.

    Args:
        union: The rows and their entries.
        width: [C] long, number of columns of the component at every place.
        column: [N] long, column of every row.
    """

    union: SortedUnion
    width: Tensor
    column: Tensor

    def blocks(self, cells: int) -> Iterator[Block]:
        """Ranges of rows, and of columns in them, of about ``cells`` cells each."""
        starts, widths = self.union.ptr.tolist(), self.width.tolist()
        for first, last in size_buckets(self.union.ptr, self.width, cells):
            begin, end, width = starts[first], starts[last], widths[last - 1]
            matrix = self.union.edges(begin, end)
            column = self.column[begin:end]
            step = min(width, max(16, cells // (end - begin)))
            for low in range(0, width, step):
                yield Block(begin, end, low, min(low + step, width), column, *matrix)


@dataclass(frozen=True)
class Block:
    """Rows ``[begin, end)`` and columns ``[low, high)``; ``column`` is that of every row."""

    begin: int
    end: int
    low: int
    high: int
    column: Tensor
    pointers: Tensor
    target: Tensor
    weight: Tensor

    def own(self) -> tuple[Tensor, Tensor]:
        """Rows (counted from ``begin``) whose column is in the block, and the flat place of that entry."""
        inside = ((self.column >= self.low) & (self.column < self.high)).nonzero().squeeze(1)
        return inside, self.place(inside, self.column[inside])

    def place(self, row: Tensor, column: Tensor) -> Tensor:
        """Flat places of entries, rows counted from ``begin``."""
        return row * (self.high - self.low) + column - self.low

    def identity(self, home: Tensor) -> Tensor:
        """[rows, columns], ones at the places ``home``."""
        state = self.weight.new_zeros(self.end - self.begin, self.high - self.low)
        state.view(-1)[home] = 1
        return state

    def step(self, state: Tensor) -> Tensor:
        """The matrix times ``state``."""
        return embedding_bag(
            self.target, state, self.pointers, mode="sum", per_sample_weights=self.weight, include_last_offset=True
        )


def share_columns(edge_index: Tensor, weight: Tensor, layers: Layers, reach: int) -> WalkColumns:
    """Number the columns along a breadth-first order, modulo the most nodes in ``reach + 1`` consecutive layers.

    Two nodes of a column are then more than ``reach`` layers apart, hence more than ``reach`` steps.

    Args:
        edge_index: [2, E] long.
        weight: [E], entry of every edge; rows of the matrix are sources.
        layers: Breadth-first layers of these edges.
        reach: Largest number of layers between nodes that must not meet.
    """
    component, depth, position = layers
    width = _largest_window(component, depth, position, reach)
    union = sort_union(edge_index, weight, component, position, width)
    width = width[union.group]
    column = torch.empty_like(position).index_copy_(0, union.row, position)
    column %= width[expand_ptr(union.ptr, column.numel())]
    return WalkColumns(union, width, column)


def _largest_window(component: Tensor, depth: Tensor, position: Tensor, reach: int) -> Tensor:
    """[C] long, the largest number of nodes in ``reach + 1`` consecutive layers of every component."""
    sizes = torch.bincount(component)
    start = sizes.cumsum(0) - sizes
    stride = int(depth.max()) + reach + 1
    key = torch.empty_like(depth).index_copy_(0, start[component] + position, component * stride + depth)
    window = torch.searchsorted(key, key + reach, right=True) - torch.arange(key.numel(), device=key.device)
    return torch.zeros_like(sizes).scatter_reduce_(0, key // stride, window, "amax")
