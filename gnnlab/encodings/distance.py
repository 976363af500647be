"""Shortest-path distances as node and pair encodings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._pairs import PairEncoding
from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import connected_components, distance_histogram, pair_distances
from gnnlab.ops import expand_ptr
from gnnlab.transform import graph_ptr

__all__ = ["DistancePE"]


@dataclass(frozen=True, repr=False)
class DistancePE(PairEncoding):
    r"""Numbers of hops between nodes, as classes.

    "Do Transformers Really Perform Bad for Graph Representation?" (Ying et al., NeurIPS 2021, arXiv 2106.05234) for
    pairs, "Distance Encoding" (Li et al., NeurIPS 2020, arXiv 2009.00142) for nodes. A distance d falls into one of
    ``max_distance + 2`` classes: d itself below ``max_distance``, ``max_distance`` for that and more, and
    ``max_distance + 1`` where there is no way. A pair gets its class; a node v the sum

    .. math:: \zeta(v \mid S) = \sum_{u \in S} \mathrm{onehot}\big(\mathrm{class}(d(v, u))\big)

    over the targets S of its graph, which is DE-1 with sum pooling; without targets S is every node of the graph, and
    the sum is the histogram of distances from v. Directions are ignored; weights, self-loops and duplicate
    edges change nothing. (The released DE code cuts the edges between targets first, as link prediction wants;
    drop them from the graph if that is your task.)

    Cost: without targets, time O(sum over nodes of the edges within ``max_distance`` hops) plus n^2 of every graph and
    some 50 MB beside the results; beyond 6e4 nodes, and wherever few nodes are that near, memory is 24 bytes for every
    near pair and time follows them, and more than 10^8 near pairs are refused. With targets, time
    O(``max_distance`` E T) for T targets in a graph and 16 MB, for graphs of any size. Pairs cost as nodes without
    targets.

    Args:
        max_distance: Distance from which on all count as one, in hops.
        one_hot: Whether a pair gets its class as one of ``max_distance + 2`` columns, or as one number.
        targets: Name of a node attribute [N] bool that marks the targets.
        node: Whether nodes are encoded too.
        name: Of the attributes.
        pairs, hops, max_gigabytes: Which pairs, see :class:`PairEncoding`; those within two hops by default, as edges
            all have distance 1.

    Shapes:
        writes ``pe_<name>`` [N, max_distance + 2] float32 and, for pairs, ``pair_pe_<name>`` (or ``edge_pe_<name>``)
        [P, max_distance + 2] or [P, 1].

    Raises:
        GraphError: the graph has no such targets, or they are not [N] bool.
        BudgetError: work refused as above, or more than ``max_gigabytes`` of pairs.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=4)
        >>> encoded = DistancePE(max_distance=2, pairs="all", one_hot=False)(path)
        >>> encoded.pe_distance.tolist()
        [[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 3.0]]
        >>> encoded.pair_pe_distance.view(4, 4)[0].tolist()
        [0.0, 1.0, 2.0, 3.0]
    """

    max_distance: int = 10
    one_hot: bool = True
    targets: str | None = None
    node: bool = True
    name: str = "distance"
    pairs: str | None = field(default="hops", kw_only=True)

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_distance < 1:
            raise ConfigError(f"max_distance must be at least 1, got {self.max_distance}", where="DistancePE")

    @property
    def pair_channels(self) -> int:
        return self.max_distance + 2 if self.one_hot else 1

    def forward(self, data: Data) -> Data:
        ptr = graph_ptr(data)
        edges = torch.cat([data.edge_index, data.edge_index.flip(0)], 1)
        component = connected_components(edges, int(ptr[-1]))
        # Whatever the search leaves out of a component is that far or farther.
        near = self.max_distance - 1

        def encode(pairs: Tensor) -> Tensor:
            joined = component[pairs[0]] == component[pairs[1]]
            # The same both ways, and pairs tend to come by their second node, as searches want them.
            distance = pair_distances(edges, ptr, pairs.flip(0), near)
            distance = torch.where(distance < 0, self.max_distance + (~joined).long(), distance)[:, None]
            if not self.one_hot:
                return distance.float()
            return torch.zeros(distance.size(0), self.pair_channels, device=ptr.device).scatter_(1, distance, 1)

        self.write_pairs(data, self.name, encode)
        if self.node:
            data[f"pe_{self.name}"] = self._histogram(data, edges, ptr, component, near).float()
        return data

    def _histogram(self, data: Data, edges: Tensor, ptr: Tensor, component: Tensor, near: int) -> Tensor:
        graph = expand_ptr(ptr)
        targets = None if self.targets is None else data.get(self.targets)
        if self.targets is not None and targets is None:
            raise GraphError(f"the graph has no '{self.targets}', which should mark the targets", where="DistancePE")
        counts = distance_histogram(edges, ptr, near, targets)
        one = torch.ones_like(component) if targets is None else targets.long()
        joined = torch.zeros_like(component).index_add_(0, component, one)[component]
        total = torch.zeros_like(ptr[1:]).index_add_(0, graph, one)[graph]
        return torch.cat([counts, (joined - counts.sum(1))[:, None], (total - joined)[:, None]], 1)
