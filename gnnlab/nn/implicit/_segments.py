"""Inner products and scalars of every graph of a union."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gnnlab.ops import expand_ptr, segment_reduce

__all__ = ["Segments", "steps"]


class Segments:
    """Rows of a union [N, d], taken as one long vector per graph.

    Args:
        ptr: [G + 1] first node of every graph.
        like: [N, d] rows; their number, type and device are meant.
    """

    def __init__(self, ptr: Tensor, like: Tensor) -> None:
        self.ptr = ptr
        self.graph = expand_ptr(ptr, like.size(0))
        self.count = (ptr.diff() * like.size(1)).clamp(min=1).to(like.dtype)

    @property
    def num_graphs(self) -> int:
        return self.ptr.numel() - 1

    def sum(self, values: Tensor, reduce: str = "sum") -> Tensor:
        """[G, ...] from [N, ...]."""
        return segment_reduce(values, self.ptr, reduce)

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        """[G] inner products, or [G, m] of the m slices of ``a`` [m, N, d]."""
        rows = (a * b).sum(-1)
        return self.sum(rows.t().contiguous() if rows.dim() == 2 else rows)

    def rms(self, a: Tensor) -> Tensor:
        """[G] root mean squares of the entries."""
        return (self.dot(a, a) / self.count).sqrt()

    def largest(self, a: Tensor) -> Tensor:
        """[G] largest absolute entries, infinite if one is not a number; 0 of a graph without nodes."""
        return self.sum(a.abs().nan_to_num(nan=torch.inf).amax(-1), "max")

    def spread(self, values: Tensor) -> Tensor:
        """[N, 1] or [N, m], the graph's row for each of its nodes."""
        rows = values.index_select(0, self.graph)
        return rows.unsqueeze(-1) if rows.dim() == 1 else rows


def steps(limit: int, device: torch.device) -> Iterator[tuple[int, bool]]:
    """Numbers of iterations, and whether to look if all is done: on a GPU looking is waiting, so not every time."""
    stride = 1 if device.type == "cpu" else 8
    for step in range(limit):
        yield step, step % stride == 0
