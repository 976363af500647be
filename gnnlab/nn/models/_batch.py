"""What a model reads from a batch besides its features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.models._message_passing import Edges
from gnnlab.ops import CSR, as_csr, complete_edge_index

__all__ = ["complete_edges", "edges_of", "graph_pointer"]


def edges_of(batch: Data, edge_attr: Tensor | EdgeTable | None, num_nodes: int) -> Edges:
    """The batch's edges; a CSR is built here, once, if the batch does not bring one."""
    adj, edge_index = batch.get("adj"), batch.get("edge_index")
    if adj is None and edge_index is None:
        raise GraphError("the batch has neither 'adj' nor 'edge_index'")
    if adj is None:
        adj = as_csr(edge_index, num_nodes)
    if edge_index is None:
        edge_index = adj.edge_index
    return Edges(adj, edge_index, edge_attr, batch.get("edge_weight"))


def complete_edges(ptr: Tensor, num_nodes: int) -> Edges:
    """Every ordered pair of different nodes of the same graph, without edge data."""
    edge_index = complete_edge_index(ptr)
    return Edges(CSR.from_edge_index(edge_index, num_nodes), edge_index)


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
