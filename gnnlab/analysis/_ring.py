"""The last B states of all rows, of which every reader may ask for another one."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Ring"]


class Ring:
    """Values of the last B ticks.

    Cost: O(B rows width) memory; writing and reading are one copy and one gather.

    Args:
        first: [R, d] the values at tick 0.
        staleness: B.

    Example:
        >>> ring = Ring(torch.tensor([[1.0], [2.0]]), staleness=2)
        >>> ring.write(1, torch.tensor([[3.0], [4.0]]))
        >>> ring.read(1, torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])).flatten().tolist()
        [3.0, 1.0, 2.0]
    """

    def __init__(self, first: Tensor, staleness: int) -> None:
        self.slots = first.detach().repeat(staleness, 1)
        self.staleness, self.rows = staleness, first.size(0)

    def at(self, t: int) -> Tensor:
        """[R, d] the values at tick t, a view."""
        start = t % self.staleness * self.rows
        return self.slots[start : start + self.rows]

    def read(self, t: int, age: Tensor, row: Tensor) -> Tensor:
        """[M, d] the values ``age`` [M] ticks before t of the rows ``row`` [M]."""
        if self.staleness == 1:
            return self.slots.index_select(0, row)
        slot = t % self.staleness - age
        slot = torch.where(slot < 0, slot + self.staleness, slot)
        return self.slots.index_select(0, slot.mul_(self.rows).add_(row))

    def write(self, t: int, values: Tensor) -> None:
        """The values at tick t; those of tick t - B are forgotten."""
        self.at(t).copy_(values)
