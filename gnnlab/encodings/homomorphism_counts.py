"""Numbers of homomorphisms of small rooted patterns as encodings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._counts import CountEncoding, Patterns, frozen_patterns
from gnnlab.graph import homomorphism_counts
from gnnlab.graph._pattern import pattern_of
from gnnlab.transform import graph_ptr

__all__ = ["HomomorphismCounts"]


@dataclass(frozen=True, repr=False)
class HomomorphismCounts(CountEncoding):
    r"""Number of edge-preserving maps of small patterns, one vertex (or edge) held at every node (or edge).

    "Graph Neural Networks with Local Graph Parameters" (Barceló et al., NeurIPS 2021, arXiv 2106.06707):

    .. math:: x_{v, H, r} = \log\big(1 + |\{ \varphi : H \to G \;|\; \varphi(r) = v \}|\big)

    Not numbers of subgraphs: vertices that are not adjacent may fall on the same node, and symmetric maps count
    each (see :func:`gnnlab.graph.homomorphism_counts`; :class:`SubstructureCounts` has the others). Directions,
    self-loops and duplicate edges are ignored; isolated nodes and self-loops get zeros. Trees tell nothing that
    message passing does not see, so the defaults are cycles, the chordal square and the clique of four.

    Cost: patterns of tree-width two take sparse products, for a cycle of k at most
    :math:`E \Delta^{\lceil k/2 \rceil - 1}` scalar ones (time and, at worst, 24 bytes each), for a tree E for each
    vertex; others the time of their partial matches. Graphs of 1e5 nodes and more take the same route: sparse
    ones take seconds, others are refused with the number of products, and ``max_products`` raises the limit.

    Args:
        patterns: Names or edge lists, as for :class:`SubstructureCounts`.
        name: Written to ``pe_<name>`` and ``edge_pe_<name>``.
        max_products: Most scalar products to compute, for every pattern.
        level: ``"node"``, ``"edge"`` or ``"both"``.
        normalise: ``"log"`` for :math:`\log(1 + x)`, ``None`` for the counts (exact in float32 up to :math:`2^{24}`).

    Shapes:
        writes ``pe_<name>`` [N, orbits of vertices] and ``edge_pe_<name>`` [E, orbits of edges with direction]
        float32; the orbits of the first pattern come first, and the first vertex or edge of each is held.

    Raises:
        ConfigError: unknown pattern, ``level`` or ``normalise``, or a pattern that is too large or not connected.
        BudgetError: more than ``max_products``, before they are computed.

    Example:
        >>> triangle = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
        >>> HomomorphismCounts(patterns=("path-3", "cycle-3"), normalise=None)(triangle).pe_homomorphisms[0].tolist()
        [4.0, 4.0, 2.0]
    """

    patterns: Patterns = ("cycle-3", "cycle-4", "cycle-5", "cycle-6", "chordal-square", "clique-4")
    name: str = "homomorphisms"
    max_products: int = 2 * 10**8
    normalise: str | None = field(default="log", kw_only=True)

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "patterns", frozen_patterns(self.patterns, "HomomorphismCounts"))
        for pattern in self.patterns:
            pattern_of(pattern, "HomomorphismCounts")

    def forward(self, data: Data) -> Data:
        def count(level: str) -> Tensor:
            ptr, limit = graph_ptr(data), self.max_products
            columns = [
                homomorphism_counts(data.edge_index, ptr, pattern, level=level, max_products=limit)
                for pattern in self.patterns
            ]
            return torch.cat(columns, 1)

        self.write_counts(data, self.name, count)
        return data
