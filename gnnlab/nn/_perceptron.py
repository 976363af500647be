"""Linear layers, each normalised and activated."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gnnlab.nn.linear import Linear

__all__ = ["perceptron"]


def perceptron(
    in_channels: int,
    out_channels: int,
    num_layers: int,
    norm: Callable[[int], nn.Module] | None,
    activation: Callable[[], nn.Module],
) -> list[nn.Module]:
    """``num_layers`` times Linear, normalisation (if any) and activation, the last one included."""
    layers: list[nn.Module] = []
    for layer in range(num_layers):
        width = out_channels if layer else in_channels
        layers += [Linear(width, out_channels), *([] if norm is None else [norm(out_channels)]), activation()]
    return layers
