"""Rewiring that adds the edges which lower the total effective resistance most."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, Literal

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph import undirected_edges
from gnnlab.graph._engine import engine
from gnnlab.graph._pseudo_inverse import check_dense
from gnnlab.graph._symmetric import by_component
from gnnlab.ops import expand_ptr
from gnnlab.rewiring import _gtr_torch
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits, both_ways
from gnnlab.rewiring._greedy import merged
from gnnlab.rewiring._sketched_gtr import sketched_gtr_pairs

__all__ = ["GTR"]

_WEIGHTS, _METHODS = ("size", "none"), ("dense", "sketch")


@dataclass(frozen=True, repr=False)
class GTR(Rewiring):
    r"""Greedy total resistance rewiring.

    "Understanding Oversquashing in GNNs through the Lens of Effective Resistance" (Black, Wan, Nayyeri and
    Wang, ICML 2023, arXiv 2302.06835). Adding a unit edge st inside a component of n nodes lowers its total
    resistance by exactly

    .. math:: R_{tot}(G) - R_{tot}(G + st) = n \, \frac{B_{st}}{1 + R_{st}}

    (:func:`gnnlab.graph.effective_resistance`, and the square B of
    :func:`gnnlab.graph.biharmonic_distance`). The pair with the largest decrease is added, and so on.
    Components are never joined. Of pairs whose decrease agrees to nine digits, the one in the first
    component, there the lowest (s, t) is taken. A graph in which nothing is left to add gets fewer edges
    (the released code then appends self-loops). Edges come in greedy order, so those with ``edge_order`` up
    to j are what ``num_edges=j`` gives.

    Works on dense float64 matrices of the components, :math:`O(n^3 + k n^2)`, or, for graphs of up to millions of
    nodes, on sketches of their pseudo-inverses (``method="sketch"``): every edge is then near the best one, for one
    solution of a Laplacian system and :math:`O(n)`. Self-loops, repeated edges and ``edge_weight`` are ignored.

    Args:
        num_edges: Undirected edges k added to every graph.
        component_weight: ``"size"``: components compete by the decrease of their total resistance. ``"none"``:
            by :math:`B / (1 + R)` alone, as in the released code.
        method: ``"dense"`` (exact) or ``"sketch"`` (near-greedy, for large graphs; components compete by size).
        dense_limit: Nodes of the largest component that ``"dense"`` accepts.
        dimensions: Columns of a sketch; estimates of a gain err by about :math:`\sqrt{2 / \mathrm{dimensions}}`.
        seed: Of the sketches.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        see :class:`gnnlab.rewiring.Rewiring`; 2k edges per graph are added, one per direction.

    Raises:
        GraphError: an edge without its reverse.
        BudgetError: a component of more than ``dense_limit`` nodes, with ``method="dense"``.

    Example:
        >>> from torch_geometric.data import Data
        >>> path = torch.stack([torch.arange(9), torch.arange(1, 10)])
        >>> data = GTR(num_edges=1)(Data(edge_index=torch.cat([path, path.flip(0)], 1), num_nodes=10))
        >>> data.edge_index[:, data.edge_type == 1].tolist()
        [[1, 8], [8, 1]]
    """

    num_edges: int = 10
    component_weight: Literal["size", "none"] = "size"
    method: Literal["dense", "sketch"] = "dense"
    dense_limit: int = 5000
    dimensions: int = 64
    seed: int = 0
    symmetrise: bool = False

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_edges < 0 or min(self.dense_limit, self.dimensions) < 1:
            raise ConfigError(
                f"num_edges must be at least 0, dense_limit and dimensions at least 1, got {self.num_edges}, "
                f"{self.dense_limit} and {self.dimensions}",
                where="GTR",
            )
        for name, known in (("component_weight", _WEIGHTS), ("method", _METHODS)):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"unknown {name} {value!r}", where="GTR", hint=nearest(str(value), known))
        if (self.component_weight, self.method) == ("none", "sketch"):
            raise ConfigError('method="sketch" weighs components by their size', where="GTR.component_weight")

    @torch.no_grad()
    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        edges = undirected_edges(edge_index, ptr, self.symmetrise)
        edges = torch.cat([edges, edges.flip(0)], 1)
        if self.method == "sketch":
            found = sketched_gtr_pairs(edges, ptr, self.num_edges, self.dimensions, self.seed)
            return both_ways(found.pairs, found.order)
        weight = torch.ones(edges.size(1), dtype=torch.float64, device=edges.device)
        component, union = by_component(edges, weight, int(ptr[-1]))
        check_dense(union, self.dense_limit, f"the bound is dense_limit={self.dense_limit}; raise it if memory allows")
        steps = _engine(edges.device).resistance_steps(union, self.num_edges)
        if self.component_weight == "size":
            steps = steps._replace(gain=steps.gain * union.ptr.diff()[:, None])
        sizes = torch.bincount(component)
        graph = torch.empty_like(sizes).index_copy_(0, component, expand_ptr(ptr))
        return both_ways(*merged(steps, union, graph, ptr.numel() - 1))


def _engine(device: torch.device) -> ModuleType:
    return engine(device, _gtr_torch, "gnnlab.rewiring._gtr_numba")
