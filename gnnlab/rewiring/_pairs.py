"""Choices among pairs of nodes: ranks inside segments, and every unordered pair once."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph import undirected_edges
from gnnlab.graph._engine import engine
from gnnlab.graph.buckets import size_buckets

__all__ = ["ranks", "simple_edges", "unordered"]

_CELLS = 1 << 18
"""Cells of one padded block of segments."""


def simple_edges(edge_index: Tensor, ptr: Tensor, symmetrise: bool) -> Tensor:
    """[2, 2M], the simple undirected graph with every edge in both directions."""
    edges = undirected_edges(edge_index, ptr, symmetrise)
    return torch.cat([edges, edges.flip(0)], 1)


def unordered(pairs: Tensor, num_nodes: int, *labels: Tensor) -> tuple[Tensor, ...]:
    """Every unordered pair once as (low, high), in lexicographic order, and the labels of its first mention."""
    low, high = torch.minimum(*pairs), torch.maximum(*pairs)
    key, order = torch.sort(low * num_nodes + high, stable=True)
    new = torch.ones_like(key, dtype=torch.bool)
    new[1:] = key[1:] != key[:-1]
    order = order[new]
    return torch.stack([low[order], high[order]]), *(label[order] for label in labels)


def ranks(sizes: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """[P] long, place of every element in the order of its segment, from 0.

    Args:
        sizes: [S] long, elements of every segment; segments follow one another.
        first: [P] floating, decides.
        second: [P] floating, decides where ``first`` is equal; then the place does.
    """
    return engine(sizes.device, _ranks, "gnnlab.rewiring._ranks_numba:ranks")(sizes, first, second)


def _ranks(sizes: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Segments of similar size are sorted in one padded block."""
    rank = torch.empty(first.numel(), dtype=torch.long, device=sizes.device)
    starts = sizes.cumsum(0) - sizes
    sizes, order = torch.sort(sizes, stable=True)
    starts = starts[order]
    bounds = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    for begin, end in size_buckets(bounds, sizes, _CELLS, growth=1.25):
        place = torch.arange(int(sizes[end - 1]), device=sizes.device)
        padding = place >= sizes[begin:end, None]
        element = (starts[begin:end, None] + place).masked_fill_(padding, 0)
        # Padding stays behind real infinities: it was behind them, and sorting is stable.
        order = second[element].masked_fill_(padding, torch.inf).argsort(dim=1, stable=True)
        key = first[element].masked_fill_(padding, torch.inf).gather(1, order)
        order = order.gather(1, key.argsort(dim=1, stable=True))
        rank[element.gather(1, order)[~padding]] = place.expand_as(element)[~padding]
    return rank
