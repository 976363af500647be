"""Breadth-first search from many nodes at once, as a tensor program: one step per hop."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["distance_table", "pairs_within", "walk_bound"]

_VISITS = 1 << 22
"""Visits of one range of sources: a few hundred megabytes at the worst."""


def distance_table(
    pointers: Tensor, targets: Tensor, home: Tensor, begin: int, end: int, width: int, cutoff: int
) -> Tensor:
    """[end - begin, width] int32, distances from the nodes ``[begin, end)``, by place in their graph.

    Args:
        pointers: [N + 1] long, first edge of every source.
        targets: [E] long.
        home: [N] long, first node of the graph of every node.
    """
    node = torch.arange(begin, end, device=targets.device)
    table = torch.full(((end - begin) * width,), -1, dtype=torch.int32, device=targets.device)
    base = (node - begin) * width - home[node]
    table[base + node] = 0
    for distance in range(1, cutoff + 1):
        which, node = _neighbours(pointers, targets, node)
        base = base[which]
        new = table[base + node] == -1
        base, node = base[new], node[new]
        if node.numel() == 0:
            break
        # Whoever writes last into a cell goes on from there: every cell is visited once.
        ticket = -2 - torch.arange(node.numel(), dtype=torch.int32, device=node.device)
        table[base + node] = ticket
        last = table[base + node] == ticket
        base, node = base[last], node[last]
        table[base + node] = distance
    return table.view(end - begin, width)


def pairs_within(pointers: Tensor, targets: Tensor, k: int, max_pairs: int) -> tuple[Tensor, Tensor] | None:
    """Pairs [2, P] at distance 1 to ``k``, and the distance [P]; ``None`` if there are more than ``max_pairs``."""
    visits = walk_bound(pointers, targets, k).clamp(max=targets.numel())
    ranges = ((visits.cumsum(0) - visits) // _VISITS).unique_consecutive(return_counts=True)[1].tolist()
    found, begin, total = [], 0, 0
    for count in ranges:
        found.append(_from_range(pointers, targets, begin, begin + count, k))
        begin += count
        total += found[-1][1].numel()
        if total > max_pairs:
            return None
    if not found:
        return targets.new_empty(2, 0), targets.new_empty(0)
    pairs, distance = zip(*found, strict=True)
    return torch.cat(pairs, 1), torch.cat(distance)


def walk_bound(pointers: Tensor, targets: Tensor, k: int) -> Tensor:
    """[N] long, number of walks of 1 to ``k`` steps from every node: no fewer than it has nodes within k hops."""
    source = expand_ptr(pointers, targets.numel())
    ending = torch.ones(pointers.numel() - 1, dtype=torch.float64, device=targets.device)
    total = torch.zeros_like(ending)
    for _ in range(k):
        ending = torch.zeros_like(ending).index_add_(0, source, ending[targets]).clamp_(max=2.0**40)
        total += ending
    return total.clamp_(max=2.0**40).long()


def _from_range(pointers: Tensor, targets: Tensor, begin: int, end: int, k: int) -> tuple[Tensor, Tensor]:
    num_nodes = pointers.numel() - 1
    node = torch.arange(begin, end, device=targets.device)
    layers = [node * num_nodes + node]
    for _ in range(k):
        which, node = _neighbours(pointers, targets, layers[-1] % num_nodes)
        reached = ((layers[-1] // num_nodes)[which] * num_nodes + node).unique()
        for layer in layers:
            place = torch.searchsorted(layer, reached).clamp_(max=layer.numel() - 1)
            reached = reached[layer[place] != reached]
        if reached.numel() == 0:
            break
        layers.append(reached)
    key = torch.cat(layers[1:]) if len(layers) > 1 else targets.new_empty(0)
    sizes = torch.tensor([layer.numel() for layer in layers[1:]], dtype=torch.long, device=targets.device)
    distance = torch.repeat_interleave(torch.arange(1, len(layers), device=key.device), sizes, output_size=key.numel())
    source, order = torch.sort(key // num_nodes, stable=True) if num_nodes else (key, key)
    return torch.stack([source, key[order] % max(num_nodes, 1)]), distance[order]


def _neighbours(pointers: Tensor, targets: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
    """All edges out of ``node`` [R]: the place in it each edge leaves from, and where it leads."""
    first, degree = pointers[node], pointers[node + 1] - pointers[node]
    which = torch.repeat_interleave(torch.arange(node.numel(), device=node.device), degree)
    return which, targets[first[which] + ragged_arange(degree, which.numel())]
