"""The simple undirected graph that most graph algorithms are about."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.graph._check import check_union

__all__ = ["undirected_edges"]


def undirected_edges(edge_index: Tensor, ptr: Tensor, symmetrise: bool = False) -> Tensor:
    """Every undirected edge once, without self-loops and repetitions.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        returns [2, M] long with row 0 < row 1, in lexicographic order.

    Raises:
        GraphError: an edge without its reverse, or tensors that do not describe a union.

    Example:
        >>> undirected_edges(torch.tensor([[2, 1, 0, 1, 1], [1, 2, 1, 0, 1]]), torch.tensor([0, 3])).tolist()
        [[0, 1], [1, 2]]
    """
    num_nodes = max(check_union(edge_index, ptr).numel(), 1)
    source, target = edge_index[:, edge_index[0] != edge_index[1]]
    key = torch.minimum(source, target) * num_nodes + torch.maximum(source, target)
    upward, downward = (key[direction].unique() for direction in (source < target, source > target))
    if symmetrise:
        upward = torch.cat([upward, downward]).unique()
    elif not torch.equal(upward, downward):
        both = torch.cat([upward, downward])
        values, counts = both.unique(return_counts=True)
        lonely = int(values[counts == 1][0])
        raise GraphError(
            f"nodes {lonely // num_nodes} and {lonely % num_nodes} are joined in one direction only",
            hint="symmetrise=True takes every edge for both directions",
        )
    return torch.stack([upward // num_nodes, upward % num_nodes])
