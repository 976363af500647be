"""All pairs of nodes of every graph of a batch: rows for what acts on single pairs, padded blocks for products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gnnlab.graph.buckets import size_buckets
from gnnlab.ops import expand_ptr, gather, ragged_arange, segment_reduce
from gnnlab.typing import Reduce

__all__ = ["DensePairs"]

_GROWTH, _MAX_CELLS = 1.25, 2**22
"""Graphs of a block differ in size by at most this factor, and have at most so many padded pairs unless one has."""


@dataclass(frozen=True, eq=False)
class DensePairs:
    """The P = sum of n^2 pairs (u, v) of a union as rows, sorted by graph, then u, then v.

    Rows hold no padding, so that layers and normalisations of single pairs cannot see any.

    Args:
        ptr: [G + 1] long, first node of every graph.
        pair_ptr: [G + 1] long, first row of every graph.
        root: [P] long, u, a node of the union.
        node: [P] long, v.
        transpose: [P] long, row of (v, u).
        diagonal: [N] long, row of (v, v).
        root_ptr: [N + 1] long, first row of every u.

    Example:
        >>> pairs = DensePairs.of(torch.tensor([0, 2, 3]))
        >>> pairs.root.tolist(), pairs.node.tolist(), pairs.diagonal.tolist()
        ([0, 0, 1, 1, 2], [0, 1, 0, 1, 2], [0, 3, 4])
    """

    ptr: Tensor
    pair_ptr: Tensor
    root: Tensor
    node: Tensor
    transpose: Tensor
    diagonal: Tensor
    root_ptr: Tensor

    @classmethod
    def of(cls, ptr: Tensor) -> DensePairs:
        """All pairs of the graphs that begin at ``ptr``."""
        sizes, num_nodes = ptr.diff(), int(ptr[-1])
        pair_ptr = _starts(sizes**2)
        total = int(pair_ptr[-1])
        graph = expand_ptr(pair_ptr, total)
        within, n = ragged_arange(sizes**2, total), sizes[graph]
        i, j = within // n, within % n
        own = expand_ptr(ptr, num_nodes)
        diagonal = pair_ptr[own] + ragged_arange(sizes, num_nodes) * (sizes[own] + 1)
        return cls(
            ptr, pair_ptr, ptr[graph] + i, ptr[graph] + j, pair_ptr[graph] + j * n + i, diagonal, _starts(sizes[own])
        )

    def place(self, source: Tensor, target: Tensor) -> Tensor:
        """[W] long, row of the pair (source, target) of nodes of one graph."""
        graph = expand_ptr(self.ptr, self.diagonal.numel())[source]
        first = self.ptr[graph]
        return self.root_ptr[source] + target - first

    def rows(self, nodes: Tensor) -> Tensor:
        """[P, d], the state [N, d] of u."""
        return gather(nodes, self.root)

    def columns(self, nodes: Tensor) -> Tensor:
        """[P, d], the state [N, d] of v."""
        return gather(nodes, self.node)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Product of matrices, channel by channel: sum over w of left(u, w) * right(w, v), [P, d]."""
        cell, blocks = self._blocks
        if not blocks:
            return left * right
        total = blocks[-1][1]
        left, right = (x.new_zeros(total, x.size(1)).index_copy(0, cell, x) for x in (left, right))
        parts = []
        for begin, end, n in blocks:
            a, b = (x[begin:end].view(-1, n, n, x.size(1)).permute(0, 3, 1, 2) for x in (left, right))
            parts.append((a @ b).permute(0, 2, 3, 1).reshape(end - begin, -1))
        return torch.cat(parts).index_select(0, cell)

    def graph_pool(self, h: Tensor, reduce: Reduce) -> Tensor:
        """[G, 2 d], the diagonal and the other pairs of every graph, reduced."""
        off, graph_ptr, _ = self._off_diagonal
        parts = [
            segment_reduce(h.index_select(0, self.diagonal), self.ptr, reduce),
            segment_reduce(h.index_select(0, off), graph_ptr, reduce),
        ]
        return torch.cat(parts, 1)

    def node_pool(self, h: Tensor, reduce: Reduce) -> Tensor:
        """[N, 2 d], the diagonal pair of every node u and its other pairs (u, v), reduced."""
        off, _, node_ptr = self._off_diagonal
        others = segment_reduce(h.index_select(0, off), node_ptr, reduce)
        return torch.cat([h.index_select(0, self.diagonal), others], 1)

    @cached_property
    def _off_diagonal(self) -> tuple[Tensor, Tensor, Tensor]:
        off = (self.root != self.node).nonzero().flatten()
        each = torch.arange(self.root_ptr.numel(), device=off.device)
        return off, self.pair_ptr - self.ptr, self.root_ptr - each

    @cached_property
    def _blocks(self) -> tuple[Tensor, list[tuple[int, int, int]]]:
        """Padded cell of every row, and the blocks of cells: first, last, nodes of a graph."""
        sizes, order = torch.sort(self.ptr.diff(), stable=True)
        nodes = sizes.tolist()
        start, width = torch.zeros_like(sizes), torch.zeros_like(sizes)
        blocks, begin = [], 0
        for first, last in size_buckets(_starts(sizes), sizes, _MAX_CELLS, _GROWTH):
            n = nodes[last - 1]
            if n == 0:
                continue
            end = begin + (last - first) * n * n
            start[order[first:last]] = torch.arange(begin, end, n * n, device=start.device)
            width[order[first:last]] = n
            blocks.append((begin, end, n))
            begin = end
        graph = expand_ptr(self.pair_ptr, self.root.numel())
        first = self.ptr[graph]
        return start[graph] + (self.root - first) * width[graph] + self.node - first, blocks


def _starts(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
