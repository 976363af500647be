"""Floating-point values as classes, cut where there is a gap and never at a fixed place."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Quantised", "quantise"]

_EXACT = 2.0**24
"""Integers up to here are exact in float32, so any two that differ differ."""


_TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-11}
"""Above the rounding of values written in single precision, and of eigenvectors and inverses in double."""


class Quantised(NamedTuple):
    """``classes`` [R, F] long, and how clear the cuts were.

    ``joined`` is the widest gap that was taken for rounding, ``cut`` the narrowest that was taken for a difference,
    both as multiples of the tolerance: far below and far above 1, the tolerance does not matter.
    """

    classes: Tensor
    joined: float
    cut: float


def quantise(values: Tensor, group: Tensor, tolerance: float | None = None) -> Quantised:
    """Number the distinct values of every column, among the rows of a group.

    The values of a column in a group are sorted, and neighbours are told apart where they differ by more than
    ``tolerance * max(1, m)`` with m the largest finite magnitude among them. Values that lie on both sides of a
    fixed bin never fall apart that way, and equal values are never more than rounding apart. Columns of integers
    below 2^24 are exact. Infinities are values of their own.

    Args:
        values: [R, F] without nan.
        group: [R] long, rows that are compared with each other.
        tolerance: Relative to the magnitude of a column; 1e-6 for single precision and 1e-11 for double by default.
    """
    tolerance = _TOLERANCES.get(values.dtype, _TOLERANCES[torch.float32]) if tolerance is None else tolerance
    classes = torch.empty(values.shape, dtype=torch.long, device=values.device)
    groups = int(group.max()) + 1 if group.numel() else 0
    joined, cut = 0.0, torch.inf
    for number, column in enumerate(values.unbind(1)):
        order = _order(column, group)
        column, owner = column[order].double(), group[order]
        limit, exact = _limits(column, owner, groups, tolerance)
        gap = column.diff()
        gap = gap.masked_fill(gap.isnan(), 0)  # between two infinities
        ratio = gap / limit[owner[1:]]
        apart = ratio > 1
        doubtful = (owner.diff() == 0) & ~exact[owner[1:]]
        classes[order[:1], number] = 0
        classes[order[1:], number] = (apart | (owner.diff() != 0)).cumsum(0)
        joined = max(joined, _largest(ratio[doubtful & ~apart]))
        cut = min(cut, -_largest(-ratio[doubtful & apart], -torch.inf))
    return Quantised(classes, joined, cut)


def _order(column: Tensor, group: Tensor) -> Tensor:
    """By group, then by value; in single precision both fit into one word, and one sort does."""
    if column.dtype != torch.float32:
        order = column.argsort()
        return order[group[order].argsort(stable=True)]
    bits = column.contiguous().view(torch.int32)
    rank = bits ^ ((bits >> 31) & (2**31 - 1))  # integers in the order of the numbers
    return (group * 2**32 + rank).argsort()


def _limits(column: Tensor, owner: Tensor, groups: int, tolerance: float) -> tuple[Tensor, Tensor]:
    """[groups] gap that tells two values of a group apart, and whether its values are exact."""
    finite = torch.where(column.isfinite(), column, 0)
    scale = column.new_ones(groups).scatter_reduce_(0, owner, finite.abs(), "amax")
    rounded = (finite != finite.round()).double()
    exact = (column.new_zeros(groups).scatter_reduce_(0, owner, rounded, "amax") == 0) & (scale < _EXACT)
    return torch.where(exact, 0.5, tolerance * scale), exact


def _largest(values: Tensor, otherwise: float = 0.0) -> float:
    return float(values.max()) if values.numel() else otherwise
