"""Largest eigenvalues of every graph's block of a matrix that is only known by its products."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnlab.nn.implicit._segments import Segments
from gnnlab.ops import CSR, aggregate, segment_reduce

__all__ = ["largest_curvature", "spectral_radius_bound"]

_FLOOR = 1e-150


@torch.no_grad()
def largest_curvature(product: Callable[[Tensor], Tensor], like: Tensor, ptr: Tensor, iterations: int = 20) -> Tensor:
    """Largest eigenvalue of every graph's block of a symmetric positive definite matrix, by power iteration.

    An estimate from below (a Rayleigh quotient); the first vector is fixed and the same for a graph in any batch.

    Args:
        product: v [N, d] to A v [N, d].
        like: [N, d] rows; their number, type and device are meant.
        ptr: [G + 1] first node of every graph.
        iterations: Products.

    Shapes:
        returns [G]; 1 for a graph without nodes

    Example:
        >>> scale = torch.tensor([[1.0], [3.0], [2.0]])
        >>> largest_curvature(lambda v: scale * v, torch.zeros(3, 1), torch.tensor([0, 2, 3])).round().tolist()
        [3.0, 2.0]
    """
    segments = Segments(ptr, like)
    place = torch.arange(like.size(0), device=like.device) - ptr[:-1].index_select(0, segments.graph)
    channel = torch.arange(like.size(1), device=like.device)
    # Irrational angles: no symmetry of a graph makes such a vector orthogonal to an eigenvector by design.
    vector = torch.sin(1 + place[:, None] * 2**0.5 + channel * 3**0.5).to(like.dtype)
    value = like.new_ones(segments.num_graphs)
    for _ in range(iterations):
        norm = segments.dot(vector, vector).sqrt()
        vector = vector / segments.spread(torch.where(norm > 0, norm, 1))
        image = product(vector)
        rayleigh = segments.dot(vector, image)
        value = torch.where(rayleigh > 0, rayleigh, value)
        vector = image
    return value


@torch.no_grad()
def spectral_radius_bound(adj: CSR, ptr: Tensor, edge_weight: Tensor | None = None, iterations: int = 100) -> Tensor:
    r"""The spectral radius of every graph's weighted adjacency matrix, from above.

    Collatz and Wielandt: for a non-negative matrix A and any x > 0,
    :math:`\rho(A) \leq \max_i (A x)_i / x_i`. The iteration :math:`x \leftarrow (A + I) x` makes the bound tight on
    connected undirected graphs; it is a bound whenever it stops. In float64.

    Args:
        adj: The edges.
        ptr: [G + 1] first node of every graph.
        edge_weight: [E] non-negative weights; ones by default.
        iterations: Products; at least the diameter's half, or the bound of a path is that of a cycle.

    Shapes:
        returns [G] float64; 0 for a graph without edges

    Example:
        >>> star = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4], [1, 2, 3, 4, 0, 0, 0, 0]])
        >>> spectral_radius_bound(CSR.from_edge_index(star, 5), torch.tensor([0, 5])).round(decimals=4).tolist()
        [2.0]
    """
    x = torch.ones(adj.num_nodes, 1, dtype=torch.float64, device=adj.device)
    weight = None if edge_weight is None else edge_weight.detach().double()
    segments = Segments(ptr, x)
    bound = x.new_full((segments.num_graphs,), torch.inf)
    for _ in range(iterations):
        image = aggregate(x, adj, edge_weight=weight)
        bound = torch.minimum(bound, segment_reduce((image / x).squeeze(1), ptr, "max"))
        x = x + image
        x = (x / segments.spread(segments.largest(x).clamp(min=_FLOOR))).clamp(min=_FLOOR)
    return bound
