"""The small perceptron inside GIN and GINE, and the feed-forward part of a transformer-like block."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gnnlab.nn._reset import reset
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear
from gnnlab.nn.norm import BatchNorm, normalise_and_activate

__all__ = ["MLP"]


class MLP(nn.Sequential):
    r"""Linear layers with normalisation, activation and dropout between them, and dropout at the end.

    The hidden width is ``expansion * out_channels``. The defaults are the MLP of the tuned LRGB GINE
    (Linear, activation, dropout, Linear, dropout); ``expansion=2, norm=BatchNorm`` is OGB's
    :math:`d \to 2d \to d`.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        num_layers: Number of Linear layers, at least 1.
        expansion: Hidden width divided by ``out_channels``.
        norm: Factory (channels) of the normalisation after every hidden Linear; ``None`` for none.
        activation: Factory of the activation of the hidden layers.
        dropout: Probability of dropping a channel after every activation and after the last Linear.

    Shapes:
        * **input:** [N, in_channels]
        * **output:** [N, out_channels]

    Example:
        >>> [type(layer).__name__ for layer in MLP(8, 4, norm=nn.BatchNorm1d)]
        ['Linear', 'BatchNorm1d', 'ReLU', 'Dropout', 'Linear', 'Dropout']
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_layers: int = 2,
        expansion: float = 1.0,
        norm: Callable[[int], nn.Module] | None = None,
        activation: Callable[[], nn.Module] = nn.ReLU,
        dropout: float = 0.0,
    ) -> None:
        hidden = round(expansion * out_channels)
        widths = [in_channels] + [hidden] * (num_layers - 1)
        layers: list[nn.Module] = []
        for width in widths[:-1]:
            normalised = [] if norm is None else [norm(hidden)]
            layers += [Linear(width, hidden), *normalised, activation(), Dropout(dropout)]
        layers += [Linear(widths[-1], out_channels), Dropout(dropout)]
        super().__init__(*layers)

    def forward(self, x: Tensor) -> Tensor:
        layers = iter(self)
        for layer in layers:
            # An activation follows every normalisation.
            x = normalise_and_activate(layer, next(layers), x) if isinstance(layer, BatchNorm) else layer(x)
        return x

    def reset_parameters(self) -> None:
        for layer in self:
            reset(layer)
