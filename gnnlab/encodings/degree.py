"""Degrees, and the degrees around a node, as node encodings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.ops import CSR, aggregate
from gnnlab.transform import Transform

__all__ = ["DegreePE", "LocalDegreeProfile"]


@dataclass(frozen=True, repr=False)
class DegreePE(Transform):
    r"""Number of edges that lead to a node.

    The simplest structural feature, and the only one of many benchmarks (Xu et al., ICLR 2019, arXiv 1810.00826).
    Every edge counts once, so a self-loop adds 1 and a duplicate edge adds 1 more; weights do not count. In directed
    graphs it is the in-degree, the number of messages a node gets.

    Cost: O(N + E) time, O(N) memory, times ``max_degree + 1`` for one-hot; any size of graph.

    Args:
        kind: ``"log"`` writes :math:`\log(1 + d)`, ``"value"`` d, ``"one-hot"`` one of ``max_degree + 1`` columns.
        max_degree: Larger degrees count as this one in ``"one-hot"``.
        name: Written to ``pe_<name>``.

    Shapes:
        writes ``pe_<name>`` [N, 1], or [N, max_degree + 1] for one-hot, float32.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> DegreePE(kind="one-hot", max_degree=2)(path).pe_degree.tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """

    kind: str = "log"
    max_degree: int = 10
    name: str = "degree"

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError(f"unknown kind {self.kind!r}", where="DegreePE", hint=nearest(self.kind, _KINDS))
        if self.max_degree < 0:
            raise ConfigError(f"max_degree must be at least 0, got {self.max_degree}", where="DegreePE")

    def forward(self, data: Data) -> Data:
        degree = torch.bincount(data.edge_index[1], minlength=data.num_nodes)
        data[f"pe_{self.name}"] = _KINDS[self.kind](degree, self.max_degree).float()
        return data


@dataclass(frozen=True, repr=False)
class LocalDegreeProfile(Transform):
    r"""Degree of a node, and minimum, maximum, mean and standard deviation of the degrees of its neighbours.

    "A Simple yet Effective Baseline for Non-Attribute Graph Classification" (Cai and Wang, 2018, arXiv 1811.03508).
    Degrees as in :class:`DegreePE`; a neighbour counts once for every edge from it, a node with a self-loop is its own
    neighbour. The deviation is that of the neighbours themselves (divided by their number); nodes
    without neighbours get zeros. Equal to PyG's ``LocalDegreeProfile`` on undirected graphs (which takes out-degrees
    of directed ones).

    Cost: O(N + E) time and memory; any size of graph.

    Args:
        name: Written to ``pe_<name>``.

    Shapes:
        writes ``pe_<name>`` [N, 5] float32: degree, minimum, maximum, mean, deviation.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> LocalDegreeProfile()(path).pe_degree_profile.tolist()
        [[1.0, 2.0, 2.0, 2.0, 0.0], [2.0, 1.0, 1.0, 1.0, 0.0], [1.0, 2.0, 2.0, 2.0, 0.0]]
    """

    name: str = "degree_profile"

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def forward(self, data: Data) -> Data:
        adj = CSR.from_edge_index(data.edge_index, data.num_nodes)
        degree = torch.bincount(data.edge_index[1], minlength=data.num_nodes).double()
        low, high, mean = (aggregate(degree, adj, reduce) for reduce in ("min", "max", "mean"))
        # Mean of the squares minus square of the mean would cancel at hubs.
        apart = (degree[data.edge_index[0]] - mean[data.edge_index[1]]).square()
        spread = torch.zeros_like(degree).index_add_(0, data.edge_index[1], apart) / degree.clamp(min=1)
        data[f"pe_{self.name}"] = torch.stack([degree, low, high, mean, spread.sqrt()], 1).float()
        return data


_KINDS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "log": lambda degree, most: degree.double().log1p()[:, None],
    "value": lambda degree, most: degree[:, None],
    "one-hot": lambda degree, most: one_hot(degree.clamp(max=most), most + 1),
}
