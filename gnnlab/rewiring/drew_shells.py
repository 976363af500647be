"""Rewiring that adds every pair of nodes up to a distance, one relation per distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph import k_hop_pairs
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits
from gnnlab.rewiring._pairs import simple_edges

__all__ = ["DRewShells"]


@dataclass(frozen=True, repr=False)
class DRewShells(Rewiring):
    r"""The neighbourhoods of dynamically rewired message passing.

    "DRew: Dynamically Rewired Message Passing with Delay" (Gutteridge, Dong, Bronstein and Di Giovanni, ICML
    2023, arXiv 2305.08018): layer :math:`\ell` looks at the pairs

    .. math:: A_k = \{(u, v) : d(u, v) = k\}, \qquad k = 1, \dots, \ell + 1

    This adds :math:`A_2, \dots, A_K`, each as a relation of its own, so that a layer finds :math:`A_k` as
    ``edge_type`` k - 1 (:math:`A_1`, the edges, is 0) and in ``edge_order`` k - 1 as well: the layer that
    looks k hops far uses the edges of order below k. Self-loops, repeated edges and ``edge_weight`` are
    ignored when distances are measured.

    Args:
        num_hops: Largest distance K, in hops.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.
        max_pairs: Most ordered pairs within ``num_hops`` of a union that are accepted.

    Shapes:
        see :class:`gnnlab.rewiring.Rewiring`; every pair is added in both directions.

    Raises:
        GraphError: an edge without its reverse.
        BudgetError: more than ``max_pairs`` pairs.

    Example:
        >>> from torch_geometric.data import Data
        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> data = DRewShells(num_hops=3)(Data(edge_index=torch.cat([path, path.flip(0)], 1), num_nodes=4))
        >>> data.edge_index[:, data.edge_type == 2].tolist()
        [[0, 3], [3, 0]]
    """

    num_hops: int = 5
    symmetrise: bool = False
    max_pairs: int = 10**8

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_hops < 1:
            raise ConfigError(f"num_hops must be at least 1, got {self.num_hops}", where="DRewShells")

    @torch.no_grad()
    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        edges = simple_edges(edge_index, ptr, self.symmetrise)
        pairs, distance = k_hop_pairs(edges, ptr, self.num_hops, max_pairs=self.max_pairs)
        far = distance > 1
        distance = distance[far]
        return Edits(pairs[:, far], relation=distance - 2, order=distance - 1)
