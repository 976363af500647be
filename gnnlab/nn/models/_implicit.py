"""What models share whose states are defined by an equation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._reset import reset
from gnnlab.nn.implicit.convergence import Convergence, NotConverged, check_not_converged
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer
from gnnlab.nn.models._readout import Readout
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["ImplicitModel", "feature_width", "node_readout", "outside_inference"]


class ImplicitModel(nn.Module, ABC):
    """Encoder, states that an equation defines, readout; the equation is the subclass's.

    Attributes:
        convergence: How the last search for the states ended.
        adjoint_convergence: How the last backward pass's solve ended.
    """

    def __init__(
        self,
        encoder: nn.Module | None,
        readout: Readout,
        tolerance: float,
        max_iterations: int,
        not_converged: NotConverged,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_not_converged(not_converged, name)
        if not 0 < tolerance < float("inf") or max_iterations < 1:
            raise ConfigError(
                f"tolerance must be positive and max_iterations at least 1, got {tolerance} and {max_iterations}",
                where=name,
            )
        self.encoder, self.readout = encoder, readout
        self.tolerance, self.max_iterations, self.not_converged = tolerance, max_iterations, not_converged
        self.convergence: Convergence | None = None
        self.adjoint_convergence: Convergence | None = None

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        states = self.states(batch)
        return self.readout(states, graph_pointer(batch, states[0]))

    def states(self, batch: Data) -> list[Tensor]:
        """Features [N, F] the equation reads, and the node states that solve it, for analysis."""
        x, edges = self.inputs(batch)
        return [x, *self.solve(x, edges)]

    def inputs(self, batch: Data) -> tuple[Tensor, Edges]:
        """Features of the nodes, and the edges with theirs."""
        x, edge_attr = encoded(self.encoder, batch)
        return x, edges_of(batch, edge_attr, x.size(0), graph_pointer(batch, x))

    @abstractmethod
    def solve(self, x: Tensor, edges: Edges) -> list[Tensor]:
        """States [N, d] that solve the equation, the last of which are read out."""


def feature_width(encoder: Callable | None, hidden_channels: int, in_channels: int | None, where: str) -> int:
    """Width of what the encoder, or the batch, gives."""
    width = hidden_channels if encoder is not None else in_channels
    if width is None:
        raise ConfigError("neither an encoder nor in_channels, so the width of x is unknown", where=where)
    return width


def node_readout(
    width: int, out_channels: int, head: Callable[[int, int], nn.Module], pool: Reduce, level: TaskLevel
) -> Readout:
    """The head on the last states, pooled where a prediction is made for graphs."""
    return Readout([width], out_channels, head, pool if level == "graph" else None, "last")


def outside_inference(edges: Edges) -> Edges:
    """Edges that autograd may use: what was made under ``inference_mode`` is copied."""
    adj, weight = edges.adj, edges.weight
    if adj.ptr.is_inference():
        adj = adj.to(adj.device, copy=True)
    if weight is not None and weight.is_inference():
        weight = torch.clone(weight)
    return replace(edges, adj=adj, weight=weight)
