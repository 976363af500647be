"""An LSTM that reads paths, from their far end to their root, and sums what it makes of them at the roots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn._path_step import Runs, lstm_step, runs_of
from gnnlab.nn.dropout import Dropout
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import gather, scatter_reduce

__all__ = ["EdgeInput", "PathLSTM"]

Steps: TypeAlias = list[list[tuple[Tensor, Tensor]]]
"""Per step the tables it reads, each with the row [P] that every path reads."""


class EdgeInput(NamedTuple):
    """What paths read of the edges.

    Args:
        attr: [E, edge_channels] features, or their table.
        target: [E] long, the node every edge leads to.
        taken: [P, l] long, edge from every node of a path to the one before it.
    """

    attr: Tensor | EdgeTable
    target: Tensor
    taken: Tensor


class PathLSTM(nn.Module):
    r"""One LSTM (one layer, one direction, with biases) over paths of one length.

    .. math:: x'_v = \sum_{p \in P(v)} \mathrm{LSTM}(x_{p_l}, \dots, x_{p_1}, x_{p_0})

    A step reads the state of a node, the embedding of its distance and the features of the edge taken to it (zeros
    at the far end), side by side. The result is that of ``torch.nn.LSTM``, whose parameters have the same names. But
    inputs are projected per node and per edge, not per path and step; paths that begin alike and stand together share
    their states; and nothing that was gathered is kept for the gradient.

    Args:
        in_channels: Width of the node states.
        out_channels: Width d of the output.
        distance_channels: Width of the embedding of distances; 0 for none.
        edge_channels: Width of edge features; 0 for none.
        max_gigabytes: Most memory (GiB) of states kept for the gradient; above, paths are read in parts, and read
            again in the backward pass.
        dropout: Probability of dropping an input, drawn anew for every step of every path. In training, inputs are
            then projected per path and step.
        share: Whether paths share states; ``None``: on the CPU (a GPU would have to wait for their number).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        distance_channels: int = 0,
        edge_channels: int = 0,
        max_gigabytes: float = 2.0,
        dropout: float = 0.0,
        share: bool | None = None,
    ) -> None:
        super().__init__()
        if max_gigabytes <= 0:
            raise ConfigError(f"max_gigabytes must be positive, got {max_gigabytes}", where="PathLSTM")
        self.widths = [in_channels, distance_channels, edge_channels]
        self.out_channels, self.max_gigabytes, self.share = out_channels, max_gigabytes, share
        self.dropout = Dropout(dropout)
        gates = 4 * out_channels
        self.weight_ih_l0 = nn.Parameter(torch.empty(gates, sum(self.widths)))
        self.weight_hh_l0 = nn.Parameter(torch.empty(gates, out_channels))
        self.bias_ih_l0 = nn.Parameter(torch.empty(gates))
        self.bias_hh_l0 = nn.Parameter(torch.empty(gates))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.out_channels)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self,
        x: Tensor,
        paths: Tensor,
        reduce: str = "sum",
        distance: tuple[Tensor, Tensor] | None = None,
        edges: EdgeInput | None = None,
    ) -> Tensor:
        """Sum or mean [N, out_channels] over the paths of every node; 0 where there are none.

        Args:
            x: [N, in_channels].
            paths: [P, l + 1] long, root first.
            reduce: ``sum`` or ``mean``.
            distance: Embeddings [K + 1, distance_channels], and the distance [P, l + 1] long of every node of a path.
            edges: Features of the edges, and which of them the paths take.
        """
        given = [x.size(1), *(0 if part is None else part[0].size(-1) for part in (distance, _rows(edges)))]
        if given != self.widths:
            raise GraphError(f"nodes, distances and edges have {given} channels, but the LSTM reads {self.widths}")
        dense = self.training and self.dropout.p > 0
        steps = (_features if dense else self._projected)(x, paths, distance, edges)
        share = not dense and (x.device.type == "cpu" if self.share is None else self.share)
        runs = _runs(steps) if share else None
        kept = paths.numel() if runs is None else sum(each.first.numel() for each in runs)
        kept *= 6 * self.out_channels * x.element_size()  # four gates, hidden and cell state
        parts = min(math.ceil(kept / (self.max_gigabytes * 2**30)), paths.size(0))
        if parts <= 1:
            return scatter_reduce(self._read(steps, runs, dense), paths[:, 0], x.size(0), reduce)
        total = x.new_zeros(())
        for rows in torch.arange(paths.size(0), device=x.device).tensor_split(parts):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            if torch.is_grad_enabled():
                states = checkpoint(self._read_part, steps, part, share, dense, use_reentrant=False)
            else:
                states = self._read_part(steps, part, share, dense)
            total = total + scatter_reduce(states, paths[part, 0], x.size(0))
        if reduce == "sum":
            return total
        return total / torch.bincount(paths[:, 0], minlength=x.size(0)).clamp(min=1)[:, None]

    def extra_repr(self) -> str:
        return f"{self.widths[0]}, {self.out_channels}, distances={self.widths[1]}, edges={self.widths[2]}"

    def _projected(
        self, x: Tensor, paths: Tensor, distance: tuple[Tensor, Tensor] | None, edges: EdgeInput | None
    ) -> Steps:
        """Tables of gates. That of the edges holds their targets too, so that one row is read for both."""
        to_node, to_distance, to_edge = self.weight_ih_l0.split(self.widths, 1)
        nodes = F.linear(x, to_node, self.bias_ih_l0 + self.bias_hh_l0)
        steps = [[(nodes, column)] for column in _from_the_end(paths)]
        if edges is not None:
            rows, _ = _rows(edges)
            gates = F.linear(rows, to_edge)
            gates = gather(gates, edges.attr.index) if isinstance(edges.attr, EdgeTable) else gates
            gates = gates + gather(nodes, edges.target)
            steps[1:] = [[(gates, column)] for column in _from_the_end(edges.taken)]
        if distance is not None:
            gates = F.linear(distance[0], to_distance)
            steps = [[*step, (gates, column)] for step, column in zip(steps, _from_the_end(distance[1]), strict=True)]
        return steps

    def _read(self, steps: Steps, runs: list[Runs] | None, dense: bool) -> Tensor:
        """[P, out_channels] hidden states at the root."""
        state = None
        for t, step in enumerate(steps):
            if dense:
                read = self.dropout(torch.cat([gather(*part) for part in step], 1))
                bias = self.bias_ih_l0 + self.bias_hh_l0
                inputs = [(F.linear(read, self.weight_ih_l0[:, : read.size(1)], bias), None)]
            else:
                inputs = [(table, column if runs is None else column[runs[t].first]) for table, column in step]
            state = lstm_step(inputs, state, runs[t] if runs and t else None, self.weight_hh_l0.to(inputs[0][0].dtype))
        return state[0]

    def _read_part(self, steps: Steps, part: slice, share: bool, dense: bool) -> Tensor:
        steps = [[(table, column[part]) for table, column in step] for step in steps]
        return self._read(steps, _runs(steps) if share else None, dense)


def _features(x: Tensor, paths: Tensor, distance: tuple[Tensor, Tensor] | None, edges: EdgeInput | None) -> Steps:
    """Tables of what is read before it is projected; at the far end no edge is."""
    steps = [[(x, column)] for column in _from_the_end(paths)]
    if distance is not None:
        embedding, places = distance
        steps = [[*step, (embedding, column)] for step, column in zip(steps, _from_the_end(places), strict=True)]
    if edges is not None:
        rows, index = _rows(edges)
        taken = edges.taken if index is None else index[edges.taken]
        later = [[*step, (rows, column)] for step, column in zip(steps[1:], _from_the_end(taken), strict=True)]
        steps = [steps[0], *later]
    return steps


def _rows(edges: EdgeInput | None) -> tuple[Tensor, Tensor | None] | None:
    """The different edge features, and the row of every edge (``None``: each its own)."""
    if edges is None:
        return None
    return tuple(edges.attr) if isinstance(edges.attr, EdgeTable) else (edges.attr, None)


def _from_the_end(columns: Tensor) -> Sequence[Tensor]:
    return columns.flip(1).t().contiguous().unbind()


def _runs(steps: Steps) -> list[Runs]:
    return runs_of([[column for _, column in step] for step in steps])
