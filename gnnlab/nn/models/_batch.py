"""What a model reads from a batch besides its features."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.nn._batch import adjacency, graph_pointer
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import CSR, complete_edge_index

__all__ = ["complete_edges", "edges_of", "encoded", "graph_pointer", "pairs_of"]


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


def edges_of(batch: Data, edge_attr: Tensor | EdgeTable | None, num_nodes: int, ptr: Tensor | None = None) -> Edges:
    """The batch's edges; a CSR is built here, once, if the batch does not bring one."""
    adj = adjacency(batch, num_nodes)
    return Edges(adj, batch.get("edge_index"), edge_attr, batch.get("edge_weight"), batch.get("edge_type"), ptr)


def pairs_of(batch: Data, pair_attr: Tensor | None, num_nodes: int, ptr: Tensor) -> Edges:
    """The batch's node pairs as edges; the degree of a node is still that in the graph."""
    pair_index = batch.get("pair_index")
    if pair_index is None:
        raise GraphError(
            "the layers work on pairs of nodes, but the batch has no 'pair_index'",
            hint="add an encoding of pairs to data.transforms, such as gnnlab.encodings.RRWP(pairs='all')",
        )
    rows = None if pair_attr is None else (pair_attr.index if isinstance(pair_attr, EdgeTable) else pair_attr).size(0)
    if rows not in (None, pair_index.size(1)):
        raise GraphError(
            f"the encoder returned {rows} rows beside the node states, but the batch has {pair_index.size(1)} pairs",
            hint="let the encoder encode pairs (pair_pe_<name>), not edges",
        )
    adj = CSR.from_edge_index(pair_index, num_nodes)
    return Edges(adj, pair_index, pair_attr, ptr=ptr, degree=adjacency(batch, num_nodes).degree)


def complete_edges(edges: Edges, num_nodes: int) -> Edges:
    """Every ordered pair of different nodes of the same graph, without edge data."""
    edge_index = complete_edge_index(edges.ptr)
    degree = edges.adj.degree if edges.degree is None else edges.degree
    return Edges(CSR.from_edge_index(edge_index, num_nodes), edge_index, ptr=edges.ptr, degree=degree)
