"""Rewiring by augmented Forman curvature: edges around the lowest, none of the highest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph import undirected_edges
from gnnlab.graph._neighbours import Neighbours
from gnnlab.graph._noise import pair_noise
from gnnlab.graph.forman import augmented_forman_of
from gnnlab.ops import expand_ptr
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edge_set import EdgeSet
from gnnlab.rewiring._edits import Edits
from gnnlab.rewiring._mixture import two_gaussians
from gnnlab.rewiring._select import best, places, seed_of

__all__ = ["AFR"]


@dataclass(frozen=True, repr=False)
class AFR(Rewiring):
    r"""Rewiring by augmented Forman-Ricci curvature, AFR-3 and AFR-4 (Fesser and Weber, "Mitigating over-smoothing and
    over-squashing using augmentations of Forman-Ricci curvature", LoG 2023, arXiv 2309.09384).

    For every edge (u, v) of low curvature :math:`F_k` (:func:`gnnlab.graph.augmented_forman_curvature`) a neighbour w
    of u alone is drawn uniformly and joined to v; if u has none, a neighbour of v alone is joined to u. Edges of
    high curvature go. What is low and high follows from two Gaussians fitted to the curvatures of a graph, with means
    :math:`\mu_1 < \mu_2`:

    .. math::
        F < \frac{\mu_1 \sigma_2 + \mu_2 \sigma_1}{\sigma_1 + \sigma_2} \quad \text{is low,} \qquad
        F > \mu_2 + \sigma_2 \quad \text{is high,}

    or from explicit numbers of edges, then the first of equals go first. Bounds are those of the graph at the
    beginning, as in the released code. That code differs in ways not reproduced: it draws u or v itself among the
    neighbours, which gives self-loops; its edges of an iteration see those that went and came before them, here all
    see the graph at the beginning of the iteration; and its mixture starts from k-means of random seed, here from
    the middle of the range.

    Args:
        order: Longest cycles that count in the curvature, 3 (linear in the edges times the degree) or 4.
        num_edges: Edges around which one is added, per iteration; ``None`` takes the lower bound.
        num_removed: Edges removed per iteration; ``None`` takes the upper bound.
        num_iterations: Repetitions.
        seed: Of the draws; every graph has its own, the same alone and in any batch.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        as :class:`Rewiring`; ``edge_order`` is the iteration.

    Raises:
        ConfigError: an ``order`` other than 3 or 4, or negative numbers.
        GraphError: an edge without its reverse.

    Example:
        >>> from torch_geometric.data import Data
        >>> edges = torch.tensor([[0, 0, 1, 2, 3, 3, 4], [1, 2, 2, 3, 4, 5, 5]])  # two triangles and a bridge
        >>> barbell = Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=6)
        >>> rewired = AFR(num_edges=1, num_removed=0)(barbell)
        >>> rewired.edge_index[:, rewired.edge_type == 1].tolist()
        [[1, 3], [3, 1]]
    """

    order: int = 3
    num_edges: int | None = None
    num_removed: int | None = None
    num_iterations: int = 1
    seed: int = 0
    symmetrise: bool = False

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (3, 4):
            raise ConfigError(f"order must be 3 or 4, got {self.order!r}", where="AFR")
        if min(self.num_edges or 0, self.num_removed or 0, self.num_iterations) < 0:
            raise ConfigError("num_edges, num_removed and num_iterations must be at least 0", where="AFR")

    @torch.no_grad()
    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        first = undirected_edges(edge_index, ptr, self.symmetrise)
        graph_of, num_graphs = expand_ptr(ptr), ptr.numel() - 1
        edges = EdgeSet.start(first, graph_of.numel())
        lower = upper = None
        for step in range(1, self.num_iterations + 1):
            if edges.pairs.size(1) == 0:
                break
            graph = Neighbours.of(edges.pairs, edges.num_nodes)
            curvature = augmented_forman_of(graph, edges.pairs, self.order)
            owner = graph_of[edges.pairs[0]]
            if lower is None or upper is None:
                lower, upper = _bounds(curvature, owner, num_graphs)
            low, high = curvature < lower[owner], curvature > upper[owner]
            if self.num_edges is not None:
                low = places(curvature, owner, num_graphs) < self.num_edges
            if self.num_removed is not None:
                high = places(-curvature, owner, num_graphs) < self.num_removed
            added = _triangles(graph, edges.pairs[:, low], first, ptr, seed_of(self.seed, step))
            edges = edges.replace(high, added, step)
        return edges.edits(first, edge_index)


def _bounds(curvature: Tensor, owner: Tensor, num_graphs: int) -> tuple[Tensor, Tensor]:
    """[G] curvature below which an edge is low, and above which it is high."""
    mean, deviation = two_gaussians(curvature, owner, num_graphs)
    lower = (mean * deviation.flip(1)).sum(1) / deviation.sum(1)
    return lower, mean[:, 1] + deviation[:, 1]


def _triangles(graph: Neighbours, edges: Tensor, first: Tensor, ptr: Tensor, seed: int) -> Tensor:
    """[2, A], one pair for every edge that has any: an end and a random neighbour of the other end alone."""
    proposals, whose = [], []
    for u, v in (edges, edges.flip(0)):
        edge, w = graph.expand(u)
        alone = (w != v[edge]) & ~graph.joined(v[edge], w)
        edge, pairs = edge[alone], torch.stack([v[edge], w])[:, alone]
        drawn = best(pair_noise(pairs, first, ptr, seed), edge, edges.size(1))
        proposals.append(pairs[:, drawn])
        whose.append(edge[drawn])
    second = ~torch.isin(whose[1], whose[0])
    return torch.cat([proposals[0], proposals[1][:, second]], 1)
