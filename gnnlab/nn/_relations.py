"""The edges of a graph by relation: one adjacency per edge type, computed once per batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import CSR

__all__ = ["Relation", "one_relation", "select_relations", "split_relations"]


class Relation(NamedTuple):
    """Some of the edges of a graph, over all of its nodes.

    Args:
        adj: These edges, numbered in destination order.
        edges: [E_r] long, the edge of the whole graph every one of them is: ``edge_attr[edges]`` is their data.
    """

    adj: CSR
    edges: Tensor


@torch.compiler.disable
def split_relations(adj: CSR, edge_type: Tensor, num_relations: int, strict: bool = True) -> list[Relation]:
    r"""The edges of every relation 0, ..., R - 1 of a graph.

    A stable partition of both orders of the CSR, O(R (E + N)) and one wait for the device (the sizes). ``adj``
    remembers it for this ``edge_type``, so that all layers share it.

    Args:
        adj: The graph.
        edge_type: [E] integer, relation of every edge in the caller's edge order.
        num_relations: R.
        strict: Whether a type outside 0 to R - 1 is an error; else its edges belong to no relation.

    Raises:
        GraphError: an ``edge_type`` that does not fit the edges, or (strict) R.
        ConfigError: called while a CUDA graph is recorded.

    Example:
        >>> adj = CSR.from_edge_index(torch.tensor([[0, 1, 2], [1, 0, 0]]), num_nodes=3)
        >>> [part.edges.tolist() for part in split_relations(adj, torch.tensor([1, 0, 1]), num_relations=2)]
        [[1], [2, 0]]
    """
    _check(adj, edge_type)

    def compute() -> list[Relation]:
        inside = (edge_type >= 0) & (edge_type < num_relations)
        parts = _partition(adj, torch.where(inside, edge_type, num_relations), num_relations)
        if strict and sum(part.adj.num_edges for part in parts) < adj.num_edges:
            wrong = edge_type[~inside][0].item()
            raise GraphError(
                f"edge_type holds relation {wrong}, but the layer has {num_relations} relations "
                f"(0 to {num_relations - 1})",
                hint="raise num_relations, or change relation= of the rewiring",
            )
        return parts

    return _remembered(adj, edge_type, ("split", num_relations, strict), compute)


@torch.compiler.disable
def select_relations(adj: CSR, edge_type: Tensor, relations: tuple[int, ...]) -> Relation:
    """The edges of any of ``relations`` as one adjacency, remembered as in :func:`split_relations`."""
    _check(adj, edge_type)

    def compute() -> list[Relation]:
        others = torch.ones_like(edge_type)
        for relation in relations:
            others = others.masked_fill(edge_type == relation, 0)
        return _partition(adj, others, 1)

    return _remembered(adj, edge_type, ("select", relations), compute)[0]


def one_relation(adj: CSR) -> Tensor:
    """[E] the ``edge_type`` of a graph that has none: all 0."""
    return adj.memo("one relation", lambda: torch.zeros(adj.num_edges, dtype=torch.long, device=adj.device))


def _remembered(adj: CSR, edge_type: Tensor, key: tuple, compute: Callable[[], list[Relation]]) -> list[Relation]:
    # The entry holds the tensor, so that its id names no other one; what was written into it since has another
    # version (which inference tensors do not count).
    version = 0 if edge_type.is_inference() else edge_type._version
    return adj.memo((*key, id(edge_type), version), lambda: (compute(), edge_type))[0]


def _partition(adj: CSR, label: Tensor, num_parts: int) -> list[Relation]:
    """Part p holds the edges of label p; ``label`` [E] lies in 0 to ``num_parts``, the last of which is left out."""
    # Small keys are sorted by their digits, many times faster than large ones.
    label = label.to(torch.uint8 if num_parts < 256 else torch.int32)
    by_dst = label if adj.eid is None else label.index_select(0, adj.eid)
    by_src = label.index_select(0, adj.eid_t)
    (ordered, slot), slot_t = torch.sort(by_dst, stable=True), torch.sort(by_src, stable=True)[1]
    ends = torch.searchsorted(ordered, torch.arange(num_parts, dtype=label.dtype, device=label.device), right=True)
    if ends.is_cuda and torch.cuda.is_current_stream_capturing():
        raise ConfigError(
            "the numbers of edges of every relation depend on the data, so a step of a relation-aware model "
            "cannot be recorded",
            where="model.capture",
            hint="set model.capture=false",
        )
    edges = slot if adj.eid is None else adj.eid.index_select(0, slot).long()
    number = torch.empty_like(edges).index_copy_(0, edges, torch.arange(adj.num_edges, device=edges.device))
    eid_t = number.index_select(0, adj.eid_t.index_select(0, slot_t))
    src, dst = adj.src.index_select(0, slot), adj.dst.index_select(0, slot_t)
    parts, start = [], 0
    for index, end in enumerate(ends.tolist()):
        part = slice(start, end)
        ptr, ptr_t = _pointers(by_dst == index, adj.ptr), _pointers(by_src == index, adj.ptr_t)
        parts.append(Relation(CSR(ptr, src[part], ptr_t, dst[part], (eid_t[part] - start).int()), edges[part]))
        start = end
    return parts


def _pointers(kept: Tensor, ptr: Tensor) -> Tensor:
    """[N + 1] first slot of every row when only the slots ``kept`` [E] are left."""
    return torch.nn.functional.pad(kept.cumsum(0, dtype=torch.int32), (1, 0)).index_select(0, ptr)


def _check(adj: CSR, edge_type: Tensor) -> None:
    if edge_type.shape != (adj.num_edges,) or edge_type.is_floating_point():
        raise GraphError(
            f"edge_type must be one integer per edge, [{adj.num_edges}], "
            f"got {list(edge_type.shape)} of {edge_type.dtype}"
        )
