"""The dropout of the toolkit."""

from __future__ import annotations

from torch import Tensor, nn

from gnnlab.ops import dropout

__all__ = ["Dropout"]


class Dropout(nn.Dropout):
    """``torch.nn.Dropout`` through :func:`gnnlab.ops.dropout`: no stored mask, cheap random numbers, a fused residual.

    Args:
        p: Probability of dropping an element.

    Shapes:
        * **x:** [...]
        * **residual:** as x, added to the result; optional
        * **output:** as x

    Example:
        >>> Dropout(0.5).eval()(torch.ones(2)).tolist()
        [1.0, 1.0]
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return dropout(x, self.p, self.training, residual)
