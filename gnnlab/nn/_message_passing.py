"""Calling any convolution: gnnlab's take a CSR, PyG's an edge_index, and each only the edge data it knows."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn._relations import Relation, one_relation
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import CSR, expand_ptr

__all__ = ["Edges", "accepted_arguments", "inserted", "joined", "propagate"]

_KNOWN = frozenset({"adj", "edge_attr", "edge_weight", "edge_type", "ptr", "batch", "degree"})
"""Arguments of a layer that are known by name."""


@dataclass(frozen=True)
class Edges:
    """The edges a layer works on.

    Args:
        adj: The edges as CSR.
        edge_index: [2, E], the same edges in the order of the edge data; asked of ``adj`` where ``None``.
        attr: [E, D] edge features or states, their table, or ``None``.
        weight: [E] edge weights, or ``None``.
        type: [E] relations, or ``None`` where all edges are of relation 0.
        ptr: [G + 1] first node of every graph, or ``None`` where a model does not say.
        degree: [N] number of neighbours of every node in the graph itself, or ``None`` where these edges are it.
    """

    adj: CSR
    edge_index: Tensor | None = None
    attr: Tensor | EdgeTable | None = None
    weight: Tensor | None = None
    type: Tensor | None = None
    ptr: Tensor | None = None
    degree: Tensor | None = None

    @property
    def relation(self) -> Tensor:
        """[E] relation of every edge."""
        return one_relation(self.adj) if self.type is None else self.type

    def only(self, part: Relation) -> Edges:
        """A part of the edges with their data."""
        ids, attr = part.edges, self.attr
        if attr is not None:
            table = isinstance(attr, EdgeTable)
            attr = EdgeTable(attr.rows, attr.index.index_select(0, ids)) if table else attr.index_select(0, ids)
        weight = None if self.weight is None else self.weight.index_select(0, ids)
        kind = part.adj.memo("edge_type", lambda: self.relation.index_select(0, ids))
        return Edges(part.adj, None, attr, weight, kind, self.ptr, self.degree)

    def known(self, names: frozenset[str], num_nodes: int, conv: str) -> dict[str, Tensor | EdgeTable]:
        """Those of the arguments ``names`` of a layer that there are; the graphs a layer asks for must be known."""
        given = {"edge_attr": self.attr, "edge_weight": self.weight}
        known = {name: value for name, value in given.items() if name in names and value is not None}
        if "edge_type" in names:
            known["edge_type"] = self.relation
        if "degree" in names:
            known["degree"] = self.adj.degree if self.degree is None else self.degree
        if "ptr" in names and self.ptr is None:
            raise GraphError(
                f"{conv} works on whole graphs, but where it stands in the model it is not told which node belongs "
                "to which",
                hint="use it as conv of the model itself, not inside another layer",
            )
        if "ptr" in names:
            known["ptr"] = self.ptr
        if "batch" in names and self.ptr is not None:
            known["batch"] = expand_ptr(self.ptr, num_nodes)
        return known


def accepted_arguments(conv: nn.Module) -> frozenset[str]:
    """Names of ``forward`` that concern edges, or the graphs nodes belong to.

    A PyG layer built without ``edge_dim`` has no weights for edge features although its ``forward`` takes
    them, so it gets none.
    """
    names = set(inspect.signature(conv.forward).parameters)
    if getattr(conv, "edge_dim", 0) is None:
        names.discard("edge_attr")
    return _KNOWN & names


def propagate(
    conv: nn.Module, accepted: frozenset[str], x: Tensor, edges: Edges
) -> tuple[Tensor, Tensor | EdgeTable | None]:
    """Node states after the convolution, and edge states (the former ones unless it returns new ones)."""
    known = edges.known(accepted, x.size(0), type(conv).__name__)
    adj = edges.adj
    if "adj" not in accepted:
        adj = adj.memo("edge_index", lambda: edges.adj.edge_index) if edges.edge_index is None else edges.edge_index
    out = conv(x, adj, **known)
    return out if isinstance(out, tuple) else (out, edges.attr)


def joined(states: Sequence[Tensor], parts: Sequence[Relation]) -> Tensor:
    """[E, D] states of all edges from those of the parts they fall into."""
    values, ids = torch.cat(list(states)), torch.cat([part.edges for part in parts])
    return torch.empty_like(values).index_copy(0, ids, values)


def inserted(states: Tensor, part: Relation, others: Tensor) -> Tensor:
    """Edge states of which a layer saw a part."""
    if states.size(-1) != others.size(-1):
        raise ConfigError(
            f"a layer that sees some relations returned edge states of width {states.size(-1)}, but the other "
            f"edges have {others.size(-1)}",
            hint="give the model an encoder of the edges, so that their width never changes",
        )
    return others.index_copy(0, part.edges, states.to(others.dtype))
