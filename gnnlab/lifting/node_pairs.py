"""Pairs of a root and a node of its subgraph, marked: what subgraph networks work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, GraphError, nearest
from gnnlab.graph import k_hop_pairs, pair_distances, shortest_path_distances
from gnnlab.graph._noise import pair_noise
from gnnlab.graph._search import by_source
from gnnlab.graph._search_torch import walk_bound
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.transform import Transform, graph_ptr

__all__ = ["NodePairs"]

_POLICIES = ("full", "ego")
_MARKINGS = ("node", "distance", "none")
_BYTES = 24  # of a pair: two nodes and a mark
_SPARE = 4  # times as many cells as pairs, and the table of distances is mostly padding
_CELLS = 1 << 22


@dataclass(frozen=True, repr=False)
class NodePairs(Transform):
    r"""Ordered pairs (u, v): node v as it is seen in the subgraph of its root u, read by
    :class:`gnnlab.nn.SubgraphGNN`.

    "A Complete Expressiveness Hierarchy for Subgraph GNNs via Subgraph Weisfeiler-Lehman Tests" (Zhang, Feng, Du, He,
    Wang; ICML 2023, arXiv 2302.07090) writes all node-based subgraph networks as layers on such pairs.

    * ``full``: all pairs of a graph; every subgraph is the whole graph, and its mark tells it apart.
    * ``ego``: pairs with :math:`d(u, v) \le` ``hops``; every subgraph is the ego network of its root.

    Marks are :math:`[u = v]` (``node``), or :math:`\min(d(u, v), D)` with D + 1 where v is out of reach (``distance``;
    the released code casts an infinite distance to an integer and reads outside its table), or absent (``none``).
    Distances follow messages: d(u, v) counts edges from u to v. With edges in one direction, ``ego`` may hold (u, v)
    without (v, u); the aggregations ``vu`` and ``vL`` then refuse the pairs.

    Cost: time and memory follow the number of pairs: sum of :math:`n^2` (``full``), or of the ego networks' sizes
    (``ego``, found by searching ``hops`` deep), at 24 bytes each while they are made. One graph of 1e5 nodes has
    224 GiB of pairs, and is refused before anything is allocated; ``ego`` takes it where its ego networks are small.

    Args:
        policy: ``full`` or ``ego``.
        hops: Distance of the farthest pairs (``ego``).
        marking: ``node``, ``distance`` or ``none``.
        max_distance: D, the largest distance that has a mark of its own.
        roots: Keep that many roots per graph, drawn by a hash of ``seed`` and the graph; ``None`` keeps all. What reads
            the pairs (v, v) of all nodes, or (v, u), cannot work on a sample.
        seed: Of the sample.
        max_gigabytes: Most memory (GiB) of the pairs of a union.

    Shapes:
        * writes ``pair_index`` [2, P] long, row 0 the root, sorted by root, then node; (u, u) of every root is in it;
        * writes ``pair_mark`` [P] long, unless ``marking`` is ``none``.

    Raises:
        ConfigError: unknown or negative settings.
        BudgetError: more than ``max_gigabytes`` of pairs, with what ``ego`` would take.
        GraphError: features of pairs in another order are there already: encode pairs after lifting.

    Example:
        >>> ring = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> lifted = NodePairs(policy="ego", hops=1, marking="distance")(Data(edge_index=ring, num_nodes=4))
        >>> lifted.pair_index[:, :3].tolist(), lifted.pair_mark[:3].tolist()
        ([[0, 0, 0], [0, 1, 3]], [0, 1, 1])
    """

    policy: Literal["full", "ego"] = "full"
    hops: int = 3
    marking: Literal["node", "distance", "none"] = "node"
    max_distance: int = 5
    roots: int | None = None
    seed: int = 0
    max_gigabytes: float = 4.0

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name, value, known in (("policy", self.policy, _POLICIES), ("marking", self.marking, _MARKINGS)):
            if value not in known:
                raise ConfigError(f"unknown {name} '{value}'", where="NodePairs", hint=nearest(str(value), known))
        if self.hops < 0 or self.max_distance < 0 or (self.roots is not None and self.roots < 1):
            raise ConfigError(
                f"hops and max_distance must be at least 0 and roots at least 1, got {self.hops}, {self.max_distance} "
                f"and {self.roots}",
                where="NodePairs",
            )
        if not self.max_gigabytes > 0:
            raise ConfigError(f"max_gigabytes must be positive, got {self.max_gigabytes}", where="NodePairs")

    @property
    def equivariance(self) -> str:
        """A sample of roots follows the numbers of the nodes."""
        return "exact" if self.roots is None else "up to ties"

    def check_budget(self, nodes: Tensor) -> None:
        if self.policy == "full":
            self._check_size(self._count(nodes), "take policy='ego'")

    def forward(self, data: Data) -> Data:
        ptr, edges = graph_ptr(data), data.edge_index
        other = [key for key in data.to_dict() if key.startswith("pair_") and key not in ("pair_index", "pair_mark")]
        if other:
            raise GraphError(
                f"the graph has features of pairs already ({', '.join(other)}), which belong to its present pairs",
                where="NodePairs",
                hint="lift first and encode pairs afterwards: encodings keep the pairs they find",
            )
        chosen = None if self.roots is None else _sample(edges, ptr, self.roots, self.seed)
        if self.policy == "full":
            count = self._count(ptr.diff())
            if self._gigabytes(count) > self.max_gigabytes:
                self._check_size(count, self._smaller(edges, ptr))
            pairs = _all(ptr, chosen)
            distance = _distances(edges, ptr, pairs) if self.marking == "distance" else None
        else:
            pairs, distance = self._near(edges, ptr, chosen)
        data.pair_index = pairs
        if self.marking == "node":
            data.pair_mark = (pairs[0] == pairs[1]).long()
        elif self.marking == "distance":
            unreachable = self.max_distance + 1
            data.pair_mark = torch.where(distance < 0, unreachable, distance.clamp(max=self.max_distance))
        else:
            data.pop("pair_mark", None)
        return data

    def _near(self, edge_index: Tensor, ptr: Tensor, chosen: Tensor | None) -> tuple[Tensor, Tensor]:
        """Pairs at most ``hops`` apart and their distance, sorted."""
        try:
            near = k_hop_pairs(edge_index, ptr, self.hops, max_pairs=int(self.max_gigabytes * 2**30 / _BYTES))
        except BudgetError as error:
            raise BudgetError(
                f"{error} More than max_gigabytes={self.max_gigabytes:g}",
                where="NodePairs",
                hint="take fewer hops, lift batch by batch (data.batch_transforms), or raise max_gigabytes",
            ) from error
        nodes = torch.arange(int(ptr[-1]), device=ptr.device)
        pairs = torch.cat([near.pairs, nodes.expand(2, -1)], 1)
        distance = torch.cat([near.distance, torch.zeros_like(nodes)])
        if chosen is not None:
            kept = chosen[pairs[0]]
            pairs, distance = pairs[:, kept], distance[kept]
        order = (pairs[0] * nodes.numel() + pairs[1]).argsort()
        return pairs[:, order], distance[order]

    def _count(self, nodes: Tensor) -> int:
        nodes = nodes.double()
        return int((nodes * (nodes if self.roots is None else nodes.clamp(max=self.roots))).sum())

    def _gigabytes(self, count: int) -> float:
        return _BYTES * count / 2**30

    def _check_size(self, count: int, hint: str) -> None:
        if self._gigabytes(count) > self.max_gigabytes:
            raise BudgetError(
                f"{count:,} pairs of nodes take {self._gigabytes(count):.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where="NodePairs",
                hint=f"{hint}, lift batch by batch (data.batch_transforms), or raise max_gigabytes",
            )

    def _smaller(self, edge_index: Tensor, ptr: Tensor) -> str:
        """The ego networks that would take the place of all pairs, and how many pairs they have at most."""
        nodes = ptr.diff()[expand_ptr(ptr)]
        bound = torch.minimum(walk_bound(*by_source(edge_index, nodes.numel()), self.hops), nodes - 1) + 1
        count = int(bound.sum())
        return (
            f"take policy='ego' (with hops={self.hops} at most {count:,} pairs, {self._gigabytes(count):.1f} GiB), "
            "sample roots"
        )


def _sample(edge_index: Tensor, ptr: Tensor, roots: int, seed: int) -> Tensor:
    """[N] bool, the nodes of every graph with the smallest random numbers."""
    nodes = torch.arange(int(ptr[-1]), device=ptr.device)
    order = pair_noise(nodes.expand(2, -1), edge_index, ptr, seed).argsort(stable=True)
    order = order[expand_ptr(ptr)[order].argsort(stable=True)]
    chosen = torch.zeros_like(nodes, dtype=torch.bool)
    chosen[order[ragged_arange(ptr.diff(), nodes.numel()) < roots]] = True
    return chosen


def _all(ptr: Tensor, chosen: Tensor | None) -> Tensor:
    """[2, P] every ordered pair of nodes of a graph with a chosen root, sorted."""
    graph = expand_ptr(ptr)
    sizes = ptr.diff()[graph]
    if chosen is not None:
        sizes = sizes * chosen
    root = torch.repeat_interleave(sizes)
    return torch.stack([root, ragged_arange(sizes, root.numel()) + ptr[graph][root]])


def _distances(edge_index: Tensor, ptr: Tensor, pairs: Tensor) -> Tensor:
    """[P] hops, -1 where there is no way."""
    sizes = ptr.diff()
    widest = int(sizes.max()) if sizes.numel() else 0
    if int(ptr[-1]) * widest > max(_SPARE * pairs.size(1), _CELLS):
        return pair_distances(edge_index, ptr, pairs, widest)
    table = shortest_path_distances(edge_index, ptr)
    return table[pairs[0], pairs[1] - ptr[expand_ptr(ptr)][pairs[0]]].long()
