"""One step of a message passing neural network: towers, and the master node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges, accepted_arguments, propagate
from gnnlab.nn._reset import reset
from gnnlab.nn.linear import Linear
from gnnlab.ops import CSR, segment_expand, segment_reduce

__all__ = ["Master", "Tower", "both_directions"]


def both_directions(edges: Edges) -> list[Edges]:
    """The edges, and the same edges turned round (kept by the CSR, so that all steps share it)."""
    adj: CSR = edges.adj.memo("reversed", edges.adj.t)
    flipped = None if edges.edge_index is None else edges.edge_index.flip(0)
    return [edges, replace(edges, adj=adj, edge_index=flipped)]


class Tower(nn.Module):
    """Message functions, one per direction, and the update, on some of the channels.

    Args:
        channels: Width of the states.
        message: Factory (in_channels, out_channels) of a message function or convolution.
        update: Factory (input, state) of the update.
        directions: Number of directions.
    """

    def __init__(
        self,
        channels: int,
        message: Callable[[int, int], nn.Module],
        update: Callable[[int, int], nn.Module],
        directions: int,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.messages = nn.ModuleList(message(channels, channels) for _ in range(directions))
        self.accepted = [accepted_arguments(each) for each in self.messages]
        self.update = update(directions * channels, channels)

    def reset_parameters(self) -> None:
        for module in (*self.messages, self.update):
            reset(module)

    def encoded(self, ways: Sequence[Edges], num_nodes: int) -> list[Edges]:
        """The edges of every direction with what the messages make of their features: once for all steps."""
        return [_encoded(message, edges, num_nodes) for message, edges in zip(self.messages, ways, strict=True)]

    def forward(self, x: Tensor, ways: Sequence[Edges], extra: Tensor | None) -> Tensor:
        """New states; ``extra`` is added to the messages."""
        parts = [
            propagate(message, accepted, x, edges)[0]
            for message, accepted, edges in zip(self.messages, self.accepted, ways, strict=True)
        ]
        wrong = [part.size(-1) for part in parts if part.size(-1) != self.channels]
        if wrong:
            name = type(self.messages[0]).__name__
            raise ConfigError(f"{name} returned {wrong[0]} channels where the model asked for {self.channels}")
        total = torch.cat(parts, dim=-1)
        return self.update(total if extra is None else total + extra, x)


class Master(nn.Module):
    r"""A latent node per graph, joined to all its nodes by edges of a type of their own.

    It gets the sum of linear messages of all nodes, has an update of its own, and sends a linear message to each.

    Args:
        channels: Width of the node states.
        master_channels: Width of the master's state, 0 at the beginning.
        update: Factory (input, state) of the update.
        directions: Number of directions, whose messages are concatenated.
    """

    def __init__(
        self, channels: int, master_channels: int, update: Callable[[int, int], nn.Module], directions: int
    ) -> None:
        super().__init__()
        self.master_channels = master_channels
        self.to_master = Linear(channels, directions * master_channels, bias=False)
        self.to_nodes = Linear(master_channels, directions * channels, bias=False)
        self.update = update(directions * master_channels, master_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    def initial(self, x: Tensor, ptr: Tensor) -> Tensor:
        """[G, master_channels], zeros."""
        return x.new_zeros(ptr.numel() - 1, self.master_channels)

    def message(self, state: Tensor, ptr: Tensor, num_nodes: int) -> Tensor:
        """[N, directions * channels], what every node gets."""
        return segment_expand(self.to_nodes(state), ptr, num_nodes)

    def forward(self, x: Tensor, state: Tensor, ptr: Tensor) -> Tensor:
        """The master's new state."""
        return self.update(self.to_master(segment_reduce(x, ptr, "sum")), state)


def _encoded(message: nn.Module, edges: Edges, num_nodes: int) -> Edges:
    encode = getattr(message, "encode_edges", None)
    return edges if encode is None else replace(edges, attr=encode(edges.attr, num_nodes))
