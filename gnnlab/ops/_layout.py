"""What a kernel sees of a graph: six plain tensors, rows and transposed rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.ops._ragged import check_size, expand_ptr, iota, row_pointers
from gnnlab.ops.csr import CSR

__all__ = ["GATE_EPS", "SCHEMA", "Layout", "grouped", "layout_of", "segments"]

SCHEMA = "Tensor ptr, Tensor idx, Tensor? eid, Tensor ptr_t, Tensor idx_t, Tensor? eid_t"
"""The six tensors in an operator schema."""

GATE_EPS = 1e-6
"""Added to a sum of gates before dividing by it, as in the released GatedGCN."""


class Layout(NamedTuple):
    """A sparse matrix of R rows and C columns with E entries ("edges", column to row), both ways.

    ``idx[ptr[r]:ptr[r + 1]]`` are the columns of row ``r``; ``(ptr_t, idx_t)`` is the transpose. Edge data
    is indexed by ``eid[slot]`` and ``eid_t[transposed slot]``, by the slot itself where that is ``None``.
    The transpose of every formula is the same formula on ``.t``.
    """

    ptr: Tensor
    idx: Tensor
    eid: Tensor | None
    ptr_t: Tensor
    idx_t: Tensor
    eid_t: Tensor | None

    @property
    def t(self) -> Layout:
        return Layout(self.ptr_t, self.idx_t, self.eid_t, self.ptr, self.idx, self.eid)

    @property
    def num_rows(self) -> int:
        return self.ptr.size(0) - 1

    @property
    def num_edges(self) -> int:
        return self.idx.size(0)

    @property
    def source(self) -> Tensor:
        """[E] int32, column of every edge, in edge order."""
        return self.idx if self.eid is None else torch.empty_like(self.idx).scatter_(0, self.eid.long(), self.idx)

    @property
    def target(self) -> Tensor:
        """[E] int32, row of every edge, in edge order."""
        return self.t.source

    @property
    def slots(self) -> Tensor:
        """[E] int32, edge of every slot."""
        return iota(self.num_edges, self.idx) if self.eid is None else self.eid

    @property
    def edges(self) -> Layout:
        """The R x E incidence: every row holds its edges. Its transpose reads rows from the edges."""
        return Layout(self.ptr, self.slots, self.eid, iota(self.num_edges + 1, self.ptr), self.target, None)

    @property
    def degree(self) -> Tensor:
        """[R] int32, entries of every row, at least 1: the divisor of a mean."""
        return self.ptr.diff().clamp(min=1)


def layout_of(adj: CSR) -> Layout:
    return Layout(adj.ptr, adj.src, adj.eid, adj.ptr_t, adj.dst, adj.eid_t)


def grouped(index: Tensor, num_rows: int) -> Layout:
    """Row ``r`` holds the elements ``i`` with ``index[i] == r``, in their order."""
    check_size(max(index.size(0), num_rows), "rows")
    ordered, order = torch.sort(index, stable=True)
    ends = iota(index.size(0) + 1, index)
    order = order.int()
    return Layout(row_pointers(ordered, num_rows), order, order, ends, index.int(), None)


def segments(ptr: Tensor, total: int) -> Layout:
    """Row ``r`` holds the elements ``ptr[r] .. ptr[r + 1] - 1``."""
    check_size(max(total, ptr.size(0)), "rows")
    return Layout(ptr.int(), iota(total, ptr), None, iota(total + 1, ptr), expand_ptr(ptr, total).int(), None)
