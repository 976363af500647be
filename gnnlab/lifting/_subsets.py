"""Sets of nodes by their number, and the orders of a set."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from math import comb

import torch
from torch import Tensor

from gnnlab.graph._lookup import lookup
from gnnlab.ops import ragged_arange

__all__ = ["binomials", "cliques", "in_orders", "subsets"]


def binomials(nodes: Tensor, size: int) -> Tensor:
    """[G] float64, C(n, size) of every n."""
    out = torch.ones_like(nodes, dtype=torch.double)
    for i in range(size):
        out = out * (nodes - i).clamp(min=0) / (i + 1)
    return out.round()


def subsets(rank: Tensor, nodes: Tensor, size: int) -> Tensor:
    """[size, S] long, the set with a number among those of the nodes 0 to n - 1, increasing.

    Sets are numbered by their largest node, then the next (the combinatorial number system), which is the same for
    every n. Where n is below ``size``, the set 0 holds all nodes, the last of them repeated.

    Args:
        rank: [S] long.
        nodes: [S] long, n.
        size: At least 1.
    """
    largest = max(int(nodes.max()) if nodes.numel() else 0, size)
    columns = []
    for k in range(size, 0, -1):
        table = torch.tensor([min(comb(c, k), 2**62) for c in range(largest + 1)], device=rank.device)
        node = torch.searchsorted(table, rank, right=True) - 1
        rank = rank - table[node]
        columns.append(node)
    return torch.minimum(torch.stack(columns[::-1]), nodes - 1)


def in_orders(tuples: Tensor, order: Tensor, nodes: Tensor) -> Tensor:
    """[size, S] long, sets in the order of a number; repeated nodes stay behind.

    Args:
        tuples: [size, S] long, as :func:`subsets` gives them.
        order: [S] long, below min(n, size)!.
        nodes: [S] long, n.
    """
    size = tuples.size(0)
    slot = _orders(size).to(order.device)[order].t()
    last = (nodes - 1).clamp(max=size - 1)
    slot = slot.gather(0, torch.minimum(torch.arange(size, device=order.device)[:, None], last))
    return tuples.gather(0, slot)


@lru_cache
def _orders(size: int) -> Tensor:
    """[size!, size], all orders; the first k! of them move the first k places alone."""
    last = size - 1
    return torch.tensor([[last - i for i in reversed(order)] for order in permutations(range(size))])


def cliques(tuples: Tensor, pointers: Tensor, targets: Tensor, keys: Tensor) -> Tensor:
    """[k + 1, S'] long, every set [k, S] with a larger node that is joined to all of its nodes.

    Args:
        tuples: [k, S] long, increasing.
        pointers: [N + 1] long, of the pairs u < v.
        targets: [M] long, v.
        keys: [M] long, u N + v, sorted.
    """
    num_nodes = pointers.numel() - 1
    counts = pointers.diff()[tuples[-1]]
    row = torch.repeat_interleave(counts)
    node = targets[pointers[tuples[-1]][row] + ragged_arange(counts, row.numel())]
    for other in tuples[:-1]:
        found, _ = lookup(keys, other[row] * num_nodes + node)
        row, node = row[found], node[found]
    return torch.cat([tuples[:, row], node[None]])
