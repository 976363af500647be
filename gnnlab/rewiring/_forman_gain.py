"""Balanced Forman curvature of an edge after another edge has been added beside it, for all that could be."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._neighbours import Neighbours, slices
from gnnlab.graph.forman import balanced_forman
from gnnlab.ops import ragged_arange

__all__ = ["Candidates", "edge_candidates"]

_BUDGET, _LARGEST = 1 << 22, 1 << 26  # cells of the tables of pairs of nodes around an edge


class Candidates(NamedTuple):
    """Edges that could be added.

    Args:
        edge: [C] long, beside which edge, increasing.
        pairs: [2, C] long, row 0 < row 1, every pair once for an edge, in lexicographic order.
        curvature: [C] float64, of that edge afterwards.
    """

    edge: Tensor
    pairs: Tensor
    curvature: Tensor


def edge_candidates(graph: Neighbours, edges: Tensor, variant: str) -> Candidates:
    """All pairs (k, l) of different, non-adjacent nodes with k in N(i) + {i}, l in N(j) + {j}, for edges (i, j).

    The curvature of (i, j) depends on the graph that i, j and their neighbours induce, so one table of pairs of
    these nodes holds all candidates, and their effects are sums and maxima of its rows.

    Args:
        graph: A simple undirected graph.
        edges: [2, B] long, edges of it.
        variant: ``"paper"`` or ``"released"``, as in :func:`gnnlab.graph.balanced_forman_curvature`; the released
            method knows no candidates with l = j.

    Raises:
        BudgetError: an edge with more than 8000 nodes around it.
    """
    degree = graph.degree
    cells = (degree[edges[0]] + degree[edges[1]]) ** 2
    if cells.numel() and int(cells.max()) > _LARGEST:
        raise BudgetError(
            f"an edge with {int(cells.max()) ** 0.5:,.0f} nodes around it has {int(cells.max()):,} candidates",
            hint=f"up to {_LARGEST:,} are looked at; rewire without curvature, with FoSR",
        )
    parts = []
    for part in slices(cells, _BUDGET):
        around = _Around.of(graph, edges[:, part], variant)
        found = around.between(variant), around.at_an_end(variant)
        parts.extend(candidates._replace(edge=candidates.edge + part.start) for candidates in found)
    if not parts:
        none = edges.new_zeros(0)
        return Candidates(none, none.expand(2, 0), none.double())
    edge = torch.cat([part.edge for part in parts])
    pairs = torch.cat([part.pairs for part in parts], 1)
    order = (pairs[0] * degree.numel() + pairs[1]).argsort()
    order = order[edge[order].argsort(stable=True)]
    return Candidates(edge[order], pairs[:, order], torch.cat([part.curvature for part in parts])[order])


class _Around(NamedTuple):
    """The nodes around edges (i, j), edge after edge, and the table of all pairs of them.

    Args:
        graph: The graph.
        ends: [2, B] long.
        edge: [L] long, edge of every node.
        node: [L] long.
        at_i, at_j: [L] bool, neighbours of i and of j.
        row, column: [K] long, both nodes of every pair, as places in ``node``.
        joined: [K] bool.
        near, far: [L] bool, nodes that count at i and at j.
        through_near, through_far: [L] long, the squares through them.
    """

    graph: Neighbours
    ends: Tensor
    edge: Tensor
    node: Tensor
    at_i: Tensor
    at_j: Tensor
    row: Tensor
    column: Tensor
    joined: Tensor
    near: Tensor
    far: Tensor
    through_near: Tensor
    through_far: Tensor

    @classmethod
    def of(cls, graph: Neighbours, ends: Tensor, variant: str) -> _Around:
        num_nodes = graph.ptr.numel() - 1
        owner, node = (torch.cat(both) for both in zip(*(graph.expand(end) for end in ends), strict=True))
        key = (owner * num_nodes + node).unique()
        edge, node = key // num_nodes, key % num_nodes
        at_i, at_j = (graph.joined(end[edge], node) for end in ends)
        counts = torch.bincount(edge, minlength=ends.size(1))
        first = counts.cumsum(0) - counts
        row = torch.repeat_interleave(counts[edge])
        column = first[edge][row] + ragged_arange(counts[edge], row.numel())
        joined = graph.joined(node[row], node[column])

        def squares(through: Tensor) -> Tensor:
            return torch.zeros_like(node).index_add_(0, row, (joined & through[column]).long())

        near, far, lost_near, lost_far = at_i, at_j, at_j.long(), at_i.long()
        if variant == "paper":
            near, far = at_i & ~at_j & (node != ends[1][edge]), at_j & ~at_i & (node != ends[0][edge])
            lost_near = lost_far = torch.zeros_like(node)
        through = squares(far) - lost_near, squares(near) - lost_far
        return cls(graph, ends, edge, node, at_i, at_j, row, column, joined, near, far, *through)

    def triangles(self) -> Tensor:
        return self._count(self.at_i & self.at_j)

    def between(self, variant: str) -> Candidates:
        """Candidates that join a neighbour of i to a neighbour of j: one more square through each of the two."""
        near, far, through_near, through_far = self[-4:]
        i, j = self.ends[:, self.edge]
        k_side, l_side = self.at_i & (self.node != j), self.at_j & (self.node != i)
        k, l = self.row, self.column  # noqa: E741
        shared = self.at_i & self.at_j
        twice = shared[k] & shared[l]
        new = (k_side[k] & l_side[l] & ~self.joined & (k != l) & ~(twice & (k > l))).nonzero().flatten()
        k, l, twice = k[new], l[new], twice[new]  # noqa: E741
        # Common neighbours are on no side of a square without diagonals.
        grows = near[k] & far[l]
        through, most = self._summary()
        edge = self.edge[k]
        through, most = through[edge], most[edge]
        changes = [(through_near[k], grows), (through_far[l], grows)]
        if variant == "released":
            changes += [(through_near[l], self.at_i[l] & self.at_j[k]), (through_far[k], self.at_i[l] & self.at_j[k])]
        for value, more in changes:
            through = through + (more & (value == 0))
            most = torch.where(more, torch.maximum(most, value + 1), most)
        d_i, d_j = self.graph.degree[self.ends[:, edge]]
        after = balanced_forman(d_i, d_j, self.triangles()[edge], through, most, variant)
        return _candidates(edge, self.node[k], self.node[l], after)

    def at_an_end(self, variant: str) -> Candidates:
        """Candidates that join i to a neighbour of j, or j to a neighbour of i, and so close a triangle."""
        near, far, through_near, through_far = self[-4:]
        i, j = self.ends[:, self.edge]
        from_i = self.at_j & ~self.at_i & (self.node != i)
        from_j = self.at_i & ~self.at_j & (self.node != j)
        if variant == "released":
            from_j = torch.zeros_like(from_j)
        cells = (from_i | from_j)[self.row].nonzero().flatten()
        new, other, joined = self.row[cells], self.column[cells], self.joined[cells]
        side = from_i[new]  # the end that is joined to ``new`` is i
        own, across = torch.where(side, near[other], far[other]), torch.where(side, far[other], near[other])
        own_value = torch.where(side, through_near[other], through_far[other])
        across_value = torch.where(side, through_far[other], through_near[other])
        itself = other == new
        if variant == "paper":
            # A common neighbour now, ``new`` is the far corner of no square without diagonals any more.
            own_value, across = own_value - (joined & own).long(), across & ~itself
        else:
            end = torch.where(side, i[other], j[other])
            # It is new at that end; what it shares with the other end counts in full.
            regained = torch.where(side, self.at_j[other], self.at_i[other]).long()
            own_value = own_value + regained * itself
            own = own | itself
            across_value = across_value + joined.long() + (self.node[other] == end).long() - itself.long()
        value = torch.maximum(own_value * own, across_value * across)
        through = torch.zeros_like(self.node).index_add_(
            0, new, (own & (own_value > 0)).long() + (across & (across_value > 0)).long()
        )
        most = torch.zeros_like(self.node).scatter_reduce_(0, new, value, "amax")
        chosen = (from_i | from_j).nonzero().flatten()
        edge, side = self.edge[chosen], from_i[chosen]
        d_i, d_j = self.graph.degree[self.ends[:, edge]]
        after = balanced_forman(
            d_i + side, d_j + ~side, self.triangles()[edge] + 1, through[chosen], most[chosen], variant
        )
        end = torch.where(side, *self.ends[:, edge])
        return _candidates(edge, end, self.node[chosen], after)

    def _count(self, mask: Tensor) -> Tensor:
        return torch.bincount(self.edge[mask], minlength=self.ends.size(1))

    def _summary(self) -> tuple[Tensor, Tensor]:
        """Per edge: nodes on both sides with squares, and most squares through one."""
        near, far, through_near, through_far = self[-4:]
        count = self._count(near & (through_near > 0)) + self._count(far & (through_far > 0))
        value = torch.maximum(through_near * near, through_far * far)
        return count, torch.zeros_like(count).scatter_reduce_(0, self.edge, value, "amax")


def _candidates(edge: Tensor, k: Tensor, l: Tensor, curvature: Tensor) -> Candidates:  # noqa: E741
    return Candidates(edge, torch.stack([torch.minimum(k, l), torch.maximum(k, l)]), curvature)
