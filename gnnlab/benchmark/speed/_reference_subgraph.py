"""Subgraph networks the way they are usually written: every aggregation an index of pairs, edge features repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

__all__ = ["SubgraphNetwork", "distances_numpy", "distances_torch", "indices", "node_pairs", "through"]

_LOCAL = ("uL", "vL")


def node_pairs(
    edge_index: Tensor, num_nodes: int, max_distance: int, distances: Callable[[Tensor, int], Tensor]
) -> Data:
    """A graph with all pairs of its nodes and their distances, ``max_distance`` at most and 1 more where there is no
    way."""
    distance = distances(edge_index, num_nodes)
    mark = torch.where(distance.isinf(), max_distance + 1, distance.clamp(max=max_distance)).long().flatten()
    nodes = torch.arange(num_nodes)
    pairs = torch.stack([nodes.repeat_interleave(num_nodes), nodes.repeat(num_nodes)])
    return Data(edge_index=edge_index, num_nodes=num_nodes, pair_index=pairs, pair_mark=mark)


def distances_torch(edge_index: Tensor, num_nodes: int) -> Tensor:
    """[n, n] hops by Floyd and Warshall's loop over the nodes."""
    distance = torch.full((num_nodes, num_nodes), torch.inf)
    distance[edge_index[0], edge_index[1]] = 1
    distance.fill_diagonal_(0)
    for node in range(num_nodes):
        distance = torch.minimum(distance, distance[:, node, None] + distance[None, node])
    return distance


def distances_numpy(edge_index: Tensor, num_nodes: int) -> Tensor:
    """The same in numpy, whose calls cost less."""
    distance = np.full((num_nodes, num_nodes), np.inf, dtype=np.float32)
    distance[tuple(edge_index.numpy())] = 1
    np.fill_diagonal(distance, 0)
    for node in range(num_nodes):
        np.minimum(distance, distance[:, node, None] + distance[None, node], out=distance)
    return torch.from_numpy(distance)


def indices(edge_index: Tensor, ptr: Tensor, aggregations: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Per aggregation the pairs that are read and those that read them, [2, E_a], and for ``uL`` and ``vL`` the edge of
    the graph that each repeats, [E_a]; graph by graph, as a transform would."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in aggregations}
    owner, first = torch.searchsorted(ptr, edge_index[0], right=True) - 1, 0
    for graph, (low, high) in enumerate(pairwise(ptr.tolist())):
        n, edges = high - low, (owner == graph).nonzero().flatten()
        nodes, (source, target) = torch.arange(n), edge_index[:, edges] - low
        for name in aggregations:
            if name == "uL":
                index = torch.stack([(nodes[:, None] * n + end).flatten() for end in (source, target)])
                edge = edges.repeat(n)
            elif name == "vL":
                index = torch.stack([(end[:, None] * n + nodes).flatten() for end in (source, target)])
                edge = edges.repeat_interleave(n)
            else:
                index, edge = _READS[name](n), edges[:0]
            found[name].append((index + first, edge))
        first += n * n
    return {
        name: (torch.cat([index for index, _ in parts], 1), torch.cat([edge for _, edge in parts]))
        for name, parts in found.items()
    }


def through(h: Tensor, index: Tensor) -> Tensor:
    """Sum of the rows that are read: a copy for every entry of the index, added up."""
    return torch.zeros_like(h).index_add(0, index[1], h[index[0]])


class SubgraphNetwork(nn.Module):
    """GNN-SSWL+ with mean pooling over all pairs, each aggregation through its index.

    Args:
        atoms: Kinds of nodes.
        bonds: Kinds of edges.
        distances: Kinds of pairs.
        channels: Width of the states.
        num_layers: Number of layers.
    """

    def __init__(self, atoms: int, bonds: int, distances: int, channels: int, num_layers: int) -> None:
        super().__init__()
        self.atom, self.distance = nn.Embedding(atoms, channels), nn.Embedding(distances, channels)
        self.layers = nn.ModuleList(_Layer(channels, bonds) for _ in range(num_layers))
        self.update, self.norm = _mlp(channels), nn.BatchNorm1d(channels)
        self.head = nn.Sequential(nn.Linear(channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, 1))

    def forward(
        self,
        atom: Tensor,
        mark: Tensor,
        node: Tensor,
        graph: Tensor,
        index: dict[str, Tensor],
        bond: dict[str, Tensor],
        root: Tensor | None = None,
    ) -> Tensor:
        """Prediction [G, 1].

        Args:
            atom: [N] kind of every node.
            mark: [P] kind of every pair.
            node: [P] second node of every pair.
            graph: [P] graph of every pair.
            index: [2, E_a] of ``uL``, ``vL`` and ``vv``, and of ``uG`` for the pooling if there is no ``root``.
            bond: [E_a] kind of edge of every entry of ``uL`` and ``vL``.
            root: [P] first node of every pair, for pooling by segments.
        """
        h = self.atom(atom)[node] + self.distance(mark)
        for layer in self.layers:
            h = layer(h, index, bond)
        if root is None:
            pooled = through(h, index["uG"])
        else:
            pooled = h.new_zeros(atom.size(0), h.size(1)).index_add(0, root, h)[root]
        h = self.norm(self.update(pooled)).relu()
        total = h.new_zeros(int(graph[-1]) + 1, h.size(1)).index_add(0, graph, h)
        return self.head(total / torch.bincount(graph).unsqueeze(1))


class _Layer(nn.Module):
    def __init__(self, channels: int, bonds: int) -> None:
        super().__init__()
        self.terms = nn.ModuleList(_Term(name, channels, bonds) for name in (*_LOCAL, "vv"))
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, h: Tensor, index: dict[str, Tensor], bond: dict[str, Tensor]) -> Tensor:
        return self.norm(sum(term(h, index, bond) for term in self.terms)).relu()


class _Term(nn.Module):
    def __init__(self, name: str, channels: int, bonds: int) -> None:
        super().__init__()
        self.name = name
        self.eps = nn.Parameter(torch.zeros(()))
        self.bond = nn.Embedding(bonds, channels) if name in _LOCAL else None
        self.update = _mlp(channels)

    def forward(self, h: Tensor, index: dict[str, Tensor], bond: dict[str, Tensor]) -> Tensor:
        source, target = index[self.name]
        if self.bond is None:
            heard = h[source]
        else:
            messages = (h[source] + self.bond(bond[self.name])).relu()
            heard = torch.zeros_like(h).index_add(0, target, messages)
        return self.update((1 + self.eps) * h + heard)


def _mlp(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, channels), nn.BatchNorm1d(channels), nn.ReLU(), nn.Linear(channels, channels)
    )


def _own_node(n: int) -> Tensor:
    """(v, v) for (u, v)."""
    pairs = torch.arange(n * n)
    return torch.stack([(pairs % n) * (n + 1), pairs])


def _all_of_root(n: int) -> Tensor:
    """(u, w) for (u, v), n^3 entries."""
    pairs, other = torch.arange(n * n), torch.arange(n)
    return torch.stack([((pairs // n * n)[:, None] + other).flatten(), pairs.repeat_interleave(n)])


def _all_of_node(n: int) -> Tensor:
    """(w, v) for (u, v), n^3 entries."""
    pairs, other = torch.arange(n * n), torch.arange(n)
    return torch.stack([((pairs % n)[:, None] + other * n).flatten(), pairs.repeat_interleave(n)])


_READS = {"vv": _own_node, "uG": _all_of_root, "vG": _all_of_node}
