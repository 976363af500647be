"""Rewiring that adds the edges which raise the spectral gap most, to first order."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph import undirected_edges
from gnnlab.graph._engine import engine
from gnnlab.graph._noise import pair_noise
from gnnlab.graph._symmetric import by_component
from gnnlab.graph.buckets import sort_union
from gnnlab.ops import expand_ptr
from gnnlab.rewiring import _fosr_torch
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits, both_ways
from gnnlab.rewiring._greedy import merged

__all__ = ["FoSR"]


@dataclass(frozen=True, repr=False)
class FoSR(Rewiring):
    r"""First-order spectral rewiring.

    "FoSR: First-order spectral rewiring for addressing oversquashing in GNNs" (Karhadkar, Banerjee and
    Montúfar, ICLR 2023, arXiv 2210.11790). To first order, a new edge uv raises the spectral gap most where

    .. math:: y_u y_v, \qquad y_w = x_w / \sqrt{d_w + 1}

    is least among the pairs that are no edges, with x the second eigenvector of
    :math:`\hat A = D^{-1/2} A D^{-1/2}`. x is found by power iteration on :math:`I + \hat A`, orthogonal to
    :math:`D^{1/2} 1`, from noise hashed from graph and seed; one more iteration follows every edge. Products
    that agree to about nine digits are tied, and the lowest (u, v) wins. O(m + n log n) per edge.

    Two components give a gap of 0, which joining them raises: the paper's method does that
    (``across_components=True``). By default every component has its own x of unit length, they compete by
    :math:`-y_u y_v`, and none are joined. A graph without a pair left gets fewer edges (the released code
    then adds self-loops). Edges come in greedy order: those with ``edge_order`` up to j are what
    ``num_edges=j`` gives. Self-loops, repeated edges and ``edge_weight`` are ignored.

    Args:
        num_edges: Undirected edges k added to every graph.
        num_power_steps: Power iterations before the first edge. The released configurations use 5, which is
            often too few to find the bottleneck.
        across_components: Whether edges may join components of a graph.
        seed: Of the noise the power iteration starts from.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.

    Shapes:
        see :class:`gnnlab.rewiring.Rewiring`; 2k edges per graph are added, one per direction.

    Raises:
        GraphError: an edge without its reverse.

    Example:
        >>> from torch_geometric.data import Data
        >>> path = torch.stack([torch.arange(9), torch.arange(1, 10)])
        >>> data = FoSR(num_edges=1)(Data(edge_index=torch.cat([path, path.flip(0)], 1), num_nodes=10))
        >>> data.edge_index[:, data.edge_type == 1].tolist()
        [[1, 8], [8, 1]]
    """

    num_edges: int = 50
    num_power_steps: int = 50
    across_components: bool = False
    seed: int = 0
    symmetrise: bool = False

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_edges < 0 or self.num_power_steps < 1:
            raise ConfigError(
                f"num_edges must be at least 0 and num_power_steps at least 1, got {self.num_edges} and "
                f"{self.num_power_steps}",
                where="FoSR",
            )

    @torch.no_grad()
    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        edges = undirected_edges(edge_index, ptr, self.symmetrise)
        nodes = torch.arange(int(ptr[-1]), device=ptr.device)
        noise = pair_noise(nodes.expand(2, -1), edges, ptr, self.seed) - 0.5
        edges = torch.cat([edges, edges.flip(0)], 1)
        weight = torch.ones(edges.size(1), dtype=torch.float64, device=edges.device)
        graph = expand_ptr(ptr, nodes.numel())
        if self.across_components:
            group, union = graph, sort_union(edges, weight, graph, nodes - ptr[graph], ptr.diff())
        else:
            group, union = by_component(edges, weight, nodes.numel())
        start = torch.empty_like(noise).index_copy_(0, union.row, noise)
        steps = _engine(edges.device).spectral_steps(union, self.num_edges, self.num_power_steps, start)
        owner = torch.zeros_like(union.group).index_copy_(0, group, graph)
        return both_ways(*merged(steps, union, owner, ptr.numel() - 1))


def _engine(device: torch.device) -> ModuleType:
    return engine(device, _fosr_torch, "gnnlab.rewiring._fosr_numba")
