"""Columns: one tensor per attribute, all graphs one after the other, rows grouped by level."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gnnlab.typing import Level

__all__ = ["Column", "Layout", "Span", "narrow", "ragged_rows"]


@dataclass(frozen=True)
class Column:
    """One attribute of every graph.

    Args:
        data: [rows of ``level``, ...] stored values, in the narrowest dtype that holds them.
        level: The family of rows it belongs to.
        dtype: What a batch delivers.
        indexes: Level whose rows the values count (``node`` for an index column), or ``None``.
        increment: [G, ...] offsets per graph where an attribute counts something that is no level.
        cat_dim: Dimension along which PyG concatenates the attribute.
    """

    data: Tensor
    level: Level
    dtype: torch.dtype
    indexes: Level | None = None
    increment: Tensor | None = None
    cat_dim: int = 0

    def with_data(self, data: Tensor, increment: Tensor | None = None) -> Column:
        return replace(self, data=data, increment=self.increment if increment is None else increment)

    def to(self, device: torch.device | str) -> Column:
        increment = None if self.increment is None else self.increment.to(device)
        return replace(self, data=self.data.to(device), increment=increment)


@dataclass(frozen=True)
class Layout:
    """Where the rows of one level begin in every graph.

    ``sizes`` and ``ptr`` stay on the CPU, so that batch sizes are known without asking the device.
    """

    sizes: Tensor
    ptr: Tensor

    @classmethod
    def from_sizes(cls, sizes: Tensor) -> Layout:
        sizes = sizes.detach().to("cpu", torch.long)
        return cls(sizes, torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]))

    @property
    def total(self) -> int:
        return int(self.ptr[-1])


@dataclass
class Span:
    """The rows of one level that go into one batch of B graphs.

    Args:
        starts: [B] first row of every graph in the store.
        counts: [B] its number of rows.
        ptr: [B + 1] its first row in the batch.
        ptr_cpu: The same on the CPU.
        total: Rows in the batch.
        located: Row ids and their graphs, once somebody needed them.
    """

    starts: Tensor
    counts: Tensor
    ptr: Tensor
    ptr_cpu: Tensor
    total: int
    located: tuple[Tensor, Tensor] | None = None

    @property
    def starts_np(self) -> np.ndarray:
        return self.starts.numpy()

    @property
    def counts_np(self) -> np.ndarray:
        return self.counts.numpy()

    @property
    def ptr_np(self) -> np.ndarray:
        return self.ptr_cpu.numpy()


def ragged_rows(starts: Tensor, out_ptr: Tensor, counts: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """Rows of many ranges laid end to end, and the range every row came from.

    Shapes:
        ``starts``, ``counts`` [B]; ``out_ptr`` [B + 1] exclusive sum of ``counts``; returns [total] twice.
    """
    device = starts.device
    owner = torch.repeat_interleave(torch.arange(starts.numel(), device=device), counts, output_size=total)
    shift = (starts - out_ptr[:-1]).index_select(0, owner)
    return shift.add_(torch.arange(total, device=device)), owner


def narrow(values: Tensor) -> Tensor:
    """The same integers in the narrowest dtype that holds them (floats and booleans are returned as they are)."""
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool or not values.numel():
        return values
    low, high = (int(bound) for bound in torch.aminmax(values))
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        limits = torch.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return values.to(dtype)
    return values
