"""Sparse matrices over the nodes of a union, and the two products that count homomorphisms."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.graph._neighbours import slices
from gnnlab.ops import ragged_arange

__all__ = ["SparseMatrix"]

_BUDGET = 1 << 20  # scalar products in memory at a time


class SparseMatrix(NamedTuple):
    """Compressed rows of an N x N matrix, every row by increasing column.

    Args:
        ptr: [N + 1] long, first entry of every row.
        key: [P] long, row x N + column of every entry, increasing.
        value: [P] float64.
    """

    ptr: Tensor
    key: Tensor
    value: Tensor

    @classmethod
    def of(cls, key: Tensor, value: Tensor, size: int) -> SparseMatrix:
        """From increasing keys."""
        rows = torch.arange(size + 1, device=key.device)
        return cls(torch.searchsorted(key, rows * size), key, value)

    @property
    def size(self) -> int:
        return self.ptr.numel() - 1

    @property
    def row(self) -> Tensor:
        return self.key // max(self.size, 1)

    @property
    def column(self) -> Tensor:
        return self.key % max(self.size, 1)

    def transpose(self) -> SparseMatrix:
        key, order = (self.column * self.size + self.row).sort()
        return self.of(key, self.value[order], self.size)

    def row_sums(self) -> Tensor:
        return self.value.new_zeros(self.size).index_add_(0, self.row, self.value)

    def times(self, other: SparseMatrix, spend: Callable[[int], None]) -> SparseMatrix:
        """The matrix product, after ``spend`` was told how many scalar ones it takes."""
        column = self.column
        count = other.ptr.diff()[column]
        spend(int(count.sum()))
        keys, values = [self.key[:0]], [self.value[:0]]
        row, right = self.row, other.column
        for part in slices(count, _BUDGET):
            owner = torch.repeat_interleave(count[part])
            entry = other.ptr[column[part]][owner] + ragged_arange(count[part], owner.numel())
            key, value = _merged(
                row[part][owner] * self.size + right[entry], self.value[part][owner] * other.value[entry]
            )
            keys.append(key)
            values.append(value)
        # Only the last row of a part and the first of the next one can share a key.
        return self.of(*_merged(torch.cat(keys), torch.cat(values)), self.size)

    def at_product(self, left: SparseMatrix, right: SparseMatrix, spend: Callable[[int], None]) -> SparseMatrix:
        """This matrix times ``left @ right.T``, entry by entry: nothing is computed where this one has none.

        Row s of ``left`` and row t of ``right`` are intersected by looking the shorter one up in the other.
        """
        rows = torch.stack([self.row, self.column])
        counts = torch.stack([left.ptr.diff()[rows[0]], right.ptr.diff()[rows[1]]])
        count, side = counts.min(0)
        spend(int(count.sum()))
        value = torch.zeros_like(self.value)
        for number, (shorter, longer) in enumerate(((left, right), (right, left))):
            entries = (side == number).nonzero().flatten()
            near, far = rows[number, entries], rows[1 - number, entries]
            columns = shorter.column
            for part in slices(count[entries], _BUDGET):
                lengths = count[entries[part]]
                owner = torch.repeat_interleave(lengths)
                entry = shorter.ptr[near[part]][owner] + ragged_arange(lengths, owner.numel())
                wanted = far[part][owner] * self.size + columns[entry]
                place = torch.searchsorted(longer.key, wanted).clamp(max=longer.key.numel() - 1)
                met = (longer.key[place] == wanted).nonzero().flatten()
                product = shorter.value[entry[met]] * longer.value[place[met]]
                value.index_add_(0, entries[part][owner[met]], product)
        return self._replace(value=value * self.value)


def _merged(key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Increasing keys and the sum of the values of each."""
    key, place = key.unique(return_inverse=True)
    return key, value.new_zeros(key.numel()).index_add_(0, place, value)
