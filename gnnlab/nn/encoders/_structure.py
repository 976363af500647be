"""The structure of a batch as an encoder needs it: edges and first nodes of the graphs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.graph._noise import node_normals
from gnnlab.ops import CSR, as_csr

__all__ = ["Structure", "structure"]


class Structure(NamedTuple):
    """Edges, [G + 1] first node of every graph, and the number of nodes."""

    adj: CSR
    edge_index: Tensor
    ptr: Tensor
    num_nodes: int

    def normals(self, count: int, seed: int) -> Tensor:
        """[N, count] float64, hashed from the graph, the places of its nodes and the seed."""
        return node_normals(count, self.edge_index, self.ptr, seed)


def structure(batch: Data) -> Structure:
    """What the batch brings; a CSR is built only where it brings none."""
    adj, edge_index, ptr = batch.get("adj"), batch.get("edge_index"), batch.get("ptr")
    if adj is None and edge_index is None:
        raise GraphError("the batch has neither 'adj' nor 'edge_index'")
    num_nodes = batch.num_nodes if adj is None else adj.num_nodes
    adj = as_csr(edge_index, num_nodes) if adj is None else adj
    edge_index = adj.edge_index if edge_index is None else edge_index
    if ptr is None:
        ptr = torch.tensor([0, num_nodes], device=edge_index.device)
    return Structure(adj, edge_index, ptr, num_nodes)
