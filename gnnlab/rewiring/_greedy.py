"""Greedy additions of edges: every component has its own sequence, and those of a graph are merged."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.graph.buckets import SortedUnion

__all__ = ["TOLERANCE", "Steps", "merged", "no_steps"]

TOLERANCE = 1e-9
"""Scores that differ by less than this, relatively, are tied; the first pair wins."""


class Steps(NamedTuple):
    """The greedy sequence of every component of a sorted union, as if it were alone.

    An edge in one component changes nothing in another one: the sequence of a graph is made of these.
    ``gain`` [C, k] float64 is -inf where nothing was left to add; ``source`` < ``target`` [C, k] long count
    the nodes of the component in the order of their ids.
    """

    gain: Tensor
    source: Tensor
    target: Tensor


def no_steps(sizes: Tensor, steps: int) -> Steps:
    """``steps`` per component, none of them taken yet."""
    gain = torch.full((sizes.numel(), steps), -torch.inf, dtype=torch.float64, device=sizes.device)
    return Steps(gain, *torch.zeros(2, sizes.numel(), steps, dtype=torch.long, device=sizes.device))


def merged(steps: Steps, union: SortedUnion, graph: Tensor, num_graphs: int) -> tuple[Tensor, Tensor]:
    """The best ``k`` additions of every graph.

    Args:
        steps: By place in ``union``; gains of the components of a graph are comparable.
        union: Components of a union, whose ids follow the order of their first nodes.
        graph: [C] long, graph of every component, by id.
        num_graphs: G.

    Shapes:
        returns pairs [2, A] of node ids of the union and their order [A], from 1 in every graph.
    """
    by_id = union.group.argsort()
    gain, source, target = (column[by_id] for column in steps)
    order = _order(gain, graph, num_graphs)
    component, step = order.nonzero(as_tuple=True)
    node = union.row.argsort()
    start = union.ptr[by_id[component]]
    pairs = torch.stack([node[start + column[component, step]] for column in (source, target)])
    return pairs, order[component, step]


def _order(gain: Tensor, graph: Tensor, num_graphs: int) -> Tensor:
    """[C, k] when every step of every component is taken in its graph, from 1; 0 for never."""
    num_components, steps = gain.shape
    open_ = gain.isfinite()
    order = open_.cumsum(1) * open_
    rivals = torch.bincount(graph[open_.any(1)], minlength=num_graphs) > 1
    rival = rivals[graph].nonzero().flatten()
    if rival.numel() == 0:
        return order
    ends = torch.cat([gain[rival], gain.new_full((rival.numel(), 1), -torch.inf)], 1)
    graph, number = graph[rival], torch.arange(rival.numel(), device=rival.device)
    head, taken = torch.zeros_like(rival), torch.zeros_like(ends, dtype=torch.long)
    for step in range(1, steps + 1):
        value = ends.gather(1, head[:, None]).squeeze(1)
        best = value.new_full((num_graphs,), -torch.inf).scatter_reduce_(0, graph, value, "amax")[graph]
        tied = (value >= best - TOLERANCE * best.abs()) & value.isfinite()
        first = torch.full((num_graphs,), num_components, device=graph.device)
        first.scatter_reduce_(0, graph, torch.where(tied, number, num_components), "amin")
        winner = first[first < num_components]
        taken[winner, head[winner]] = step
        head[winner] += 1
    order[rival] = taken[:, :steps]
    return order
