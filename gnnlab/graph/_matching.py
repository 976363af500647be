"""All copies of a pattern in a simple undirected graph, a bounded table of partial matches at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._neighbours import Neighbours, slices
from gnnlab.graph._pattern import Pattern, Placement, matching_order
from gnnlab.ops import ragged_arange

__all__ = ["copies", "ranked"]

_BUDGET = 1 << 20  # rows of a table of partial matches


def ranked(pairs: Tensor, num_nodes: int) -> tuple[Neighbours, Tensor]:
    """The graph of every undirected edge once, renumbered by falling degree, and the node of every new number.

    Conditions on numbers then search from hubs to what is left of them, which bounds the paths through hubs.
    """
    degree = torch.bincount(pairs.flatten(), minlength=num_nodes)
    node = degree.argsort(descending=True, stable=True)
    rank = torch.empty_like(node).index_copy_(0, node, torch.arange(num_nodes, device=node.device))
    return Neighbours.of(rank[pairs].sort(0).values, num_nodes), node


def copies(
    graph: Neighbours, pattern: Pattern, induced: bool, max_matches: int, where: str | None = None
) -> Iterator[Tensor]:
    """Tables [size, R] of nodes: row i holds the images of vertex i, a column is a copy; every copy once.

    Args:
        graph: Searched.
        pattern: Searched for.
        induced: Whether nodes may only be joined where the pattern has an edge.
        max_matches: Most partial matches to look at.
        where: Named in errors.

    Raises:
        BudgetError: before there are more than ``max_matches`` partial matches.
    """
    search = _Search(graph, matching_order(pattern), induced, max_matches, where)
    place = torch.tensor(search.plan.order, device=graph.ptr.device).argsort()
    roots = torch.arange(graph.ptr.numel() - 1, device=graph.ptr.device)
    for table in search.extend(roots[None, graph.degree >= len(pattern.neighbours[search.plan.order[0]])]):
        yield table[place]


@dataclass
class _Search:
    graph: Neighbours
    plan: Placement
    induced: bool
    max_matches: int
    where: str | None
    seen: int = 0

    def extend(self, table: Tensor) -> Iterator[Tensor]:
        """Complete matches from partial ones [steps, R], depth first where tables would become large."""
        step = table.size(0)
        if step == len(self.plan.order):
            yield table
            return
        start, count = self._candidates(table, step)
        self._check(int(count.sum()), step)
        for part in slices(count, _BUDGET):
            found = self._join(table[:, part], start[part], count[part], step)
            if found.size(1):
                yield from self.extend(found)

    def _candidates(self, table: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """First slot and number of the candidates of every row: from the shortest list of a placed neighbour."""
        graph, num_nodes = self.graph, self.graph.ptr.numel() - 1
        parents = table[list(self.plan.adjacent[step])]
        start, stop = graph.ptr[parents], graph.ptr[parents + 1]
        if self.plan.below[step]:
            bound = table[list(self.plan.below[step])].amax(0)
            start = torch.searchsorted(graph.key, parents * num_nodes + bound, right=True)
        count, best = (stop - start).min(0)
        return start.gather(0, best[None])[0], count

    def _join(self, table: Tensor, start: Tensor, count: Tensor, step: int) -> Tensor:
        owner = torch.repeat_interleave(count)
        node = self.graph.column[start[owner] + ragged_arange(count, owner.numel())]
        adjacent = self.plan.adjacent[step]
        # Which list was expanded differs from row to row, so that all are asked.
        for near in adjacent if len(adjacent) > 1 else ():
            kept = self.graph.joined(table[near][owner], node).nonzero().flatten()
            owner, node = owner[kept], node[kept]
        for other in self.plan.apart[step]:
            image = table[other][owner]
            kept = image != node
            if self.induced:
                kept &= ~self.graph.joined(image, node)
            kept = kept.nonzero().flatten()
            owner, node = owner[kept], node[kept]
        return torch.cat([table[:, owner], node[None]])

    def _check(self, candidates: int, step: int) -> None:
        self.seen += candidates
        if self.seen > self.max_matches:
            raise BudgetError(
                f"at least {self.seen:,} partial matches of {step + 1} of {len(self.plan.order)} vertices, "
                f"more than max_matches={self.max_matches:,}",
                where=self.where,
                hint="raise max_matches (1e6 to 1e7 a second), or take smaller patterns or unions",
            )
