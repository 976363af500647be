"""Greedy total resistance on large graphs: two sketches in place of the pseudo-inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.graph._random_signs import random_signs
from gnnlab.graph.laplacian_solver import LaplacianSolver
from gnnlab.graph.sketch import biharmonic_sketch, resistance_sketch
from gnnlab.ops import expand_ptr, segment_reduce

__all__ = ["SketchedPairs", "sketched_gtr_pairs"]

_SWEEPS = (0, 1, 0, 1)  # the end that stays while a better partner is looked for
_TOLERANCE = 1e-6


class SketchedPairs(NamedTuple):
    """``pairs`` [2, P] as chosen, ``order`` [P] (step from 1), ``gain`` [P] (decrease of the total, not a sketch)."""

    pairs: Tensor
    order: Tensor
    gain: Tensor


@torch.no_grad()
def sketched_gtr_pairs(
    edge_index: Tensor, ptr: Tensor, num_edges: int, dimensions: int = 64, seed: int = 0
) -> SketchedPairs:
    r"""Pairs whose addition lowers the total resistance most, one per graph and step, near-greedily.

    The gain :math:`n B_{st}^2 / (1 + R_{st})` of a pair is estimated from sketches Z (of :math:`L^+`) and Y (of
    :math:`W^{1/2} B L^+`). The ends of every column of Z, lowest and highest node of a component, are candidates;
    the best is improved by looking for the best partner of either end among all nodes. One solution
    :math:`v = L^+ (e_s - e_t)` then updates both sketches exactly,

    .. math:: Z \leftarrow Z - \frac{(Z_s - Z_t) v^\top}{1 + R_{st}}, \qquad
              Y \leftarrow Y - \frac{(Y_s - Y_t - q) v^\top}{1 + R_{st}}

    with q the random column of the new edge. A step costs one solution and O(N k) for all graphs together.
    A graph that is nearly complete may end before its last pair is found.

    Args:
        edge_index: [2, E] long, simple undirected edges in both directions.
        ptr: [G + 1] long, first node of every graph.
        num_edges: Pairs per graph; fewer where no pair is left.
        dimensions: Columns k of each sketch: estimates err by sqrt(2 / k) (rms).
        seed: Of the sketches.
    """
    state = _Sketches(edge_index, ptr, dimensions, seed)
    chosen, order, gains = [], [], []
    for step in range(num_edges):
        pair = state.best()
        if pair.size(1) == 0:
            break
        gains.append(state.add(pair, step))
        chosen.append(pair)
        order.append(torch.full_like(pair[0], step + 1))
    if not chosen:
        return SketchedPairs(edge_index[:, :0], edge_index[0, :0], ptr.new_zeros(0, dtype=torch.float64))
    return SketchedPairs(torch.cat(chosen, 1), torch.cat(order), torch.cat(gains))


@dataclass(frozen=True)
class _Update:
    """``column`` [N] and its divisor [N] of one step: what the pseudo-inverse of every graph lost."""

    column: Tensor
    divisor: Tensor


class _Sketches:
    """Both sketches of a union whose graphs grow by one edge each per step."""

    def __init__(self, edge_index: Tensor, ptr: Tensor, dimensions: int, seed: int) -> None:
        self.edges, self.ptr, self.original, self.seed = edge_index, ptr, edge_index, seed
        self.solver = LaplacianSolver(edge_index, ptr)
        self.component, self.size = self.solver.component, self.solver.sizes.double()
        self.resistance = resistance_sketch(edge_index, ptr, dimensions, seed=seed).rows
        self.biharmonic = biharmonic_sketch(edge_index, ptr, dimensions, seed=seed).rows
        self.updates: list[_Update] = []
        self.graph = expand_ptr(ptr)

    def best(self) -> Tensor:
        """[2, g], at most one pair per graph."""
        if self.graph.numel() == 0:
            return self.edges[:, :0]
        index = self.component[:, None].expand_as(self.biharmonic)
        ends = []
        for mode, least in (("amin", torch.inf), ("amax", -torch.inf)):
            extreme = self.biharmonic.new_full((self.size.numel(), index.size(1)), least)
            extreme.scatter_reduce_(0, index, self.biharmonic, mode)
            ends.append(_first_equal(self.biharmonic, extreme[self.component], index, self.size.numel()).flatten())
        candidates = torch.stack(ends)
        pair = candidates[:, self._argmax(self._gain(*candidates), self.graph[candidates[0]])]
        every = torch.arange(self.graph.numel(), device=pair.device)
        for side in _SWEEPS:
            anchor = pair[side]
            gain = self._gain(anchor[self.graph], every)
            gain[self.edges[1, anchor[self.graph[self.edges[0]]] == self.edges[0]]] = 0
            pair[1 - side] = self._argmax(gain, self.graph)
        return pair[:, (gain[pair[0]] > 0) & (self.ptr.diff() > 0)]

    def add(self, pair: Tensor, step: int) -> Tensor:
        """Put the pairs, at most one per graph, into the graphs; returns by how much the totals fall."""
        source, target = pair
        b = torch.zeros(self.component.numel(), 1, dtype=torch.float64, device=pair.device)
        b[source], b[target] = 1.0, -1.0
        column = self.solver.solve(b, _TOLERANCE).x.flatten()
        owner = self.graph[source]
        for update in self.updates:
            column = column - update.column / update.divisor * self._spread(
                update.column[source] - update.column[target], owner
            )
        divisor = self._spread(1 + column[source] - column[target], owner, 1.0)
        self.updates.append(_Update(column, divisor))
        change = (column / divisor)[:, None]
        k = self.resistance.size(1)
        signs = random_signs(pair, self.original, self.ptr, self.seed + 1 + step, 0, k) / k**0.5
        for rows, drop in ((self.biharmonic, 0.0), (self.resistance, signs)):
            difference = rows[source] - rows[target] - drop
            spread = rows.new_zeros(self.ptr.numel() - 1, k)
            spread[owner] = difference
            rows -= change * spread[self.graph]
        self.edges = torch.cat([self.edges, pair, pair.flip(0)], 1)
        return (segment_reduce(column.square(), self.ptr, "sum")[owner] / divisor[source]) * self.size[
            self.component[source]
        ]

    def _gain(self, source: Tensor, target: Tensor) -> Tensor:
        """[P] estimated gains; 0 between components and for a node with itself."""
        distance = (self.biharmonic[source] - self.biharmonic[target]).square().sum(1)
        resistance = (self.resistance[source] - self.resistance[target]).square().sum(1)
        joined = self.component[source] == self.component[target]
        return torch.where(joined, self.size[self.component[source]] * distance / (1 + resistance), 0.0)

    def _argmax(self, gain: Tensor, owner: Tensor) -> Tensor:
        """[G] position of the first largest gain of every graph, any for a graph without one."""
        count = self.ptr.numel() - 1
        largest = gain.new_full((count,), -torch.inf).scatter_reduce_(0, owner, gain, "amax")
        first = _first_equal(gain[:, None], largest[owner, None], owner[:, None], count).flatten()
        return first.clamp(max=gain.numel() - 1)

    def _spread(self, value: Tensor, owner: Tensor, default: float = 0.0) -> Tensor:
        """One value of some graphs -> [N], the default elsewhere."""
        out = value.new_full((self.ptr.numel() - 1,), default)
        out[owner] = value
        return out[self.graph]


def _first_equal(values: Tensor, wanted: Tensor, index: Tensor, count: int) -> Tensor:
    """[count, k]: first row of every segment at which the values are the wanted ones."""
    n = values.size(0)
    row = torch.arange(n, device=values.device)[:, None].expand_as(values)
    row = torch.where(values == wanted, row, n)
    return torch.full((count, values.size(1)), n, device=values.device).scatter_reduce_(0, index, row, "amin")
