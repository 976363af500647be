"""Sorted neighbourhoods of a simple undirected graph, and where in them a node is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.ops import ragged_arange

__all__ = ["Neighbours", "over_edges", "slices"]


class Neighbours(NamedTuple):
    """Compressed rows of a simple undirected graph, every row in increasing order.

    Args:
        ptr: [N + 1] long, first slot of every node.
        column: [2 M] long, the neighbour in every slot.
        key: [2 M] long, row x N + column: increasing, so that a pair is found by bisection.
    """

    ptr: Tensor
    column: Tensor
    key: Tensor

    @classmethod
    def of(cls, pairs: Tensor, num_nodes: int) -> Neighbours:
        """From every undirected edge once, [2, M]."""
        low, high = pairs
        key = torch.cat([low * num_nodes + high, high * num_nodes + low]).sort().values
        width = max(num_nodes, 1)
        rows = torch.arange(num_nodes + 1, device=pairs.device)
        return cls(torch.searchsorted(key, rows * width), key % width, key)

    @property
    def degree(self) -> Tensor:
        return self.ptr.diff()

    def slot(self, u: Tensor, v: Tensor) -> Tensor:
        """Place of v among the neighbours of u, -1 if it is none; u and v alike in shape."""
        if self.key.numel() == 0:
            return torch.full_like(u, -1)
        wanted = u * (self.ptr.numel() - 1) + v
        place = torch.searchsorted(self.key, wanted)
        found = self.key[place.clamp(max=self.key.numel() - 1)] == wanted
        return torch.where(found, place - self.ptr[u], -1)

    def joined(self, u: Tensor, v: Tensor) -> Tensor:
        """Whether u and v are adjacent."""
        return self.slot(u, v) >= 0

    def expand(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """The neighbours of every entry of ``nodes`` one after the other: whose they are, and which."""
        counts = self.degree[nodes]
        owner = torch.repeat_interleave(counts)
        return owner, self.column[self.ptr[nodes][owner] + ragged_arange(counts, owner.numel())]


def slices(cost: Tensor, budget: int) -> list[slice]:
    """Consecutive ranges that cost about ``budget`` each (a single item may cost more)."""
    _, counts = torch.unique_consecutive(cost.cumsum(0) // budget, return_counts=True)
    stops = counts.cumsum(0).tolist()
    return [slice(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]


def over_edges(values: Tensor, pairs: Tensor, edge_index: Tensor, num_nodes: int) -> Tensor:
    """Values [M] of undirected pairs for the edges of the caller, [E]; 0 for self-loops."""
    if pairs.size(1) == 0:
        return values.new_zeros(edge_index.size(1))
    key = pairs[0] * num_nodes + pairs[1]  # increasing
    low, high = edge_index.min(0).values, edge_index.max(0).values
    place = torch.searchsorted(key, low * num_nodes + high).clamp(max=key.numel() - 1)
    return torch.where(low == high, 0.0, values[place])
