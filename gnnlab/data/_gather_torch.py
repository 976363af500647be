"""Ragged gathers as tensor programs: any device."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.data._adjacency import LocalCSR
from gnnlab.data._columns import Column, Span, ragged_rows
from gnnlab.ops import CSR

__all__ = ["adjacency", "indices", "owners", "rows"]


def owners(span: Span) -> Tensor:
    """[R] position in the batch of the graph every row belongs to."""
    return _located(span)[1]


def rows(column: Column, span: Span) -> Tensor:
    """[R, ...] the rows of a column, in the dtype a batch delivers."""
    return column.data.index_select(0, _located(span)[0]).to(column.dtype)


def indices(column: Column, span: Span, offset: Tensor) -> Tensor:
    """[k, R] long, an index column [rows, k] shifted by ``offset`` [B]."""
    where, owner = _located(span)
    # Transposed while the integers are narrow; the addition casts.
    local = column.data.index_select(0, where).t().contiguous()
    return torch.add(local, offset.index_select(0, owner))


def adjacency(local: LocalCSR, edge_index: Tensor, node: Span, edge: Span) -> CSR:
    """The compressed adjacency of the union, both ways."""
    node_rows, node_owner = _located(node)
    edge_rows, edge_owner = _located(edge)
    first_slot = edge.ptr[:-1].int().index_select(0, node_owner).unsqueeze(1)
    starts = local.row_starts.index_select(0, node_rows).int() + first_slot
    pointers = torch.nn.functional.pad(starts.t(), (0, 1), value=edge.total)
    shift = torch.stack([node.ptr[:-1], edge.ptr[:-1]], 1).int().index_select(0, edge_owner)
    transposed = (local.transposed.index_select(0, edge_rows).int() + shift).t().contiguous()
    return CSR(pointers[0], edge_index[0].int(), pointers[1], transposed[0], transposed[1])


def _located(span: Span) -> tuple[Tensor, Tensor]:
    """Store rows of a span and their graphs; computed once per batch and level."""
    if span.located is None:
        span.located = ragged_rows(span.starts, span.ptr, span.counts, span.total)
    return span.located
