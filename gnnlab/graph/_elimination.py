"""Exact elimination of nodes with one or two neighbours from a Laplacian system, in a logarithmic number of rounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Elimination", "Round", "eliminate"]

_SMALL, _WORTHWHILE = 1000, 0.02  # a larger graph is rebuilt only for a round that removes this share of it


@dataclass(frozen=True)
class Round:
    """Nodes that leave together, no two of them adjacent.

    ``node`` [r], ``ends`` [2, r] (their neighbours; the same one twice for a leaf), ``share`` [2, r] (of the
    conductance of a node, 0 for the second end of a leaf) and ``degree`` [r].
    """

    node: Tensor
    ends: Tensor
    share: Tensor
    degree: Tensor


@dataclass(frozen=True)
class Elimination:
    """What is left of a graph after elimination, and the way there and back.

    A node whose neighbours a and b conduct by :math:`c_a` and :math:`c_b` is replaced by an edge ab of
    :math:`c_a c_b / (c_a + c_b)`: one step of the block factorisation :math:`L = U^\\top \\mathrm{diag}(d, L') U`.
    Trees and cycles end as one node per component, and so does most of what has treewidth two.

    Args:
        rounds: In order.
        core: [n] long, the nodes left, increasing.
        edges: [2, m] long, positions in ``core``, both directions, sorted.
        weight: [m], conductances.
        mass: [m], entries of :math:`T^\\top T` (T continues a vector of the core to all nodes) along the edges.
        own_mass: [n], its diagonal.
        sum_mass: [n], :math:`T^\\top 1`.
        kirchhoff: [C], :math:`\\sum_v (n_c (T^\\top T)_{vv} - (T^\\top 1)_v^2) / d_v` over the nodes eliminated from
            component c of :math:`n_c` nodes, their part of its total effective resistance.
    """

    rounds: tuple[Round, ...]
    core: Tensor
    edges: Tensor
    weight: Tensor
    mass: Tensor
    own_mass: Tensor
    sum_mass: Tensor
    kirchhoff: Tensor

    def down(self, b: Tensor) -> Tensor:
        """[N, k] -> the same with what the core has to carry in the rows of the core."""
        b = b.clone()
        for step in self.rounds:
            gone = b[step.node]
            for end, share in zip(step.ends, step.share, strict=True):
                b.index_add_(0, end, share[:, None] * gone)
        return b

    def up(self, x: Tensor, b: Tensor) -> Tensor:
        """The solution [n, k] on the core and the outcome of :meth:`down` -> the solution [N, k] everywhere."""
        out = torch.zeros_like(b)
        out[self.core] = x
        for step in reversed(self.rounds):
            carried = sum(share[:, None] * out[end] for end, share in zip(step.ends, step.share, strict=True))
            out[step.node] = carried + b[step.node] / step.degree[:, None]
        return out


def eliminate(edges: Tensor, weight: Tensor, component: Tensor) -> Elimination:
    """Eliminate while it pays.

    Args:
        edges: [2, E] long, both directions, no self-loops; parallel edges conduct together.
        weight: [E] float64, positive.
        component: [N] long, component of every node.
    """
    num_nodes = component.numel()
    size = torch.bincount(component)
    own, total = weight.new_ones(num_nodes), weight.new_ones(num_nodes)
    kirchhoff = weight.new_zeros(size.numel())
    edges, values = _coalesce(edges, torch.stack([weight, torch.zeros_like(weight)]), num_nodes)
    alive = torch.ones(num_nodes, dtype=torch.bool, device=edges.device)
    rounds: list[Round] = []
    generator = torch.Generator().manual_seed(0)
    remaining = num_nodes
    while True:
        chosen = _independent(edges, torch.randperm(num_nodes, generator=generator).to(edges.device))
        count = int(chosen.sum())
        if count == 0 or (remaining > _SMALL and count < _WORTHWHILE * remaining):
            break
        node = chosen.nonzero().flatten()
        first = torch.searchsorted(edges[0], node)
        # A second neighbour, or the first once more with no share.
        leaf = torch.searchsorted(edges[0], node, right=True) == first + 1
        places = torch.stack([first, torch.where(leaf, first, first + 1)])
        (conductance, along), ends = values[:, places], edges[1][places]
        conductance, along = (torch.stack([part[0], part[1].masked_fill(leaf, 0)]) for part in (conductance, along))
        degree = conductance.sum(0)
        share = conductance / degree
        rounds.append(Round(node, ends, share, degree))
        owner = component[node]
        kirchhoff.index_add_(0, owner, (size[owner] * own[node] - total[node].square()) / degree)
        for side in range(2):
            own.index_add_(0, ends[side], share[side] * (2 * along[side] + share[side] * own[node]))
            total.index_add_(0, ends[side], share[side] * total[node])
        bridge = ends[:, ~leaf]
        between = share[0] * along[1] + share[1] * along[0] + share[0] * share[1] * own[node]
        added = torch.stack([conductance[0] * share[1], between])[:, ~leaf]
        kept = ~(chosen[edges[0]] | chosen[edges[1]])
        edges = torch.cat([edges[:, kept], bridge, bridge.flip(0)], 1)
        edges, values = _coalesce(edges, torch.cat([values[:, kept], added, added], 1), num_nodes)
        alive &= ~chosen
        remaining -= count
    core = alive.nonzero().flatten()
    place = torch.cumsum(alive, 0) - 1
    return Elimination(tuple(rounds), core, place[edges], values[0], values[1], own[core], total[core], kirchhoff)


def _independent(edges: Tensor, rank: Tensor) -> Tensor:
    """[N] bool: nodes of one or two neighbours that outrank every such neighbour."""
    degree = torch.bincount(edges[0], minlength=rank.numel())
    rank = torch.where((degree == 1) | (degree == 2), rank, -1)
    return rank > torch.full_like(rank, -1).scatter_reduce_(0, edges[0], rank[edges[1]], "amax")


def _coalesce(edges: Tensor, values: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Edges sorted, parallel ones added up."""
    key, inverse = torch.unique(edges[0] * num_nodes + edges[1], return_inverse=True)
    summed = values.new_zeros(values.size(0), key.numel()).index_add_(1, inverse, values)
    return torch.stack([key // max(num_nodes, 1), key % max(num_nodes, 1)]), summed
