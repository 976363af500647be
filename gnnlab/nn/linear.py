"""The linear layer of the toolkit."""

from __future__ import annotations

from torch import Tensor, nn

from gnnlab.ops import linear

__all__ = ["Linear"]


class Linear(nn.Linear):
    """``torch.nn.Linear`` through :func:`gnnlab.ops.linear`; arguments, parameters and initialisation are the same.

    Example:
        >>> Linear(3, 4)(torch.ones(2, 3)).shape
        torch.Size([2, 4])
    """

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)
