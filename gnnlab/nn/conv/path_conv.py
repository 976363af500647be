"""Convolution over paths, of Michel et al."""

from __future__ import annotations

from typing import NamedTuple, get_args

import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.graph import enumerate_paths, path_distances, path_edges
from gnnlab.graph.paths import PathKind
from gnnlab.nn._path_lstm import EdgeInput, PathLSTM
from gnnlab.nn.linear import Linear
from gnnlab.ops import CSR, as_csr, scatter_reduce
from gnnlab.typing import Adjacency, Reduce

__all__ = ["PathConv"]


class PathConv(nn.Module):
    r"""Sum over the paths that end in a node (Michel et al., "Path Neural Networks", ICML 2023, arXiv 2306.05955).

    .. math:: x'_v = x_v + \sum_{l = 1}^{K} \sum_{p \in P_l(v)} \mathrm{LSTM}(x_{p_l}, \dots, x_{p_1}, x_{p_0}),
        \qquad p_0 = v

    One LSTM reads paths of all lengths, from the far end to the root, along the direction of the edges. Unlike in
    :class:`gnnlab.nn.PathNN`, whose layer l sees paths of length l alone and which shares one LSTM between layers, the
    layer is complete in itself and drops into any model. It finds the paths when it is called, once per batch for all
    layers of a model that ask for the same ones (if given a CSR).

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        length: Most edges of a path, K.
        kind: ``all_shortest``, ``simple``, or ``shortest`` (which depends on the numbers of the nodes); see
            :func:`gnnlab.graph.enumerate_paths`.
        distances: Whether a step also reads an embedding of its distance to v.
        edge_dim: Width of the edge features, of which a step also reads those of the edge taken to it; ``None`` for
            none. Features of parallel edges are averaged.
        aggr: ``sum`` or ``mean`` over the paths of one length.
        root_weight: Whether :math:`x_v` is added, through a Linear where the widths differ.
        max_gigabytes: Most memory (GiB) of the paths of one length, and of their states kept for the gradient.

    Shapes:
        * **x:** [N, in_channels]
        * **adj:** CSR, or edge_index [2, E]
        * **edge_attr:** [E, edge_dim], ignored without ``edge_dim``
        * **output:** [N, out_channels]

    Raises:
        ConfigError: an unknown ``aggr`` or ``kind``, or a ``length`` below 1.
        GraphError: no edge features where they are read.
        BudgetError: more paths than fit.

    Example:
        >>> conv = PathConv(3, 8, length=2)
        >>> conv(torch.randn(4, 3), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])).shape
        torch.Size([4, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        length: int = 2,
        kind: PathKind = "all_shortest",
        distances: bool = False,
        edge_dim: int | None = None,
        aggr: Reduce = "sum",
        root_weight: bool = True,
        max_gigabytes: float = 2.0,
    ) -> None:
        super().__init__()
        if aggr not in ("sum", "mean"):
            raise ConfigError(f"aggr must be sum or mean, got '{aggr}'", where="PathConv")
        if kind not in get_args(PathKind):
            raise ConfigError(f"unknown kind '{kind}'", where="PathConv", hint=nearest(str(kind), get_args(PathKind)))
        if length < 1:
            raise ConfigError(f"length must be at least 1, got {length}", where="PathConv")
        self.length, self.kind, self.edge_dim, self.aggr = length, kind, edge_dim, aggr
        self.max_gigabytes = max_gigabytes
        self.distance = nn.Embedding(length + 1, out_channels) if distances else None
        self.lstm = PathLSTM(
            in_channels, out_channels, out_channels if distances else 0, edge_dim or 0, max_gigabytes=max_gigabytes
        )
        self.root = None
        if root_weight:
            self.root = nn.Identity() if in_channels == out_channels else Linear(in_channels, out_channels, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self.lstm.reset_parameters()
        if self.distance is not None:
            nn.init.xavier_uniform_(self.distance.weight)
        if isinstance(self.root, Linear):
            self.root.reset_parameters()

    def forward(self, x: Tensor, adj: Adjacency, edge_attr: Tensor | None = None) -> Tensor:
        adj = as_csr(adj, x.size(0))
        wanted = self.length, self.kind, self.distance is not None, self.edge_dim is not None
        found = adj.memo(("paths", *wanted), lambda: _find(adj, *wanted, self.max_gigabytes))
        attr = None
        if self.edge_dim is not None:
            if edge_attr is None:
                raise GraphError("PathConv with edge_dim needs edge features 'edge_attr'")
            attr = scatter_reduce(edge_attr, found.parallel, found.edge_index.size(1), "mean")
        out = None if self.root is None else self.root(x)
        for i, paths in enumerate(found.paths):
            distance = None if self.distance is None else (self.distance.weight, found.distances[i])
            edges = None if attr is None else EdgeInput(attr, found.edge_index[1], found.taken[i])
            states = self.lstm(x, paths, self.aggr, distance, edges)
            out = states if out is None else out + states
        return out

    def extra_repr(self) -> str:
        return f"length={self.length}, kind={self.kind}, aggr={self.aggr}"


class _Found(NamedTuple):
    """Paths of every length with what is asked along them, the edges without parallels, and which of these each is."""

    paths: list[Tensor]
    distances: list[Tensor]
    taken: list[Tensor]
    edge_index: Tensor
    parallel: Tensor


def _find(adj: CSR, length: int, kind: PathKind, distances: bool, edges: bool, max_gigabytes: float) -> _Found:
    num_nodes, whole = adj.num_nodes, torch.tensor([0, adj.num_nodes], device=adj.device)
    source, target = adj.edge_index
    key, parallel = (source * num_nodes + target).unique(return_inverse=True)
    edge_index = torch.stack([key // max(num_nodes, 1), key % max(num_nodes, 1)])
    outwards = edge_index.flip(0)
    paths = enumerate_paths(outwards, num_nodes, length, kind, max_paths=2**62, max_gigabytes=max_gigabytes)
    return _Found(
        paths,
        [path_distances(table, outwards, whole) for table in paths] if distances else [],
        [path_edges(table, outwards, num_nodes) for table in paths] if edges else [],
        edge_index,
        parallel,
    )
