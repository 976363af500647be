"""Undirected edges that come and go step by step, and what became of them in the end."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.rewiring._edits import Edits, both_ways

__all__ = ["EdgeSet"]


class EdgeSet(NamedTuple):
    """The undirected edges of a union at some step.

    Args:
        pairs: [2, M] long, row 0 < row 1, in lexicographic order.
        order: [M] long, the step in which an edge was added, 0 for those of the beginning.
        num_nodes: Of the union.
    """

    pairs: Tensor
    order: Tensor
    num_nodes: int

    @classmethod
    def start(cls, pairs: Tensor, num_nodes: int) -> EdgeSet:
        return cls(pairs, torch.zeros_like(pairs[0]), num_nodes)

    def replace(self, dropped: Tensor, added: Tensor, step: int) -> EdgeSet:
        """Without the edges ``dropped`` ([M] bool), with the pairs ``added`` [2, A], which may repeat what is there."""
        new = _keys(added, self.num_nodes).unique()
        kept = _keys(self.pairs, self.num_nodes)[~dropped]
        new = new[~torch.isin(new, kept)]
        key, place = torch.cat([kept, new]).sort()
        order = torch.cat([self.order[~dropped], torch.full_like(new, step)])[place]
        width = max(self.num_nodes, 1)
        return EdgeSet(torch.stack([key // width, key % width]), order, self.num_nodes)

    def edits(self, first: Tensor, edge_index: Tensor) -> Edits:
        """What changed between the pairs ``first`` [2, M'] of the edges ``edge_index`` [2, E] and now.

        An edge that came and went again is none, one that went and came back was never gone. Edges go in both
        directions with all their repetitions, self-loops stay.
        """
        now = _keys(self.pairs, self.num_nodes)
        new = ~torch.isin(now, _keys(first, self.num_nodes))
        gone = ~torch.isin(_keys(edge_index, self.num_nodes), now) & (edge_index[0] != edge_index[1])
        return both_ways(self.pairs[:, new], self.order[new])._replace(removed=gone)


def _keys(pairs: Tensor, num_nodes: int) -> Tensor:
    return pairs.amin(0) * num_nodes + pairs.amax(0)
