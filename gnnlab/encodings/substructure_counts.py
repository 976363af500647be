"""Numbers of subgraphs by the role of a node or an edge in them, as encodings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._counts import CountEncoding, Patterns, frozen_patterns
from gnnlab.graph import subgraph_counts
from gnnlab.graph._pattern import pattern_of
from gnnlab.transform import graph_ptr

__all__ = ["SubstructureCounts"]


@dataclass(frozen=True, repr=False)
class SubstructureCounts(CountEncoding):
    r"""Structural features of the Graph Substructure Network: how often a node plays which role in which pattern.

    "Improving Graph Neural Network Expressivity via Subgraph Isomorphism Counting" (Bouritsas et al., TPAMI
    2022, arXiv 2006.09252), with ``level="node"`` for GSN-v and ``"edge"`` for GSN-e:

    .. math:: x_{v, o} = |\{ S \subseteq G : S \cong H, \; v \in S \text{ plays a role in } o \}|

    for every orbit o of the symmetries of every pattern H (see :func:`gnnlab.graph.subgraph_counts`). Exact counts
    of the simple undirected graph: directions, self-loops and duplicate edges are ignored, a self-loop itself gets
    zeros, and so do isolated nodes.

    Cost: for every pattern of k vertices the time of its partial matches (each copy once), at most
    :math:`\sum_v d_v \Delta^{k-2}`, in bounded memory, whatever the number of nodes. Where they are more than 2e7,
    sparse products where the pattern allows it. A graph of 1e5 nodes with small degrees takes seconds; one with
    too many matches is refused with the number found so far, and ``max_matches`` raises the limit.

    Args:
        patterns: Names (``"cycle-k"``, ``"clique-k"``, ``"path-k"`` of k vertices, ``"star-k"`` of k leaves,
            ``"chordal-square"``, ``"paw"``, ``"house"``, ``"bowtie"``) or edges (``"0-1 1-2 2-0"`` or pairs), up to 8
            vertices each.
        name: Written to ``pe_<name>`` and ``edge_pe_<name>``.
        induced: Count induced subgraphs only.
        directed_orbits: Tell the two directions of an edge of a pattern apart where no symmetry swaps them.
        max_matches: Most partial matches to look at, for every pattern.
        level: ``"node"``, ``"edge"`` or ``"both"``.
        normalise: ``None`` for the counts (exact in float32 up to :math:`2^{24}`), ``"log"`` for
            :math:`\log(1 + x)`.

    Shapes:
        writes ``pe_<name>`` [N, orbits of vertices] and ``edge_pe_<name>`` [E, orbits of edges] float32; the
        orbits of the first pattern come first, each pattern's by first vertex or edge.

    Raises:
        ConfigError: unknown pattern, ``level`` or ``normalise``, or a pattern that is too large or not connected.
        BudgetError: more than ``max_matches`` partial matches, before they are computed.

    Example:
        >>> paw = Data(edge_index=torch.tensor([[0, 1, 2, 0], [1, 2, 0, 3]]), num_nodes=4)
        >>> SubstructureCounts(patterns=("cycle-3", "path-3"))(paw).pe_substructures.tolist()
        [[1.0, 2.0, 3.0], [1.0, 3.0, 1.0], [1.0, 3.0, 1.0], [0.0, 2.0, 0.0]]
    """

    patterns: Patterns = ("cycle-3", "cycle-4", "cycle-5", "cycle-6")
    name: str = "substructures"
    induced: bool = False
    directed_orbits: bool = False
    max_matches: int = 2 * 10**8

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "patterns", frozen_patterns(self.patterns, "SubstructureCounts"))
        for pattern in self.patterns:
            pattern_of(pattern, "SubstructureCounts")

    def forward(self, data: Data) -> Data:
        def count(level: str) -> Tensor:
            columns = [
                subgraph_counts(
                    data.edge_index,
                    graph_ptr(data),
                    pattern,
                    level=level,
                    induced=self.induced,
                    directed_orbits=self.directed_orbits,
                    max_matches=self.max_matches,
                )
                for pattern in self.patterns
            ]
            return torch.cat(columns, 1)

        self.write_counts(data, self.name, count)
        return data
