"""From node states to one state per graph."""

from __future__ import annotations

from torch import Tensor

from gnnlab.ops import segment_reduce
from gnnlab.typing import Reduce

__all__ = ["global_pool"]


def global_pool(x: Tensor, ptr: Tensor, reduce: Reduce = "mean") -> Tensor:
    """Reduce the node states of every graph of a union; a graph without nodes gives 0.

    Args:
        x: [N, F] node states.
        ptr: [G + 1], first node of every graph.
        reduce: ``mean``, ``sum``, ``max`` or ``min``.

    Shapes:
        * **output:** [G, F]

    Example:
        >>> global_pool(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 2, 3, 3])).tolist()
        [[2.0], [5.0], [0.0]]
    """
    return segment_reduce(x, ptr, reduce)
