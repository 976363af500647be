"""The pool of node pairs from which a model may choose new edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.graph import shortest_path_distances, undirected_edges
from gnnlab.graph._noise import pair_noise
from gnnlab.lifting._similar import similar_pairs
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.transform import Transform, graph_ptr

__all__ = ["CandidatePairs"]


@dataclass(frozen=True, repr=False)
class CandidatePairs(Transform):
    r"""Pairs of nodes that a model with learned rewiring may join, such as :class:`gnnlab.nn.PRMPNN`.

    "Probabilistically Rewired Message-Passing Neural Networks" (Qian, Manolache, Ahmed, Zeng, Van den Broeck,
    Niepert, Morris; ICLR 2024, arXiv 2310.02156) scores a pool of pairs instead of all of them. Pairs are unordered,
    not adjacent, and in the same connected component, so that a model never joins components.

    * ``farthest``: those with the longest shortest path.
    * ``random``: any, each equally likely.
    * ``features``: for every node the ``neighbours`` nodes with the largest cosine similarity of ``x`` (rounded to
      six decimals); of these pairs the most similar ones. For heterophilous graphs.

    Equal pairs are told apart by a random number hashed from the seed, the graph and the numbers of the nodes.

    Args:
        pool_size: Most pairs per graph; ``None`` for no bound.
        policy: ``farthest``, ``random`` or ``features``.
        seed: Of the random numbers.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.
        neighbours: Pairs per node (policy ``features``).

    Shapes:
        writes ``candidate_index`` [2, P] long, row 0 < row 1, in lexicographic order.

    Raises:
        ConfigError: an unknown policy, or sizes below 1.
        GraphError: an edge in one direction only, or no ``x`` for ``features``.
        BudgetError: distances of a union that is too large for a table (``features`` needs none).

    Example:
        >>> path = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
        >>> CandidatePairs(pool_size=3, symmetrise=True)(Data(edge_index=path, num_nodes=5)).candidate_index.tolist()
        [[0, 0, 1], [3, 4, 4]]
    """

    pool_size: int | None = 100
    policy: Literal["farthest", "random", "features"] = "farthest"
    seed: int = 0
    symmetrise: bool = False
    neighbours: int = 20

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        if self.policy not in _POLICIES:
            raise ConfigError(
                f"unknown policy '{self.policy}'", where="CandidatePairs", hint=nearest(self.policy, _POLICIES)
            )
        if self.neighbours < 1 or (self.pool_size is not None and self.pool_size < 1):
            raise ConfigError(
                f"pool_size and neighbours must be at least 1, got {self.pool_size} and {self.neighbours}",
                where="CandidatePairs",
            )

    def forward(self, data: Data) -> Data:
        ptr = graph_ptr(data)
        edges = undirected_edges(data.edge_index, ptr, self.symmetrise)
        edges = torch.cat([edges, edges.flip(0)], 1)
        pairs, score = _POLICIES[self.policy](self, data, edges, ptr)
        data.candidate_index = _best(pairs, score, self.pool_size, pair_noise(pairs, edges, ptr, self.seed), ptr)
        return data


def _farthest(transform: CandidatePairs, data: Data, edges: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs that can be among the farthest ones, and their distances."""
    table, possible = _distances(edges, ptr)
    if transform.pool_size is not None:
        # Most pairs are near: only as far as the pool reaches they have to be sorted.
        levels, graphs = int(table.max()) + 1 if table.numel() else 1, ptr.numel() - 1
        level = expand_ptr(ptr)[:, None] * levels + table.where(possible, 0)
        counts = torch.bincount(level.view(-1), minlength=graphs * levels).view(graphs, levels)
        farther = counts.flip(1).cumsum(1).flip(1) - counts
        possible &= farther.view(-1)[level] < transform.pool_size
    row, column = possible.nonzero().t()
    return torch.stack([row, column + ptr[:-1][expand_ptr(ptr)][row]]), table[row, column].double()


def _random(transform: CandidatePairs, data: Data, edges: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    _, possible = _distances(edges, ptr)
    row, column = possible.nonzero().t()
    return torch.stack([row, column + ptr[:-1][expand_ptr(ptr)][row]]), torch.zeros_like(row).double()


def _features(transform: CandidatePairs, data: Data, edges: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    x = data.get("x")
    if x is None:
        raise GraphError("policy 'features' needs node features 'x'", hint="use policy='farthest' or 'random'")
    return similar_pairs(x, edges, ptr, transform.neighbours)


_POLICIES: dict[str, Callable[[CandidatePairs, Data, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "farthest": _farthest,
    "random": _random,
    "features": _features,
}


def _distances(edges: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    """[N, n_max] distances, and which entries are pairs u < v that are connected but not adjacent."""
    table = shortest_path_distances(edges, ptr)
    local = ragged_arange(ptr.diff(), table.size(0))
    later = torch.arange(table.size(1), device=table.device) > local[:, None]
    return table, later & (table > 1)


def _best(pairs: Tensor, score: Tensor, most: int | None, noise: Tensor, ptr: Tensor) -> Tensor:
    """The ``most`` pairs of every graph with the largest score, then the largest noise; in lexicographic order."""
    order = noise.argsort(descending=True, stable=True)
    order = order[score[order].argsort(descending=True, stable=True)]
    graph = expand_ptr(ptr)[pairs[0]]
    order = order[graph[order].argsort(stable=True)]
    if most is not None:
        order = order[ragged_arange(torch.bincount(graph, minlength=ptr.numel() - 1), order.numel()) < most]
    pairs = pairs[:, order]
    return pairs[:, (pairs[0] * ptr[-1] + pairs[1]).argsort()]
