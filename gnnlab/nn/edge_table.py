"""Edge features of which there are only a few different ones, kept as a small table."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gnnlab.ops import gather

__all__ = ["EdgeTable"]


class EdgeTable(NamedTuple):
    """T feature rows and the row of every edge: bonds of 60 kinds, not E vectors.

    A layer that reads it never touches an array of size E x F, forward or backward.

    Args:
        rows: [T, F], the different features.
        index: [E], row of every edge.

    Example:
        >>> import torch
        >>> EdgeTable(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 1, 0])).dense().flatten().tolist()
        [2.0, 2.0, 1.0]
    """

    rows: Tensor
    index: Tensor

    def dense(self) -> Tensor:
        """[E, F]."""
        return gather(self.rows, self.index)
