"""Calling any convolution: gnnlab's take a CSR, PyG's an edge_index, and each only the edge data it knows."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnlab.nn._relations import Relation, one_relation
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import CSR

__all__ = ["Edges", "accepted_arguments", "joined", "propagate"]


@dataclass(frozen=True)
class Edges:
    """The edges a layer works on.

    Args:
        adj: The edges as CSR.
        edge_index: [2, E], the same edges in the order of the edge data; asked of ``adj`` where ``None``.
        attr: [E, D] edge features or states, their table, or ``None``.
        weight: [E] edge weights, or ``None``.
        type: [E] relations, or ``None`` where all edges are of relation 0.
    """

    adj: CSR
    edge_index: Tensor | None = None
    attr: Tensor | EdgeTable | None = None
    weight: Tensor | None = None
    type: Tensor | None = None

    @property
    def relation(self) -> Tensor:
        """[E] relation of every edge."""
        return one_relation(self.adj) if self.type is None else self.type

    def only(self, part: Relation) -> Edges:
        """A part of the edges with their data."""
        ids, attr, kind = part.edges, self.attr, self.relation
        if attr is not None:
            table = isinstance(attr, EdgeTable)
            attr = EdgeTable(attr.rows, attr.index.index_select(0, ids)) if table else attr.index_select(0, ids)
        weight = None if self.weight is None else self.weight.index_select(0, ids)
        return Edges(part.adj, None, attr, weight, part.adj.memo("edge_type", lambda: kind.index_select(0, ids)))


def accepted_arguments(conv: nn.Module) -> frozenset[str]:
    """Names of ``forward`` that concern edges.

    A PyG layer built without ``edge_dim`` has no weights for edge features although its ``forward`` takes
    them, so it gets none.
    """
    names = set(inspect.signature(conv.forward).parameters)
    if getattr(conv, "edge_dim", 0) is None:
        names.discard("edge_attr")
    return frozenset(names & {"adj", "edge_attr", "edge_weight", "edge_type"})


def propagate(
    conv: nn.Module, accepted: frozenset[str], x: Tensor, edges: Edges
) -> tuple[Tensor, Tensor | EdgeTable | None]:
    """Node states after the convolution, and edge states (the former ones unless it returns new ones)."""
    data = {"edge_attr": edges.attr, "edge_weight": edges.weight}
    known = {name: value for name, value in data.items() if name in accepted and value is not None}
    if "edge_type" in accepted:
        known["edge_type"] = edges.relation
    adj = edges.adj
    if "adj" not in accepted:
        adj = adj.memo("edge_index", lambda: edges.adj.edge_index) if edges.edge_index is None else edges.edge_index
    out = conv(x, adj, **known)
    return out if isinstance(out, tuple) else (out, edges.attr)


def joined(states: Sequence[Tensor], parts: Sequence[Relation]) -> Tensor:
    """[E, D] states of all edges from those of the parts they fall into."""
    values, ids = torch.cat(list(states)), torch.cat([part.edges for part in parts])
    return torch.empty_like(values).index_copy(0, ids, values)
