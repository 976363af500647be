"""Random graphs that look like molecules: bounded degree, few small rings."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.data.readers._union import undirected

__all__ = ["molecule_like_graphs"]

_VALENCE = 4
_SPREAD = 0.15
_NODES_PER_RING = 8
_SMALLEST, _RING_HOPS = 8, (4, 5)
"""Fewest nodes, and the distances a closure bridges: rings of five and six."""


def molecule_like_graphs(count: int, mean_nodes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random trees of maximum degree 4, and about one ring of five or six for every eight nodes.

    All graphs grow a node, then close a ring, at a time. Sizes are normal with a standard deviation of 15 %.

    Args:
        count: Graphs.
        mean_nodes: Nodes of a graph on average.
        generator: Source of all draws.

    Shapes:
        returns edges [2, E] of the union in both directions, and nodes [count]

    Example:
        >>> edges, sizes = molecule_like_graphs(50, 23, torch.Generator().manual_seed(0))
        >>> int(torch.bincount(edges[0]).max())
        4
    """
    sizes = (mean_nodes * (1 + _SPREAD * torch.randn(count, generator=generator))).round().long().clamp(min=_SMALLEST)
    width, row = int(sizes.max()), torch.arange(count)
    joined = torch.zeros(count, width, width, dtype=torch.bool)
    for node in range(1, width):
        free = joined[:, :node].sum(2) < _VALENCE
        parent = torch.where(free, torch.rand(count, node, generator=generator), -1.0).argmax(1)
        grows = node < sizes
        joined[row[grows], parent[grows], node] = True
        joined[row[grows], node, parent[grows]] = True
    for closure in range(int(sizes.max()) // _NODES_PER_RING):
        free = (joined.sum(2) < _VALENCE) & (torch.arange(width) < sizes[:, None])
        start = torch.where(free, torch.rand(count, width, generator=generator), -1.0).argmax(1)
        far = _at_hops(joined, start) & free
        end = torch.where(far, torch.rand(count, width, generator=generator), -1.0).argmax(1)
        closes = far.any(1) & free[row, start] & (closure < sizes // _NODES_PER_RING)
        joined[row[closes], start[closes], end[closes]] = True
        joined[row[closes], end[closes], start[closes]] = True
    graph, source, target = joined.nonzero().unbind(1)
    first = sizes.cumsum(0) - sizes
    return undirected(torch.stack([source, target]) + first[graph], int(sizes.sum())), sizes


def _at_hops(joined: Tensor, start: Tensor) -> Tensor:
    """[G, n] bool, nodes four or five hops from a start in every graph."""
    reached = torch.nn.functional.one_hot(start, joined.size(1)).bool()
    found = torch.zeros_like(reached)
    for hops in range(1, _RING_HOPS[1] + 1):
        grown = reached | (joined & reached[:, :, None]).any(1)
        if hops >= _RING_HOPS[0]:
            found |= grown & ~reached
        reached = grown
    return found
