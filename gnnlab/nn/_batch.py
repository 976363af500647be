"""The graphs and the edges of a batch, whoever made it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.ops import CSR, as_csr

__all__ = ["adjacency", "graph_pointer"]


def adjacency(batch: Data, num_nodes: int) -> CSR:
    """The batch's edges; a CSR is built here if the batch does not bring one."""
    adj, edge_index = batch.get("adj"), batch.get("edge_index")
    if adj is None and edge_index is None:
        raise GraphError("the batch has neither 'adj' nor 'edge_index'")
    return as_csr(edge_index, num_nodes) if adj is None else adj


def graph_pointer(batch: Data, x: Tensor) -> Tensor:
    """[G + 1], first node of every graph; a ``Data`` without ``batch`` is one graph."""
    ptr = batch.get("ptr")
    if ptr is not None:
        return ptr
    if batch.get("batch") is not None:
        raise GraphError(
            "the batch has 'batch' but no 'ptr'",
            hint="set ptr to the first node of every graph, followed by the number of nodes",
        )
    return torch.tensor([0, x.size(0)], device=x.device)
