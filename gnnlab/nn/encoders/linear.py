"""Encoder of real-valued features, standardised by fixed statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.encoders._superpixels import SUPERPIXEL_STATISTICS
from gnnlab.nn.linear import Linear

__all__ = ["LinearEncoder"]


class LinearEncoder(nn.Module):
    r"""Standardise by fixed statistics, then a Linear: :math:`W \frac{x - \mu}{\sigma} + b`.

    Args:
        channels: Width of the output.
        in_channels: Width of the features.
        mean: :math:`\mu` per feature; ``None`` for 0.
        std: :math:`\sigma` per feature; ``None`` for 1.
        statistics: Name of known statistics instead of ``mean`` and ``std``, a key of
            :data:`gnnlab.nn.SUPERPIXEL_STATISTICS`, such as ``pascalvoc-sp/node``.
        dropout: Probability of dropping a channel after the Linear.
        activation: Factory of an activation after the dropout; ``None`` for none.

    Shapes:
        * **x:** [N, in_channels] (any numeric type)
        * **output:** [N, channels]

    Raises:
        ConfigError: unknown statistics, or statistics of another width than ``in_channels``.

    Example:
        >>> LinearEncoder(16, 2, statistics="coco-sp/edge")(torch.tensor([[0.078, 43.7]])).shape
        torch.Size([1, 16])
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        statistics: str | None = None,
        dropout: float = 0.0,
        activation: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if statistics is not None:
            mean, std = _known(statistics, mean, std)
        self.register_buffer("mean", _row(mean, 0.0, in_channels, "mean"))
        self.register_buffer("std", _row(std, 1.0, in_channels, "std"))
        self.lin = Linear(in_channels, channels)
        self.dropout = Dropout(dropout)
        self.activation = activation() if activation else nn.Identity()

    def reset_parameters(self) -> None:
        self.lin.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        x = (x.to(self.mean.dtype) - self.mean) / self.std
        return self.activation(self.dropout(self.lin(x)))


def _known(
    name: str, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[Sequence[float], Sequence[float]]:
    if mean is not None or std is not None:
        raise ConfigError("LinearEncoder takes either statistics, or mean and std, not both")
    if name not in SUPERPIXEL_STATISTICS:
        raise ConfigError(f"unknown statistics '{name}'", hint=nearest(name, SUPERPIXEL_STATISTICS))
    return SUPERPIXEL_STATISTICS[name]


def _row(values: Sequence[float] | None, default: float, width: int, name: str) -> Tensor:
    row = torch.full((width,), default) if values is None else torch.tensor(values, dtype=torch.float)
    if row.numel() != width:
        raise ConfigError(f"LinearEncoder has in_channels={width}, but {name} has {row.numel()} values")
    return row
