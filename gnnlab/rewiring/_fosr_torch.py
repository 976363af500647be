"""First-order spectral additions as tensor programs: all groups of a union at once, any device."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph.buckets import SortedUnion
from gnnlab.ops import expand_ptr
from gnnlab.rewiring._greedy import Steps, no_steps

__all__ = ["LEVELS", "spectral_steps"]

LEVELS = 2.0**30
"""Entries of a vector are rounded to this many steps of the largest one: products are exact, and so are ties."""


def spectral_steps(union: SortedUnion, steps: int, power_steps: int, x: Tensor) -> Steps:
    """In every group, ``steps`` times the pair that is no edge and has the least product ``y_u y_v``.

    Args:
        union: Groups of a simple undirected graph, both directions of every edge.
        steps: Edges per group.
        power_steps: Power iterations before the first edge; one more follows every edge.
        x: [N] by row, where the iteration starts.

    The best partner of a node is the first one, from the other end of the order of ``y``, that is not a neighbour:
    no more than its degree are, so that a step is a sort and O(m + n).
    """
    sizes = union.ptr.diff()
    found = no_steps(sizes, steps)
    if x.numel() == 0:
        return found
    num_edges, count = union.column.numel(), sizes.numel()
    start, group = union.ptr[:-1], expand_ptr(union.ptr, x.numel())
    source = expand_ptr(union.edge_ptr, num_edges)
    edges = torch.cat([torch.stack([source, union.column]), source.new_zeros(2, 2 * steps * count)], 1)
    degree = union.edge_ptr.diff().double()
    for _ in range(power_steps):
        x = _power(x, edges[:, :num_edges], degree, group, count)
    for step in range(steps):
        y = x / (degree + 1).sqrt()
        best, s, t = _least_product(_rounded(y, group, count), edges[:, :num_edges], degree, group, start)
        done = best == _NOTHING
        s, t = torch.where(done, start, s), torch.where(done, start, t)
        if bool(done.all()):
            break
        found.gain[:, step] = torch.where(done, -torch.inf, -y[s] * y[t])
        found.source[:, step], found.target[:, step] = s - start, t - start
        s, t = s[~done], t[~done]
        new = torch.cat([torch.stack([s, t]), torch.stack([t, s])], 1)
        edges[:, num_edges : num_edges + new.size(1)] = new
        num_edges += new.size(1)
        degree.index_add_(0, new[0], torch.ones_like(degree[new[0]]))
        x = _power(x, edges[:, :num_edges], degree, group, count)
    return found


_NOTHING = torch.iinfo(torch.long).max


def _power(x: Tensor, edges: Tensor, degree: Tensor, group: Tensor, count: int) -> Tensor:
    """One step of ``I + D^-1/2 A D^-1/2`` on what is orthogonal to ``D^1/2 1``, per group and to unit length."""

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(count).index_add_(0, group, values)[group]

    root = degree.sqrt()
    scale = torch.where(degree > 0, root, 1.0).reciprocal()
    x = x - total(x * root) * root / total(degree).clamp(min=1)
    x = x + torch.zeros_like(x).index_add_(0, edges[0], (x * scale)[edges[1]]) * scale
    norm = total(x.square()).sqrt()
    return x / torch.where(norm > 0, norm, 1.0)


def _rounded(y: Tensor, group: Tensor, count: int) -> Tensor:
    largest = y.new_zeros(count).scatter_reduce_(0, group, y.abs(), "amax")[group]
    return (y / torch.where(largest > 0, largest, 1.0) * LEVELS).round().long()


def _least_product(
    y: Tensor, edges: Tensor, degree: Tensor, group: Tensor, start: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Least product of every group ([C] long) and the first pair of rows that has it."""
    size = torch.bincount(group, minlength=start.numel())
    rows = torch.arange(y.numel(), device=y.device)
    # Nodes below zero look for the largest partner, the others for the smallest; equals come by row.
    upwards = y >= 0
    orders = torch.stack([_sorted(-y, group), _sorted(y, group)])
    ranks = torch.empty_like(orders).scatter_(1, orders, (rows - start[group]).expand(2, -1))
    slots = degree.long() + 2
    offset = slots.cumsum(0) - slots
    source, taken = torch.cat([edges[0], rows]), torch.cat([edges[1], rows])
    rank = torch.where(upwards[source], ranks[1, taken], ranks[0, taken])
    near = rank < slots[source]
    free = torch.ones(int(slots.sum()), dtype=torch.bool, device=y.device)
    free[(offset[source] + rank)[near]] = False
    owner = rows.repeat_interleave(slots)
    slot = torch.arange(owner.numel(), device=y.device) - offset[owner]
    slot = torch.where(free, slot, _NOTHING)
    first = torch.full_like(y, _NOTHING).scatter_reduce_(0, owner, slot, "amin")
    alone = first >= size[group]
    place = start[group] + torch.where(alone, 0, first)
    partner = torch.where(upwards, orders[1, place], orders[0, place])
    product = torch.where(alone, _NOTHING, y * y[partner])
    best = torch.full_like(start, _NOTHING).scatter_reduce_(0, group, product, "amin")
    leader = torch.where(product == best[group], rows, _NOTHING)
    leader = torch.full_like(start, _NOTHING).scatter_reduce_(0, group, leader, "amin")
    leader = leader.clamp(max=y.numel() - 1)  # a group without rows has none
    other = partner[leader]
    return best, torch.minimum(leader, other), torch.maximum(leader, other)


def _sorted(key: Tensor, group: Tensor) -> Tensor:
    order = key.argsort(stable=True)
    return order[group[order].argsort(stable=True)]
