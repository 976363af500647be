"""A head whose hidden layers are one layer, applied several times."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._reset import reset
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear

__all__ = ["RepeatedHead"]


class RepeatedHead(nn.Module):
    r"""Decoder of the released code of cooperative networks: ``num_layers - 1`` times the same Linear, dropout and
    activation, then another Linear.

    There a list of layers is multiplied, which repeats one object: from three layers on it has fewer weights than
    :class:`gnnlab.nn.MLPHead`, which is what was meant.

    Args:
        in_channels: Width of the states.
        out_channels: Width of the prediction.
        num_layers: Linear layers applied, at least 1.
        dropout: Probability of dropping a channel after every hidden Linear.
        activation: Factory of the activation.

    Shapes:
        * **output:** [G or N, out_channels]

    Raises:
        ConfigError: no layer.

    Example:
        >>> sum(p.numel() for p in RepeatedHead(16, 1, num_layers=5).parameters()) == 16 * 17 + 17
        True
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_layers: int = 2,
        dropout: float = 0.0,
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, got {num_layers}", where="RepeatedHead")
        self.num_layers = num_layers
        self.hidden = Linear(in_channels, in_channels) if num_layers > 1 else None
        self.dropout, self.activation = Dropout(dropout), activation()
        self.last = Linear(in_channels, out_channels)

    def reset_parameters(self) -> None:
        reset(self.hidden)
        reset(self.last)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.num_layers - 1):
            x = self.activation(self.dropout(self.hidden(x)))
        return self.last(x)
