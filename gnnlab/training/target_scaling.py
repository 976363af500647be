"""Targets of mean 0 and variance 1 for training, original units for everything that is reported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnlab.errors import DataError
from gnnlab.metrics.targets import columns, float_targets

__all__ = ["TargetScaling"]


class TargetScaling(nn.Module):
    r"""Standardises every target by statistics of the **training** targets, and takes predictions back.

    .. math::
        \tilde y_t = (y_t - \mu_t) / \sigma_t, \qquad \hat y_t = \mu_t + \sigma_t \tilde y_t

    The statistics are part of the ``state_dict``, so a checkpoint predicts in original units. A constant target has
    :math:`\sigma = 1`. Unlabelled entries (NaN) count for nothing and stay NaN.

    Args:
        num_targets: Number of targets.

    Shapes:
        * **y:** [n, num_targets], or [n] for one target
        * **output:** as the input

    Raises:
        DataError: a target without a single label in training.

    Example:
        >>> scaling = TargetScaling(1)
        >>> scaling.fit(torch.tensor([[1.0], [3.0]]))
        >>> scaling.scaled(torch.tensor([[3.0]])), scaling.restored(torch.tensor([[1.0]]))
        (tensor([[1.]]), tensor([[3.]]))
    """

    def __init__(self, num_targets: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_targets))
        self.register_buffer("std", torch.ones(num_targets))

    @torch.no_grad()
    def fit(self, y: Tensor) -> None:
        """Take mean and standard deviation of ``y``, computed in float64."""
        y = columns(float_targets(y)).double()
        labelled = ~y.isnan()
        count = labelled.sum(0)
        if not bool((count > 0).all()):
            missing = int((count == 0).nonzero()[0])
            raise DataError(f"target {missing} has no label in training, so it cannot be standardised")
        mean = y.nan_to_num().sum(0) / count
        std = (torch.where(labelled, y - mean, 0.0).square().sum(0) / count).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, 1.0))

    def scaled(self, y: Tensor) -> Tensor:
        """Targets in units of the model."""
        y = float_targets(y)
        return ((columns(y) - self.mean) / self.std).view_as(y)

    def restored(self, out: Tensor) -> Tensor:
        """Outputs of the model in original units."""
        return (columns(out) * self.std + self.mean).view_as(out)
