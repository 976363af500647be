"""Classes of rows and of multisets by sorting: equal number if and only if equal content."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["as_classes", "multiset_classes", "row_classes"]

_WORD = 2**62


def as_classes(values: Tensor | None, rows: int, name: str, device: torch.device) -> Tensor:
    """[R] long, classes of the rows of ``values`` [R] or [R, C]; all 0 without values.

    Raises:
        GraphError: another number of rows, or values that are not numbers.
    """
    if values is None:
        return torch.zeros(rows, dtype=torch.long, device=device)
    if values.dim() not in (1, 2) or values.size(0) != rows:
        raise GraphError(f"{name} must have shape [{rows}] or [{rows}, C], got {list(values.shape)}")
    if values.is_floating_point() and bool(values.isnan().any()):
        raise GraphError(f"{name} holds values that are not numbers", hint="nan differs from itself: it is no colour")
    return row_classes(values if values.dim() == 2 else values[:, None])


def row_classes(table: Tensor) -> Tensor:
    """[R] long, number of the class of every row of ``table`` [R, C], from 0.

    Columns are replaced by ranks and packed into 64-bit words as long as they fit, then ranked again, so a wide
    table of few distinct values costs little more than its columns.
    """
    word = torch.zeros(table.size(0), dtype=torch.long, device=table.device)
    size = 1
    for column in table.unbind(1):
        rank, count = _ranked(column)
        if size * count >= _WORD:
            word, size = _ranked(word)
        word = word * count + rank
        size *= max(count, 1)
    return _ranked(word)[0]


def multiset_classes(values: Tensor, owner: Tensor, owners: int) -> Tensor:
    """[owners] long, number of the class of the multiset of values of every owner, from 0.

    Sorted values are joined two by two: a pair gets the rank it has among all pairs, so after
    :math:`\\log_2` (largest multiset) rounds, each of half the work of the last, one number is left per owner.

    Args:
        values: [M] long.
        owner: [M] long.
        owners: Number of owners.
    """
    sizes = torch.bincount(owner, minlength=owners)
    values, count = _ranked(values)
    order = (owner * count + values).argsort() if owners * max(count, 1) < _WORD else _by_owner(values, owner)
    values = values[order] + 1  # 0 fills up
    longest = int(sizes.max()) if owners else 0
    while longest > 1:
        halves = (sizes + 1) // 2
        total = int(halves.sum())
        holder = expand_ptr(_starts(halves), total)
        left = _starts(sizes)[holder] + 2 * ragged_arange(halves, total)
        missing = left + 1 >= _starts(sizes)[holder + 1]
        right = values[(left + 1).clamp(max=values.numel() - 1)].masked_fill(missing, 0)
        values, count = _ranked(values[left] * (count + 1) + right)
        values, sizes, longest = values + 1, halves, (longest + 1) // 2
    result = torch.zeros(owners, dtype=torch.long, device=values.device)
    result[sizes > 0] = values
    return _ranked(result)[0]


def _ranked(values: Tensor) -> tuple[Tensor, int]:
    """Place of every value among the distinct ones, and how many those are."""
    if values.numel() and not values.is_floating_point():
        low, high = (int(bound) for bound in values.long().aminmax())
        if high - low < 2 * values.numel():  # marking which there are needs no sorting
            values = values.long() - low
            there = torch.zeros(high - low + 1, dtype=torch.long, device=values.device)
            place = there.index_fill_(0, values, 1).cumsum(0)
            return place[values] - 1, int(place[-1])
    if values.is_cuda:
        distinct, rank = torch.unique(values, return_inverse=True)
        return rank, distinct.numel()
    distinct, rank = np.unique(values.numpy(), return_inverse=True)  # half the time of torch's
    return torch.from_numpy(rank), distinct.size


def _by_owner(values: Tensor, owner: Tensor) -> Tensor:
    order = values.argsort()
    return order[owner[order].argsort(stable=True)]


def _starts(sizes: Tensor) -> Tensor:
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
