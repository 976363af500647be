"""Encoder of real-valued features by several linear layers."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.nn._perceptron import perceptron
from gnnlab.nn._reset import reset
from gnnlab.nn.norm import BatchNorm

__all__ = ["MLPEncoder"]


class MLPEncoder(nn.Sequential):
    """``num_layers`` times Linear, normalisation and activation, the last one included.

    Args:
        channels: Width of the output.
        in_channels: Width of the features.
        num_layers: Number of Linear layers, at least 1.
        norm: Factory (channels) of the normalisation after every Linear; ``None`` for none.
        activation: Factory of the activation.

    Shapes:
        * **x:** [N, in_channels] (any numeric type)
        * **output:** [N, channels]

    Example:
        >>> import torch
        >>> MLPEncoder(16, 3)(torch.rand(5, 3)).shape
        torch.Size([5, 16])
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        num_layers: int = 2,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__(*perceptron(in_channels, channels, num_layers, norm, activation))

    def reset_parameters(self) -> None:
        for layer in self:
            reset(layer)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self[0].weight.dtype))
