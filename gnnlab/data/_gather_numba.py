"""Ragged gathers in one pass per column: copy, cast and shift together. CPU, when numba is installed.

Measured against the tensor program of :mod:`gnnlab.data._gather_torch` it is two to three times faster on
molecule batches (``gnnlab bench data``), because that one writes every intermediate to memory; it also runs
without worker threads, so it keeps its speed on a busy machine.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from gnnlab.data._adjacency import LocalCSR
from gnnlab.data._columns import Column, Span
from gnnlab.ops import CSR

__all__ = ["adjacency", "indices", "owners", "rows"]

_compiled = numba.njit(nogil=True, cache=True)


def owners(span: Span) -> Tensor:
    """[R] position in the batch of the graph every row belongs to."""
    out = np.empty(span.total, np.int64)
    _fill_owners(span.ptr_cpu.numpy(), out)
    return torch.from_numpy(out)


def rows(column: Column, span: Span) -> Tensor:
    """[R, ...] the rows of a column, in the dtype a batch delivers."""
    data = column.data
    out = torch.empty((span.total, *data.shape[1:]), dtype=column.dtype)
    width = data[0].numel() if data.size(0) else 1
    source, target = (_raw(data), _raw(out)) if data.dtype == column.dtype else (data.numpy(), out.numpy())
    factor = width * data.element_size() // source.itemsize
    _copy(source.reshape(-1), span.starts_np * factor, span.counts_np * factor, target.reshape(-1))
    return out


def indices(column: Column, span: Span, offset: Tensor) -> Tensor:
    """[k, R] long, an index column [rows, k] shifted by ``offset`` [B]."""
    out = np.empty((column.data.size(1), span.total), np.int64)
    _copy_shifted(column.data.numpy(), span.starts_np, span.counts_np, offset.numpy(), out)
    return torch.from_numpy(out)


def adjacency(local: LocalCSR, edge_index: Tensor, node: Span, edge: Span) -> CSR:
    """The compressed adjacency of the union, both ways."""
    pointers = np.empty((2, node.total + 1), np.int32)
    edges = np.empty((3, edge.total), np.int32)
    _fill_pointers(local.row_starts.numpy(), node.starts_np, node.counts_np, edge.ptr_np, pointers)
    _fill_transposed(local.transposed.numpy(), edge.starts_np, edge.counts_np, node.ptr_np, edge.ptr_np, edges)
    edges[0] = edge_index[0].numpy()
    ptr, slots = torch.from_numpy(pointers), torch.from_numpy(edges)
    return CSR(ptr[0], slots[0], ptr[1], slots[1], slots[2])


def _raw(tensor: Tensor) -> np.ndarray:
    """The same bytes as integers, so that one compiled copy serves every dtype of a width."""
    width = tensor.element_size()
    return tensor.contiguous().view(_INTEGERS[width]).numpy() if width in _INTEGERS else tensor.numpy()


_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


# Inner loops run over slices from 0, which frees them of wrap-around checks: four times faster.


@_compiled
def _fill_owners(ptr, out):
    for graph in range(ptr.shape[0] - 1):
        out[ptr[graph] : ptr[graph + 1]] = graph


@_compiled
def _copy(source, starts, counts, out):
    place = 0
    for graph in range(starts.shape[0]):
        rows = source[starts[graph] : starts[graph] + counts[graph]]
        target = out[place : place + counts[graph]]
        for i in range(target.shape[0]):
            target[i] = rows[i]
        place += counts[graph]


@_compiled
def _copy_shifted(source, starts, counts, shift, out):
    for k in range(out.shape[0]):
        place = 0
        for graph in range(starts.shape[0]):
            rows = source[starts[graph] : starts[graph] + counts[graph], k]
            target, offset = out[k, place : place + counts[graph]], shift[graph]
            for i in range(target.shape[0]):
                target[i] = rows[i] + offset
            place += counts[graph]


@_compiled
def _fill_pointers(row_starts, starts, counts, edge_ptr, out):
    _copy_shifted(row_starts, starts, counts, edge_ptr, out)
    out[:, -1] = edge_ptr[-1]


@_compiled
def _fill_transposed(transposed, starts, counts, node_ptr, edge_ptr, out):
    _copy_shifted(transposed[:, :1], starts, counts, node_ptr, out[1:2])
    _copy_shifted(transposed[:, 1:], starts, counts, edge_ptr, out[2:3])
