"""The control of every rewiring: random edges, as many and as far apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits, both_ways
from gnnlab.rewiring._pairs import simple_edges
from gnnlab.rewiring._profile import edges_alike
from gnnlab.rewiring._sampling import random_non_edges

__all__ = ["RandomEdges"]


@dataclass(frozen=True, repr=False)
class RandomEdges(Rewiring):
    r"""Random edges inside components, each pair of nodes that is no edge being equally likely.

    What a rewiring gains over random edges is due to its choice; what it gains over none may be due to any
    short cut. With ``like`` the control is strict: in every graph it adds as many undirected edges between
    nodes at each hop distance (in the graph as it was) as ``like`` adds, and their relations and orders are
    those of the edges they stand for. Only edges inside a component that join nodes which were not
    adjacent have a counterpart, one per pair of nodes and in both directions, even where ``like`` adds one
    direction; what ``like`` removes stays.

    The choice depends on the graph, the numbering of its nodes and ``seed``. A graph with fewer candidates than
    asked for gets all of them. Without ``like``, edges have ``edge_order`` 1, 2, ..., and a graph with many more
    candidates than edges wanted is sampled, not enumerated. Self-loops, repeated edges and ``edge_weight``
    are ignored.

    Args:
        num_edges: Undirected edges added to every graph; ignored with ``like``.
        like: The rewiring this is the control of.
        seed: Of the choice.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.
        max_pairs: Most pairs of nodes of a union that are looked at: with ``like`` those up to the largest
            distance it joins.

    Shapes:
        see :class:`gnnlab.rewiring.Rewiring`; every edge is added in both directions.

    Raises:
        GraphError: an edge without its reverse.
        BudgetError: more than ``max_pairs`` pairs.

    Example:
        >>> from torch_geometric.data import Data
        >>> from gnnlab.rewiring import LASER
        >>> path = torch.stack([torch.arange(9), torch.arange(1, 10)])
        >>> data = Data(edge_index=torch.cat([path, path.flip(0)], 1), num_nodes=10)
        >>> RandomEdges(num_edges=3)(data).edge_order[18:].tolist()
        [1, 2, 3, 1, 2, 3]
        >>> added = RandomEdges(like=LASER(num_snapshots=2))(data).edge_index[:, 18:]
        >>> (added[0] - added[1]).abs().unique().tolist()
        [2]
    """

    num_edges: int = 10
    like: Rewiring | None = None
    seed: int = 0
    symmetrise: bool = False
    max_pairs: int = 10**8

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_edges < 0:
            raise ConfigError(f"num_edges must be at least 0, got {self.num_edges}", where="RandomEdges")
        if self.like is not None and getattr(type(self.like), "edits", Rewiring.edits) is Rewiring.edits:
            raise ConfigError(f"like must be a rewiring that adds edges, got {self.like!r}", where="RandomEdges")

    @torch.no_grad()
    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        edges = simple_edges(edge_index, ptr, self.symmetrise)
        if self.like is None:
            return both_ways(*random_non_edges(edges, ptr, self.num_edges, self.seed, self.max_pairs))
        given = self.like.edits(edge_index, ptr)
        return both_ways(*edges_alike(given, edges, ptr, self.seed, self.max_pairs))
