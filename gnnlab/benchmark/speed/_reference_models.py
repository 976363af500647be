"""Models the way they are usually written: paths node by node, every step of every path a row, a matrix per edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

__all__ = ["EdgeNetwork", "NormedEncoder", "PathNetwork", "igraph_paths", "networkx_paths"]


def networkx_paths(graph: nx.Graph, length: int, kind: str) -> list[list[list[int]]]:
    """Paths of every length from 1, found from one node after the other by networkx."""
    return _by_length((path for node in graph for path in _NETWORKX[kind](graph, node, length)), length)


def igraph_paths(graph: Any, length: int, kind: str) -> list[list[list[int]]]:
    """The same by igraph, which is asked for no node that is too far away."""
    near = graph.neighborhood(order=length, mindist=1)
    return _by_length(
        (path for node, ends in enumerate(near) for path in _IGRAPH[kind](graph, node, ends, length)), length
    )


class PathNetwork(nn.Module):
    """Path neural network of which ``torch.nn.LSTM`` reads all steps of all paths.

    Args:
        channels: Width of the states.
        out_channels: Width of the prediction.
        length: Longest paths.
        distances: Whether a step also reads an embedding of its distance.
    """

    def __init__(self, channels: int, out_channels: int, length: int, distances: bool) -> None:
        super().__init__()
        self.distance = nn.Embedding(length + 1, channels) if distances else None
        self.lstm = nn.LSTM((1 + distances) * channels, channels, batch_first=True)
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(length))
        self.head = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, out_channels))

    def forward(self, x: Tensor, paths: Sequence[Tensor], places: Sequence[Tensor], batch: Tensor) -> Tensor:
        """Prediction [G, out_channels] from paths [P, l + 1] and distances along them, root first."""
        for i, norm in enumerate(self.norms):
            read = x[paths[i].flip(1)]
            if self.distance is not None:
                read = torch.cat([read, self.distance(places[i].flip(1))], 2)
            _, (last, _) = self.lstm(read)
            x = norm(x.index_add(0, paths[i][:, 0], last[0])).relu()
        pooled = x.new_zeros(int(batch[-1]) + 1, x.size(1)).index_add(0, batch, x)
        return self.head(pooled)


class EdgeNetwork(nn.Module):
    """Steps of message passing with a matrix per edge, which is made once, and a GRU.

    Args:
        channels: Width of the states.
        edge_channels: Width of the edge features.
        network_channels: Hidden width of the network that makes the matrices.
    """

    def __init__(self, channels: int, edge_channels: int, network_channels: int) -> None:
        super().__init__()
        layers = nn.Linear(edge_channels, network_channels), nn.ReLU(), nn.Linear(network_channels, channels**2)
        self.network = nn.Sequential(*layers)
        self.update = nn.GRUCell(channels, channels)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, steps: int) -> Tensor:
        """States [N, channels] after the steps."""
        matrices = self.network(edge_attr).view(-1, x.size(1), x.size(1))
        for _ in range(steps):
            messages = torch.bmm(x[edge_index[0]].unsqueeze(1), matrices).squeeze(1)
            x = self.update(torch.zeros_like(x).index_add(0, edge_index[1], messages), x)
        return x


class NormedEncoder(nn.Module):
    """An encoder and a normalisation of its node states."""

    def __init__(self, encoder: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.encoder, self.norm = encoder, norm

    def forward(self, batch: Data) -> tuple[Tensor, Tensor | None]:
        x, edge_attr = self.encoder(batch)
        return self.norm(x), edge_attr


def _by_length(paths: Iterable[Sequence[int]], length: int) -> list[list[Sequence[int]]]:
    result: list[list[Sequence[int]]] = [[] for _ in range(length)]
    for path in paths:
        if len(path) > 1:
            result[len(path) - 2].append(path)
    return result


def _all_shortest(graph: nx.Graph, node: int, length: int) -> Iterable[list[int]]:
    found = {node: [[node]]}
    # Nodes come in the order of their distance, so the paths to those before them are known.
    for end, before in nx.predecessor(graph, node, cutoff=length).items():
        if end != node:
            found[end] = [[*path, end] for one in before for path in found[one]]
            yield from found[end]


_NETWORKX = {
    "shortest": lambda graph, node, length: nx.single_source_shortest_path(graph, node, cutoff=length).values(),
    "all_shortest": _all_shortest,
    "simple": lambda graph, node, length: nx.all_simple_paths(
        graph, node, [other for other in graph if other != node], cutoff=length
    ),
}

_IGRAPH = {
    "shortest": lambda graph, node, ends, length: graph.get_shortest_paths(node, to=ends),
    "all_shortest": lambda graph, node, ends, length: graph.get_all_shortest_paths(node, to=ends),
    "simple": lambda graph, node, ends, length: graph.get_all_simple_paths(node, maxlen=length),
}
