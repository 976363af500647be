"""Edges without which their ends would not be connected."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph import breadth_first_layers

__all__ = ["is_bridge"]


def is_bridge(one_way: Tensor, num_nodes: int, seed: int = 0) -> Tensor:
    r"""Whether an edge lies on no cycle, so that its resistance is 1.

    Every edge outside a breadth-first forest carries a random flow of whole numbers modulo :math:`2^{64}`, which
    returns through the forest. An edge of the forest that lies on no cycle carries nothing; any other carries the
    sum of random numbers, which is zero with probability :math:`2^{-64}`.

    Cost: O(N + E) time and memory, in as many steps as the forest is deep.

    Args:
        one_way: [2, M] long, every edge of a simple undirected graph once.
        num_nodes: N.
        seed: Of the flows.

    Shapes:
        returns [M] bool

    Example:
        >>> is_bridge(torch.tensor([[0, 1, 0, 2], [1, 2, 2, 3]]), num_nodes=4).tolist()
        [False, False, False, True]
    """
    depth = breadth_first_layers(one_way, num_nodes).depth
    upward = torch.where(depth[one_way[0]] > depth[one_way[1]], one_way, one_way.flip(0))  # from the deeper end
    number = torch.arange(one_way.size(1))
    by_tree = torch.full((num_nodes,), one_way.size(1))
    steps = depth[upward[0]] > depth[upward[1]]
    by_tree.scatter_reduce_(0, upward[0][steps], number[steps], "amin")
    in_tree = steps & (by_tree[upward[0]] == number)
    child = upward[0][in_tree]
    parent = torch.zeros(num_nodes, dtype=torch.long).index_copy_(0, child, upward[1][in_tree])
    flow = torch.zeros(num_nodes, dtype=torch.long)
    source, target = upward[:, ~in_tree]
    drawn = torch.randint(-(2**63), 2**63 - 1, source.shape, generator=torch.Generator().manual_seed(seed))
    flow.index_add_(0, source, drawn).index_add_(0, target, -drawn)
    below = child[depth[child].argsort(descending=True)]
    for level in below.split(torch.bincount(depth[child]).flip(0).tolist()):
        flow.index_add_(0, parent[level], flow[level])
    return in_tree & (flow[upward[0]] == 0)
