"""Searches in sorted keys, work cut into ranges, and degrees inside groups of nodes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.ops import ragged_arange

__all__ = ["Neighbours", "common_neighbours", "induced_degrees", "lookup", "neighbours", "ranges"]

_VISITS = 1 << 22
"""Candidates looked at in one go: about 200 MB at the worst."""


class Neighbours(NamedTuple):
    """A simple undirected graph: row ``pointers`` [N + 1], sorted ``targets`` [E], ``key`` [E] = row N + target."""

    pointers: Tensor
    targets: Tensor
    key: Tensor


def neighbours(edges: Tensor, num_nodes: int) -> Neighbours:
    """The table of ``edges`` [2, M], every undirected edge once."""
    key = torch.cat([edges[0] * num_nodes + edges[1], edges[1] * num_nodes + edges[0]]).sort().values
    nodes = torch.arange(num_nodes + 1, device=key.device)
    return Neighbours(torch.searchsorted(key, nodes * num_nodes), key % max(num_nodes, 1), key)


def induced_degrees(size: Tensor, vertex: Tensor, label: Tensor, labels: int, graph: Neighbours) -> Tensor:
    """[R, labels] long, number of neighbours with every label that a member has in its group.

    Args:
        size: [groups] long, members of every group.
        vertex: [R] long, nodes of the groups one after the other, increasing in each.
        label: [R] long, label of every member.
    """
    num_nodes = max(graph.pointers.numel() - 1, 1)
    group = torch.repeat_interleave(size, output_size=vertex.numel())
    first = size.cumsum(0) - size
    key = group * num_nodes + vertex
    degree = graph.pointers.diff()[vertex]
    # Either the neighbours of a vertex are looked up in its group, or the members of the group among its neighbours.
    ask_neighbours = degree <= size[group]
    cost = torch.minimum(degree, size[group])
    counts = [vertex.new_empty(0)]
    for begin, end in ranges(cost):
        row = torch.repeat_interleave(cost[begin:end]) + begin
        rank = ragged_arange(cost[begin:end], row.numel())
        direct = ask_neighbours[row]
        near, far = row[direct], row[~direct]
        wanted = graph.targets[graph.pointers[vertex[near]] + rank[direct]]
        found, place = lookup(key, group[near] * num_nodes + wanted)
        member = first[group[far]] + rank[~direct]
        joined, _ = lookup(graph.key, vertex[far] * num_nodes + vertex[member])
        cell = torch.cat([near[found], far[joined]]) - begin
        cell = cell * labels + label[torch.cat([place[found], member[joined]])]
        counts.append(torch.bincount(cell, minlength=(end - begin) * labels))
    return torch.cat(counts).view(-1, labels)


def common_neighbours(pairs: Tensor, graph: Neighbours) -> tuple[Tensor, Tensor]:
    """What both nodes of every pair are joined to: the number [P], and the nodes pair after pair, increasing."""
    num_nodes = max(graph.pointers.numel() - 1, 1)
    degree = graph.pointers.diff()
    few, many = torch.where(degree[pairs[0]] <= degree[pairs[1]], pairs, pairs.flip(0))
    cost, owner, nodes = degree[few], [], []
    for begin, end in ranges(cost):
        pair = torch.repeat_interleave(cost[begin:end]) + begin
        node = graph.targets[graph.pointers[few[pair]] + ragged_arange(cost[begin:end], pair.numel())]
        found, _ = lookup(graph.key, many[pair] * num_nodes + node)
        owner.append(pair[found])
        nodes.append(node[found])
    none = pairs.new_empty(0)
    return torch.bincount(torch.cat([none, *owner]), minlength=pairs.size(1)), torch.cat([none, *nodes])


def ranges(cost: Tensor) -> list[tuple[int, int]]:
    """Consecutive ranges of rows that cost about ``_VISITS`` each, all rows covered."""
    if cost.numel() == 0:
        return []
    ends = ((cost.cumsum(0) - cost) // _VISITS).unique_consecutive(return_counts=True)[1].cumsum(0).tolist()
    return list(zip([0, *ends], ends, strict=False))


def lookup(table: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Which of ``wanted`` [W] are in the sorted ``table``, and where."""
    if table.numel() == 0:
        return torch.zeros_like(wanted, dtype=torch.bool), torch.zeros_like(wanted)
    place = torch.searchsorted(table, wanted).clamp_(max=table.numel() - 1)
    return table[place] == wanted, place
