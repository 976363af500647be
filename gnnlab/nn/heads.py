"""From a graph's or node's state to the prediction."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gnnlab.nn._reset import reset
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear

__all__ = ["MLPHead"]


class MLPHead(nn.Sequential):
    r"""Hidden layers of constant width (dropout, Linear, activation), then a Linear.

    The head of the tuned LRGB models ("Where did the gap go?", Tönshoff et al., TMLR 2024), where its
    depth alone explains much of the gap on the peptides: state ``num_layers`` with every result.

    Args:
        in_channels: Width of the states.
        out_channels: Width of the prediction.
        num_layers: Number of Linear layers, at least 1 (a single Linear).
        dropout: Probability of dropping a channel before every hidden Linear.
        activation: Factory of the activation of the hidden layers.
        output_dropout: Probability of dropping an output, as GIN's code does to the scores of each layer.

    Shapes:
        * **input:** [G or N, in_channels]
        * **output:** [G or N, out_channels]

    Example:
        >>> [type(layer).__name__ for layer in MLPHead(16, 1, num_layers=2, dropout=0.1)]
        ['Dropout', 'Linear', 'GELU', 'Linear']
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        activation: Callable[[], nn.Module] = nn.GELU,
        output_dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = []
        for _ in range(num_layers - 1):
            layers += [Dropout(dropout), Linear(in_channels, in_channels), activation()]
        layers.append(Linear(in_channels, out_channels))
        if output_dropout:
            layers.append(Dropout(output_dropout))
        super().__init__(*layers)

    def reset_parameters(self) -> None:
        for layer in self:
            reset(layer)
