"""Batch Ollivier-Ricci flow: edges along the costliest transports, none of the most curved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph import undirected_edges
from gnnlab.graph._neighbours import Neighbours
from gnnlab.graph.ollivier import neighbourhood_transports
from gnnlab.ops import expand_ptr
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edge_set import EdgeSet
from gnnlab.rewiring._edits import Edits
from gnnlab.rewiring._select import places

__all__ = ["BORF"]


@dataclass(frozen=True, repr=False)
class BORF(Rewiring):
    r"""Batch Ollivier-Ricci flow (Nguyen et al., "Revisiting over-smoothing and over-squashing using Ollivier-Ricci
    curvature", ICML 2023, arXiv 2211.15779).

    In every batch, with the curvature :math:`\kappa_0` of all edges
    (:func:`gnnlab.graph.ollivier_ricci_curvature`, exact) at its beginning: for each of the ``num_added`` edges
    (u, v) of least curvature, the pair p in N(u), q in N(v) is joined that contributes most to the optimal transport,

    .. math:: (p, q) = \arg\max \; \pi_{pq} \, d(p, q),

    unless p and q are adjacent already; then the ``num_removed`` edges of most curvature go. A graph with fewer
    edges gives them all. Equal edges are taken in the order of their nodes. The optimal plan is not unique; the one
    found here need not be that of another solver, but depends on the graph alone.

    Like FoSR, SDRF and AFR, and unlike the released code, edges that were there keep their ``edge_type``.

    Args:
        num_batches: Repetitions, 1 to 3 in the paper.
        num_added: Edges h per batch around which one is added.
        num_removed: Edges k per batch that go.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        as :class:`Rewiring`; ``edge_order`` is the batch.

    Raises:
        ConfigError: negative numbers.
        GraphError: an edge without its reverse.
        BudgetError: neighbourhoods too large for exact transport.

    Example:
        >>> from torch_geometric.data import Data
        >>> edges = torch.tensor([[0, 0, 1, 2, 3, 3, 4], [1, 2, 2, 3, 4, 5, 5]])  # two triangles and a bridge
        >>> barbell = Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=6)
        >>> rewired = BORF(num_added=1, num_removed=0)(barbell)
        >>> rewired.edge_index[:, rewired.edge_type == 1].tolist()
        [[1, 5], [5, 1]]
    """

    num_batches: int = 1
    num_added: int = 20
    num_removed: int = 1
    symmetrise: bool = False

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.num_batches, self.num_added, self.num_removed) < 0:
            raise ConfigError("num_batches, num_added and num_removed must be at least 0", where="BORF")

    @torch.no_grad()
    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        first = undirected_edges(edge_index, ptr, self.symmetrise)
        graph_of, num_graphs = expand_ptr(ptr), ptr.numel() - 1
        edges = EdgeSet.start(first, graph_of.numel())
        for step in range(1, self.num_batches + 1):
            if edges.pairs.size(1) == 0:
                break
            graph = Neighbours.of(edges.pairs, edges.num_nodes)
            found = neighbourhood_transports(graph, edges.pairs, alpha=0.0)
            owner = graph_of[edges.pairs[0]]
            low = places(-found.distance, owner, num_graphs) < self.num_added
            high = places(found.distance, owner, num_graphs) < self.num_removed
            pairs = found.pair[:, low]
            # An edge that is there is not added, even if it goes in this batch.
            new = ~graph.joined(*pairs)
            edges = edges.replace(high, pairs[:, new], step)
        return edges.edits(first, edge_index)
