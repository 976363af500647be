"""Destination order, and both compressed adjacencies of every graph, computed once when a store is built."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnlab.data._columns import Layout, narrow

__all__ = ["LocalCSR", "destination_order"]


@dataclass(frozen=True)
class LocalCSR:
    """Row starts and transposed slots, counted within each graph.

    Args:
        row_starts: [N, 2] first slot of every destination row and of every source row.
        transposed: [E, 2] destination, and slot in destination order, of every edge in source order.
    """

    row_starts: Tensor
    transposed: Tensor

    @classmethod
    def build(cls, edges: Tensor, nodes: Layout, layout: Layout) -> LocalCSR:
        """Args: ``edges`` [E, 2] local (source, destination), destination-sorted within each graph."""
        source, destination = _global_ids(edges, nodes, layout)
        order = torch.argsort(source, stable=True)
        edge_start = layout.ptr[:-1]
        starts = [_starts(ids, nodes, edge_start) for ids in (destination, source[order])]
        slot = order - torch.repeat_interleave(edge_start, layout.sizes, output_size=layout.total)
        transposed = torch.stack([edges[:, 1].long()[order], slot], 1)
        return cls(narrow(torch.stack(starts, 1)), narrow(transposed))

    def to(self, device: torch.device | str) -> LocalCSR:
        return LocalCSR(self.row_starts.to(device), self.transposed.to(device))


def destination_order(edges: Tensor, nodes: Layout, layout: Layout) -> Tensor | None:
    """[E] permutation that sorts the edges of every graph by destination (stable); ``None`` if they are."""
    destination = _global_ids(edges, nodes, layout)[1]
    if bool((destination[1:] >= destination[:-1]).all()):
        return None
    return torch.argsort(destination, stable=True)


def _global_ids(edges: Tensor, nodes: Layout, layout: Layout) -> tuple[Tensor, Tensor]:
    shift = torch.repeat_interleave(nodes.ptr[:-1], layout.sizes, output_size=layout.total)
    return edges[:, 0] + shift, edges[:, 1] + shift


def _starts(sorted_ids: Tensor, nodes: Layout, edge_start: Tensor) -> Tensor:
    first = torch.searchsorted(sorted_ids, torch.arange(nodes.total))
    return first - torch.repeat_interleave(edge_start, nodes.sizes, output_size=nodes.total)
