"""Normalisation over the nodes of a batch that does not fail on a batch of one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BatchNorm"]


class BatchNorm(nn.BatchNorm1d):
    """``torch.nn.BatchNorm1d`` for the nodes, edges or graphs of a union.

    A training batch with fewer than two rows (a last batch of one graph reaching a virtual node, a graph
    of one node) has no variance: it is normalised by the running statistics and leaves them as they are,
    where ``BatchNorm1d`` raises for one row and spoils its statistics for none.

    Args:
        channels: F.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.

    Shapes:
        * **input:** [N, F]
        * **output:** [N, F]

    Example:
        >>> BatchNorm(3)(torch.ones(1, 3)).shape
        torch.Size([1, 3])
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) < 2:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)
