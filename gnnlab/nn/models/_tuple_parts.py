"""What networks on labelled copies share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn._labelled_rows import RowBudget
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._reset import reset
from gnnlab.nn._tuple_store import Tuples
from gnnlab.nn.conv.subgraph_conv import SubgraphConv
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear
from gnnlab.nn.norm import normalise_and_activate

__all__ = ["PoolLayer", "RowStream", "budget", "check_choices", "paper_head"]


class RowStream(nn.Module):
    """Layers inside copies of the graph.

    Args:
        widths: Of the states, from the first to the last.
        layer: Factory (in_channels, out_channels) of a :class:`gnnlab.nn.SubgraphConv` with ``uL`` alone.
        residual: Whether every layer adds its input, where the widths agree.
        dropout: Probability of dropping a channel after every layer.
    """

    def __init__(
        self, widths: Sequence[int], layer: Callable[[int, int], SubgraphConv], residual: bool, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer(i, o) for i, o in pairwise(widths))
        self.residual, self.dropout = residual, Dropout(dropout)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, h: Tensor, rows: Tuples, edges: Edges) -> list[Tensor]:
        """The states before the first layer and after every layer."""
        states = [h]
        for layer in self.layers:
            h = self.dropout(layer(states[-1], rows, edges.adj, edges.attr, edges.weight))
            states.append(h + states[-1] if self.residual and h.shape == states[-1].shape else h)
        return states


class PoolLayer(nn.Module):
    r"""The layer between two poolings, :math:`\phi(\mathrm{norm}(\mathrm{MLP}(\cdot)))`.

    Args:
        channels: Width of the states.
        update: Factory (in_channels, out_channels) of the MLP.
        norm: Factory (channels) of the normalisation; ``None`` for none.
        activation: Factory of the activation.
    """

    def __init__(
        self,
        channels: int,
        update: Callable[[int, int], nn.Module],
        norm: Callable[[int], nn.Module] | None,
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.update = update(channels, channels)
        self.norm = nn.Identity() if norm is None else norm(channels)
        self.activation = activation()

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def forward(self, h: Tensor) -> Tensor:
        return normalise_and_activate(self.norm, self.activation, self.update(h))


def budget(where: str, channels: int, layers: int, x: Tensor, max_gigabytes: float) -> RowBudget:
    """Of the states of so many layers, which are kept where there is a gradient."""
    kept = 3 * layers + 2 if torch.is_grad_enabled() else 4
    return RowBudget(where, kept * channels * x.element_size(), max_gigabytes)


def check_choices(where: str, **choices: tuple[str, Sequence[str]]) -> None:
    """Raise a ``ConfigError`` for the first value that is not among the known ones."""
    for name, (value, known) in choices.items():
        if value not in known:
            raise ConfigError(f"unknown {name} '{value}'", where=where, hint=nearest(str(value), known))


def paper_head(in_channels: int, out_channels: int) -> nn.Module:
    """Linear, ReLU, Linear, as in GNN-SSWL."""
    return nn.Sequential(Linear(in_channels, 2 * in_channels), nn.ReLU(), Linear(2 * in_channels, out_channels))
