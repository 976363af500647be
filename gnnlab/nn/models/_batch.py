"""What a model reads from a batch besides its features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import CSR, as_csr, complete_edge_index

__all__ = ["complete_edges", "edges_of", "encoded", "graph_pointer"]


def encoded(encoder: nn.Module | None, batch: Data) -> tuple[Tensor, Tensor | EdgeTable | None]:
    """Node states and edge features: what the encoder makes of the batch, or what it holds."""
    if encoder is not None:
        return encoder(batch)
    x = batch.get("x")
    if x is None or not x.is_floating_point():
        found = "none" if x is None else f"x of {x.dtype}"
        raise GraphError(
            f"a model without an encoder needs floating-point node features, the batch has {found}",
            hint="give the model an encoder, such as gnnlab.nn.FeatureEncoder",
        )
    return x, batch.get("edge_attr")


def edges_of(batch: Data, edge_attr: Tensor | EdgeTable | None, num_nodes: int) -> Edges:
    """The batch's edges; a CSR is built here, once, if the batch does not bring one."""
    adj, edge_index = batch.get("adj"), batch.get("edge_index")
    if adj is None and edge_index is None:
        raise GraphError("the batch has neither 'adj' nor 'edge_index'")
    if adj is None:
        adj = as_csr(edge_index, num_nodes)
    return Edges(adj, edge_index, edge_attr, batch.get("edge_weight"), batch.get("edge_type"))


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
