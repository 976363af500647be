"""What every graph function asks of its input."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops import expand_ptr

__all__ = ["check_pairs", "check_union"]


def check_union(edge_index: Tensor, ptr: Tensor, edge_weight: Tensor | None = None) -> Tensor:
    """Check the tensors of a disjoint union and return the graph of every node, [N] long.

    Values are looked at on the CPU only, where looking costs no synchronisation.

    Raises:
        GraphError: wrong shape or dtype, an endpoint outside the union, an edge between two graphs, or
            weights that do not match the edges or are not finite.
    """
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.is_floating_point():
        raise GraphError(
            f"edge_index must be an integer tensor of shape [2, E], got {list(edge_index.shape)} of {edge_index.dtype}"
        )
    if ptr.dim() != 1 or ptr.numel() == 0 or ptr.is_floating_point():
        raise GraphError(f"ptr must be an integer tensor of shape [G + 1], got {list(ptr.shape)} of {ptr.dtype}")
    if edge_weight is not None and edge_weight.shape != edge_index.shape[1:]:
        raise GraphError(
            f"edge_weight has shape {list(edge_weight.shape)}, but there are {edge_index.size(1)} edges",
            hint="one scalar per edge is expected",
        )
    num_nodes = int(ptr[-1])
    batch = expand_ptr(ptr, num_nodes)
    if edge_weight is not None and edge_weight.device.type == "cpu" and not bool(edge_weight.isfinite().all()):
        edge = int((~edge_weight.isfinite()).nonzero()[0])
        raise GraphError(f"edge_weight of edge {edge} is {float(edge_weight[edge])}, which is not finite")
    if edge_index.device.type == "cpu" and edge_index.numel():
        low, high = (int(bound) for bound in torch.aminmax(edge_index))
        if low < 0 or high >= num_nodes:
            bad = low if low < 0 else high
            raise GraphError(f"edge_index holds node {bad}, but the union has {num_nodes} nodes")
        crossing = batch[edge_index[0]] != batch[edge_index[1]]
        if bool(crossing.any()):
            edge = int(crossing.nonzero()[0])
            source, target = edge_index[:, edge].tolist()
            raise GraphError(
                f"edge {edge} ({source} -> {target}) joins two graphs of the union",
                hint="edge_index must hold node ids of the union, and ptr the first node of every graph",
            )
    return batch


def check_pairs(pairs: Tensor, num_nodes: int) -> Tensor:
    """Pairs of nodes, as they were given.

    Raises:
        GraphError: not integers of shape [2, P], or nodes outside the union.
    """
    if pairs.dim() != 2 or pairs.size(0) != 2 or pairs.is_floating_point():
        raise GraphError(f"pairs must be integers of shape [2, P], got {list(pairs.shape)} of {pairs.dtype}")
    if pairs.numel() and not (int(pairs.min()) >= 0 and int(pairs.max()) < num_nodes):
        raise GraphError(f"pairs hold nodes outside 0 to {num_nodes - 1}")
    return pairs
