"""Stochastic discrete Ricci flow: edges beside the bottleneck, one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph import undirected_edges
from gnnlab.graph._neighbours import Neighbours
from gnnlab.graph._noise import pair_noise
from gnnlab.graph.forman import balanced_forman_of, check_variant
from gnnlab.ops import expand_ptr
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edge_set import EdgeSet
from gnnlab.rewiring._edits import Edits
from gnnlab.rewiring._forman_gain import Candidates, edge_candidates
from gnnlab.rewiring._select import best, seed_of

__all__ = ["SDRF"]


@dataclass(frozen=True, repr=False)
class SDRF(Rewiring):
    r"""Stochastic discrete Ricci flow (Topping et al., "Understanding over-squashing and bottlenecks on graphs via
    curvature", ICLR 2022, arXiv 2111.14522, algorithm 1).

    Every iteration supports the edge (i, j) of least balanced Forman curvature: of all pairs (k, l) of different
    nodes that are not adjacent, k in N(i) or i itself, l in N(j) or j itself, one is added, drawn with

    .. math:: P(k, l) \propto \exp\big(\tau \, (\mathrm{Ric}_{+kl}(i, j) - \mathrm{Ric}(i, j))\big)

    Then the edge of most curvature goes if that is above ``max_curvature``. Curvatures are those at the beginning
    of the iteration, as in the released code, so no edge goes in the iteration in which it came. All graphs of a
    batch advance together; ties go to the first pair of nodes. An edge that comes back counts as never gone.

    ``variant="released"`` takes the curvature of the authors' CUDA kernel (see
    :func:`gnnlab.graph.balanced_forman_curvature`) and, like their code, no candidates with l = j. Its estimate of
    the curvature after an addition, which updates one direction of the edge only, is not reproduced (here it is that
    of the new graph), nor is their CPU version, which leaves a row of the matrix at the first entry that is zero.

    Args:
        num_iterations: Edges added at most.
        tau: Inverse temperature; ``inf`` takes the best.
        max_curvature: Bound C+ above which edges go; ``None`` removes nothing.
        variant: ``"paper"`` or ``"released"``.
        seed: Of the draws; every graph has its own, the same alone and in any batch.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        as :class:`Rewiring`; ``edge_order`` is the iteration.

    Raises:
        ConfigError: a negative ``num_iterations`` or ``tau``, or an unknown ``variant``.
        GraphError: an edge without its reverse.
        BudgetError: an edge of least curvature with more than 8000 nodes around it.

    Example:
        >>> from torch_geometric.data import Data
        >>> edges = torch.tensor([[0, 0, 1, 2, 3, 3, 4], [1, 2, 2, 3, 4, 5, 5]])  # two triangles and a bridge
        >>> barbell = Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=6)
        >>> rewired = SDRF(num_iterations=1, tau=float("inf"), max_curvature=None)(barbell)
        >>> rewired.edge_index[:, rewired.edge_type == 1].tolist()
        [[0, 3], [3, 0]]
    """

    num_iterations: int = 10
    tau: float = 1.0
    max_curvature: float | None = 0.5
    variant: str = "paper"
    seed: int = 0
    symmetrise: bool = False

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_variant(self.variant, "SDRF")
        if self.num_iterations < 0 or not self.tau >= 0:
            raise ConfigError(
                f"num_iterations and tau must be at least 0, got {self.num_iterations} and {self.tau}", where="SDRF"
            )

    @torch.no_grad()
    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        first = undirected_edges(edge_index, ptr, self.symmetrise)
        graph_of, num_graphs = expand_ptr(ptr), ptr.numel() - 1
        edges = EdgeSet.start(first, graph_of.numel())
        for step in range(1, self.num_iterations + 1):
            if edges.pairs.size(1) == 0:
                break
            graph = Neighbours.of(edges.pairs, edges.num_nodes)
            curvature = balanced_forman_of(graph, edges.pairs, self.variant)
            owner = graph_of[edges.pairs[0]]
            lowest = edges.pairs[:, best(-curvature, owner, num_graphs)]
            found = edge_candidates(graph, lowest, self.variant)
            noise = None if math.isinf(self.tau) else pair_noise(found.pairs, first, ptr, seed_of(self.seed, step))
            added = found.pairs[:, self._drawn(found, noise, lowest.size(1))]
            dropped = torch.zeros_like(owner, dtype=torch.bool)
            if self.max_curvature is not None:
                highest = best(curvature, owner, num_graphs)
                dropped[highest] = curvature[highest] > self.max_curvature
            if added.size(1) == 0 and not bool(dropped.any()):
                break
            edges = edges.replace(dropped, added, step)
        return edges.edits(first, edge_index)

    def _drawn(self, found: Candidates, noise: Tensor | None, num_edges: int) -> Tensor:
        """One candidate of every edge: the largest of score plus Gumbel noise is a draw from the softmax."""
        score = found.curvature
        if noise is not None:
            score = self.tau * score - noise.clamp(min=2.0**-54).log().neg().log()
        return best(score, found.edge, num_edges)
