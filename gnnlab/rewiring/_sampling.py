"""Pairs of nodes that are no edges, drawn at random inside components."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph import connected_components
from gnnlab.graph._neighbours import Neighbours
from gnnlab.graph._noise import pair_noise
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.rewiring._pairs import ranks, unordered

__all__ = ["random_non_edges"]

_SPARSE = 4
"""Candidates per edge wanted from which drawing beats enumerating."""


class _Components(NamedTuple):
    """Nodes by component, components by graph, and the ordered pairs of nodes of a component counted through.

    Args:
        node: [N] long, nodes by component.
        start: [C] long, first place in ``node`` of every component.
        size: [C] long.
        before: [C + 1] long, ordered pairs of different nodes in the components before.
        graph: [C] long, graph of every component.
    """

    node: Tensor
    start: Tensor
    size: Tensor
    before: Tensor
    graph: Tensor

    @classmethod
    def of(cls, edges: Tensor, ptr: Tensor) -> _Components:
        num_nodes = int(ptr[-1])
        component = connected_components(edges, num_nodes)
        size = torch.bincount(component)
        graph = torch.zeros_like(size).index_copy_(0, component, expand_ptr(ptr, num_nodes))
        before = torch.cat([size.new_zeros(1), (size * (size - 1)).cumsum(0)])
        return cls(torch.argsort(component, stable=True), size.cumsum(0) - size, size, before, graph)

    def pair(self, number: Tensor) -> Tensor:
        """[2, P], the ordered pairs with these numbers."""
        component = torch.searchsorted(self.before, number, right=True) - 1
        rest, others = number - self.before[component], self.size[component] - 1
        first, second = rest // others, rest % others
        second += second >= first
        return self.node[self.start[component] + torch.stack([first, second])]


class _Plan(NamedTuple):
    """What both ways of choosing look at; ``pairs`` [G] are the ordered pairs inside the components of a graph."""

    components: _Components
    neighbours: Neighbours
    edges: Tensor
    ptr: Tensor
    pairs: Tensor
    seed: int


def random_non_edges(edges: Tensor, ptr: Tensor, count: int, seed: int, max_pairs: int) -> tuple[Tensor, Tensor]:
    """Up to ``count`` non-edges of every graph [2, A] (low, high), and the order [A] they came in, from 1.

    Args:
        edges: [2, 2M] long, the simple undirected graph, both directions.
        ptr: [G + 1] long, first node of every graph.
    """
    graphs = ptr.numel() - 1
    components = _Components.of(edges, ptr)
    pairs = torch.zeros_like(ptr[1:]).index_add_(0, components.graph, components.before.diff())
    free = pairs - torch.bincount(expand_ptr(ptr, int(ptr[-1]))[edges[0]], minlength=graphs)
    wanted = (free // 2).clamp(max=count)
    drawn = free // 2 >= _SPARSE * wanted
    # Draws until enough of them are free, new and no mirror image of another; pairs, where all are looked at.
    work = torch.where(drawn, 2 * wanted * pairs.double() / free.clamp(min=1), pairs)[wanted > 0].sum()
    if work > max_pairs:
        raise BudgetError(
            f"choosing {count:,} edges per graph looks at about {int(work):,} pairs of nodes (limit {max_pairs:,})",
            hint="add fewer edges, or raise max_pairs",
        )
    plan = _Plan(components, Neighbours.of(edges[:, edges[0] < edges[1]], int(ptr[-1])), edges, ptr, pairs, seed)
    parts = _enumerate(plan, wanted * ~drawn), _draw(plan, wanted * drawn, free)
    return torch.cat([part[0] for part in parts], 1), torch.cat([part[1] for part in parts])


def _enumerate(plan: _Plan, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs of lowest noise among all that are no edges."""
    components = plan.components
    chosen = (wanted[components.graph] > 0).nonzero().flatten()
    counts = components.before.diff()[chosen]
    pairs = components.pair(components.before[chosen].repeat_interleave(counts) + ragged_arange(counts))
    pairs = pairs[:, (pairs[0] < pairs[1]) & ~plan.neighbours.joined(*pairs)]
    graph = expand_ptr(plan.ptr)[pairs[0]]
    noise = pair_noise(pairs, plan.edges, plan.ptr, plan.seed)
    rank = ranks(torch.bincount(graph, minlength=wanted.numel()), noise, noise)
    kept = rank < wanted[graph]
    return pairs[:, kept], rank[kept] + 1


def _draw(plan: _Plan, wanted: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """The first pairs that are no edges and new in a sequence of random ones; draws double until it is long enough."""
    components, ptr = plan.components, plan.ptr
    before = plan.pairs.cumsum(0) - plan.pairs
    draws = (2 * wanted * plan.pairs / free.clamp(min=1)).ceil().long() + 8
    pending = (wanted > 0).nonzero().flatten()
    found, orders = [wanted.new_empty(2, 0)], [wanted.new_empty(0)]
    while pending.numel():
        graph, turn = pending.repeat_interleave(draws[pending]), ragged_arange(draws[pending])
        uniform = pair_noise(torch.stack([ptr[graph], ptr[graph] + turn]), plan.edges, ptr, plan.seed)
        pairs = components.pair(before[graph] + (uniform * plan.pairs[graph]).long())
        free_ones = (~plan.neighbours.joined(*pairs)).nonzero().flatten()
        pairs, first = unordered(pairs[:, free_ones], components.node.numel(), free_ones)
        first, sorting = first.sort()
        graph = graph[first]
        count = torch.bincount(graph, minlength=wanted.numel())
        order = ragged_arange(count, graph.numel()) + 1
        kept = (order <= wanted[graph]) & (count >= wanted)[graph]
        found.append(pairs[:, sorting[kept]])
        orders.append(order[kept])
        pending = pending[count[pending] < wanted[pending]]
        draws *= 2
    return torch.cat(found, 1), torch.cat(orders)
