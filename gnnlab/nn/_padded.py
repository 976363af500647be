"""The graphs of a batch side by side in padded tensors: groups of similar size, laid out once per batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph.buckets import size_buckets
from gnnlab.ops import CSR, expand_ptr, ragged_arange
from gnnlab.typing import Adjacency

__all__ = ["PaddedGroup", "PaddedLayout", "padded_layout"]

_GROWTH = 1.25
"""Graphs of a group differ in size by at most this factor,"""

_FEW, _MANY = 2**17, 2**22
"""unless the group has few pairs of nodes; and no group has many unless it is one graph. Chosen by measurement on two
CPU cores."""


class PaddedGroup(NamedTuple):
    """Graphs padded to one size.

    Args:
        rows: Their padded rows.
        shape: (number of graphs, nodes of each).
        mask: [B, 1, 1, n] bool, which are nodes; ``None`` where all are.
    """

    rows: slice
    shape: tuple[int, int]
    mask: Tensor | None


class PaddedLayout(NamedTuple):
    """Where the nodes of a batch lie.

    Args:
        source: [R] long, the node at every padded row. Padding repeats a node of the same graph, so that nothing,
            not even a NaN, gets from one graph to another.
        place: [N] long, the padded row of every node.
        groups: The groups, one after the other.
    """

    source: Tensor
    place: Tensor
    groups: list[PaddedGroup]


@torch.compiler.disable
def padded_layout(num_nodes: int, device: torch.device, adj: Adjacency | None, ptr: Tensor | None) -> PaddedLayout:
    """The layout of a batch; remembered by its CSR, so that the layers of a model share it.

    Args:
        num_nodes: N.
        device: Of the nodes.
        adj: Edges of the batch, in any form.
        ptr: [G + 1] first node of every graph; ``None`` is one graph.

    Raises:
        ConfigError: called while a CUDA graph is recorded.
    """
    if ptr is None or ptr.numel() == 2:
        nodes = torch.arange(num_nodes, device=device)
        return PaddedLayout(nodes, nodes, [PaddedGroup(slice(None), (1, num_nodes), None)] if num_nodes else [])
    if not isinstance(adj, CSR):
        return _layout(ptr, num_nodes)
    # The entry holds the tensor, so that its id names no other one.
    return adj.memo(("padded layout", id(ptr)), lambda: (_layout(ptr, num_nodes), ptr))[0]


def _layout(ptr: Tensor, num_nodes: int) -> PaddedLayout:
    if ptr.is_cuda and torch.cuda.is_current_stream_capturing():
        raise ConfigError(
            "the largest graph of a batch depends on the data, so a step with attention cannot be recorded",
            where="model.capture",
            hint="set model.capture=false",
        )
    sizes, order = torch.sort(ptr.diff(), stable=True)
    nodes = sizes.tolist()
    groups, widths, begin = [], torch.zeros_like(sizes), 0
    for first, last in _ranges(sizes, nodes):
        count, width = last - first, nodes[last - 1]
        real = torch.arange(width, device=ptr.device) < sizes[first:last, None]
        mask = None if nodes[first] == width else real[:, None, None, :]
        groups.append(PaddedGroup(slice(begin, begin + count * width), (count, width), mask))
        widths[first:last] = width
        begin += count * width
    graph = torch.repeat_interleave(order, widths, output_size=begin)
    last_node = ptr.diff()[graph] - 1
    source = ptr[graph] + torch.minimum(ragged_arange(widths, begin), last_node)
    start = torch.empty_like(widths).index_copy_(0, order, widths.cumsum(0) - widths)
    shift = (start - ptr[:-1])[expand_ptr(ptr, num_nodes)]
    return PaddedLayout(source, torch.arange(num_nodes, device=ptr.device) + shift, groups)


def _ranges(sizes: Tensor, nodes: list[int]) -> list[tuple[int, int]]:
    """Ranges of graphs in order of size that make a group; graphs without nodes are in none.

    On a GPU padding is cheaper than launches, so all of them do.
    """
    empty = sum(size == 0 for size in nodes)
    if sizes.is_cuda:
        return [(empty, len(nodes))] if empty < len(nodes) else []
    starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])[empty:]
    ranges: list[tuple[int, int]] = []
    for first, last in size_buckets(starts, sizes[empty:], _MANY, _GROWTH):
        joined = ranges[-1][0] if ranges else empty + first
        if ranges and (empty + last - joined) * nodes[empty + last - 1] ** 2 <= _FEW:
            ranges.pop()
        else:
            joined = empty + first
        ranges.append((joined, empty + last))
    return ranges
