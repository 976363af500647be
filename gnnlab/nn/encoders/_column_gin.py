"""A graph isomorphism network that treats every column of a signal by itself."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn.encoders._real_norm import RealBatchNorm
from gnnlab.nn.linear import Linear
from gnnlab.ops import CSR, aggregate

__all__ = ["ColumnGIN", "Norm"]

Norm = Literal["batch"] | None


class ColumnGIN(nn.Module):
    r"""GIN (Xu et al., ICLR 2019) with the same weights for each of S columns, one sparse product for all of them.

    .. math::
        h'_{vs} = \mathrm{MLP}\Big((1 + \epsilon) h_{vs} + \sum_{u \to v} h_{us}\Big)

    MLPs have two Linear layers; normalisation and ReLU follow every Linear but the last.

    Args:
        in_channels: Channels of a column.
        hidden_channels: Width of all layers.
        out_channels: Channels of a column of the output.
        num_layers: Number of layers, at least 1.
        norm: ``batch`` for BatchNorm over the real entries, ``None`` for none.

    Shapes:
        * **x:** [N, S, in_channels]
        * **real:** [N, S] bool, False at padding, which takes no part in the statistics
        * **adj:** CSR
        * **output:** [N, S, out_channels]
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int, num_layers: int, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, got {num_layers}")
        widths = [in_channels] + [hidden_channels] * (2 * num_layers - 1)
        self.hidden = nn.ModuleList(_Step(width, hidden_channels, norm) for width in widths[:-1])
        self.last = Linear(hidden_channels, out_channels)
        self.eps = nn.Parameter(torch.zeros(num_layers))

    def reset_parameters(self) -> None:
        for step in self.hidden:
            step.reset_parameters()
        self.last.reset_parameters()
        nn.init.zeros_(self.eps)

    def forward(self, x: Tensor, real: Tensor, adj: CSR) -> Tensor:
        for index, step in enumerate(self.hidden):
            if index % 2 == 0:
                x = (1 + self.eps[index // 2]) * x + aggregate(x.flatten(1), adj).view_as(x)
            x = step(x, real)
        return self.last(x)


class _Step(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.lin = Linear(in_channels, out_channels)
        self.norm = None if norm is None else RealBatchNorm(out_channels)

    def reset_parameters(self) -> None:
        self.lin.reset_parameters()
        if self.norm is not None:
            self.norm.reset_parameters()

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        x = self.lin(x)
        return (x if self.norm is None else self.norm(x, real)).relu()
