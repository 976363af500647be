"""The complete graph of a molecule with distances: raw as edge features, or binned as edge types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.rewiring.bond_types import BondTypes
from gnnlab.rewiring.fully_adjacent import FullyAdjacent
from gnnlab.transform import Transform

__all__ = ["CompleteDistances", "DistanceBins"]


@dataclass(frozen=True, repr=False)
class CompleteDistances(Transform):
    r"""Joins every pair of nodes and puts their distance in front of the edge features: the "raw distance"
    representation of Gilmer et al. (ICML 2017, arXiv 1704.01212), for :class:`gnnlab.nn.EdgeNetworkMessage`.

    .. math::
        e_{uv} = (\lVert p_u - p_v \rVert, \text{features of the bond, zeros where there is none})

    Of one-hot bonds of four types that makes five features. Edges that are there stay, loops and duplicates included;
    every other ordered pair :math:`u \neq v` of a graph is added with ``edge_type`` ``relation``. Distances do not
    change under rotations, translations and reflections, so mirror images get the same output.

    Cost: time and memory O(sum of n^2); a large graph is refused (``max_pairs``).

    Args:
        max_pairs: Ordered pairs of a union above which the work is refused.
        relation: ``edge_type`` of the added edges.

    Shapes:
        reads ``pos`` [N, 3]; writes ``edge_index`` [2, E'], ``edge_attr`` [E', 1 + D] float, ``edge_type``,
        ``edge_order`` as a rewiring does

    Raises:
        GraphError: no coordinates, or categorical edge features.
        BudgetError: more pairs than ``max_pairs``.

    Example:
        >>> pos = torch.tensor([[0.0, 0, 0], [3.0, 0, 0], [3.0, 4, 0]])
        >>> bonds = torch.tensor([[0, 1], [1, 0]])
        >>> CompleteDistances()(Data(pos=pos, edge_index=bonds, edge_attr=torch.ones(2, 1))).edge_attr.tolist()
        [[3.0, 1.0], [3.0, 1.0], [5.0, 0.0], [4.0, 0.0], [5.0, 0.0], [4.0, 0.0]]
    """

    max_pairs: int = 2**26
    relation: int = 1

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def forward(self, data: Data) -> Data:
        attr = data.get("edge_attr")
        if attr is not None and not attr.is_floating_point():
            raise GraphError(
                f"a distance cannot stand beside categories (edge_attr is {attr.dtype})",
                where="CompleteDistances",
                hint="make the bonds one-hot first",
            )
        if attr is None:
            data.edge_attr = torch.zeros(data.edge_index.size(1), 0, device=data.edge_index.device)
        data = FullyAdjacent(max_pairs=self.max_pairs, relation=self.relation)(data)
        attr = data.edge_attr
        distance = _distances(data, "CompleteDistances").to(attr.dtype)
        data.edge_attr = torch.cat([distance[:, None], attr if attr.dim() > 1 else attr[:, None]], dim=1)
        return data


@dataclass(frozen=True, repr=False)
class DistanceBins(Transform):
    r"""Joins every pair of nodes and writes an ``edge_type``: bonds have the type of the bond, all other pairs the bin
    of their distance. The "distance bins" of Gilmer et al. (ICML 2017, arXiv 1704.01212), for
    :class:`gnnlab.nn.MatmulMessage` with ``num_types`` of 14.

    The bins are [0, first), ``num_uniform`` equal ones from ``first`` to ``last``, and [last, infinity); types are
    those of bonds first, then bins. Edges that are there stay, loops and duplicates included.

    Cost: time and memory O(sum of n^2); a large graph is refused (``max_pairs``).

    Args:
        num_types: Number of bond types, read as :class:`BondTypes` reads them.
        first: Upper end of the first bin, in the unit of ``pos``.
        last: Lower end of the last bin.
        num_uniform: Bins between them.
        max_pairs: Ordered pairs of a union above which the work is refused.

    Shapes:
        reads ``pos`` [N, 3]; writes ``edge_index`` [2, E'], ``edge_type`` [E'] long in 0, ...,
        ``num_types`` + ``num_uniform`` + 1, and what a rewiring writes besides

    Raises:
        ConfigError: bins that are none.
        GraphError: no coordinates, or bonds outside the types.
        BudgetError: more pairs than ``max_pairs``.

    Example:
        >>> pos = torch.tensor([[0.0, 0, 0], [3.0, 0, 0], [3.0, 4, 0]])
        >>> DistanceBins()(Data(pos=pos, edge_index=torch.tensor([[0, 1], [1, 0]]))).edge_type.tolist()
        [0, 0, 11, 9, 11, 9]
    """

    num_types: int = 4
    first: float = 2.0
    last: float = 6.0
    num_uniform: int = 8
    max_pairs: int = 2**26

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        BondTypes(self.num_types)  # refuses what it cannot be
        if self.num_uniform < 1 or not 0 < self.first < self.last:
            raise ConfigError(
                f"{self.num_uniform} bins from {self.first} to {self.last} are none",
                where="DistanceBins",
                hint="0 < first < last, and num_uniform at least 1",
            )

    def forward(self, data: Data) -> Data:
        data = BondTypes(self.num_types)(data)
        data = FullyAdjacent(max_pairs=self.max_pairs, relation=self.num_types)(data)
        distance = _distances(data, "DistanceBins")
        step = (self.last - self.first) / self.num_uniform
        ends = self.first + step * torch.arange(self.num_uniform + 1, dtype=torch.float64, device=distance.device)
        bins = torch.bucketize(distance, ends, right=True)
        data.edge_type = torch.where(data.edge_type < self.num_types, data.edge_type, self.num_types + bins)
        return data


def _distances(data: Data, transform: str) -> Tensor:
    """[E] float64, Euclidean length of every edge."""
    pos = data.get("pos")
    if pos is None:
        raise GraphError("the graph has no coordinates 'pos'", where=transform)
    source, target = pos.double()[data.edge_index]
    return (source - target).norm(dim=-1)
