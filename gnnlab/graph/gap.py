"""Spectral gap and Cheeger bounds: how far a graph is from falling into two parts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.graph._check import check_union
from gnnlab.graph._symmetric import symmetric
from gnnlab.graph.spectra import laplacian_eigh
from gnnlab.ops import segment_reduce

__all__ = ["CheegerBounds", "cheeger_bounds", "spectral_gap"]


class CheegerBounds(NamedTuple):
    """Bounds on the Cheeger constant of every graph, [G] float64 each.

    ``lower`` = gap / 2; ``sweep`` is the conductance of the best sweep cut, a cut that exists; ``upper`` =
    min(sqrt(2 gap), ``sweep``). ``sweep`` and ``upper`` are infinite where there is no cut: without edges.
    """

    lower: Tensor
    upper: Tensor
    sweep: Tensor


@torch.no_grad()
def spectral_gap(edge_index: Tensor, ptr: Tensor, normalization: str | None = "sym") -> Tensor:
    r"""Second smallest eigenvalue of the Laplacian of every graph (Fiedler, 1973, if not normalised).

    0 for a graph of several components (an isolated node is one), also for one of fewer than two nodes.
    Parallel edges count together, self-loops for nothing, and an edge in one direction alone counts half.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        normalization: ``"sym"`` or ``"rw"`` (the same eigenvalues), or ``None``.

    Shapes:
        returns [G] float64

    Raises:
        ConfigError: unknown normalisation.
        GraphError: tensors that do not describe a union.

    Example:
        >>> hexagon = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> spectral_gap(torch.cat([hexagon, hexagon.flip(0)], 1), torch.tensor([0, 6])).round(decimals=6).tolist()
        [0.5]
    """
    return laplacian_eigh(edge_index, ptr, 2, normalization).values[:, 1]


@torch.no_grad()
def cheeger_bounds(edge_index: Tensor, ptr: Tensor) -> CheegerBounds:
    r"""Bounds on the Cheeger constant, from the spectral gap and from a cut.

    .. math::
        h = \min_{S} \frac{\mathrm{cut}(S)}{\min(\mathrm{vol}(S), \mathrm{vol}(\bar S))}, \qquad
        \frac{\lambda_2}{2} \le h \le \sqrt{2 \lambda_2}

    (Chung, Spectral Graph Theory, 1997). A sweep cut separates the nodes whose entry in the Fiedler vector,
    :math:`D^{-1/2}` times the second eigenvector, is below a threshold; the best one keeps the upper bound as
    well. Sides without volume are no cut, so an isolated node makes no difference: nodes without edges are
    left out first. Edges as in :func:`spectral_gap`.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.

    Shapes:
        returns :class:`CheegerBounds`, [G] float64 each

    Raises:
        GraphError: tensors that do not describe a union.

    Example:
        >>> hexagon = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> bounds = cheeger_bounds(torch.cat([hexagon, hexagon.flip(0)], 1), torch.tensor([0, 6]))
        >>> [round(float(bound), 6) for bound in bounds]
        [0.25, 0.333333, 0.333333]
    """
    batch = check_union(edge_index, ptr)
    num_graphs = ptr.numel() - 1
    edges, weight = symmetric(edge_index, None)
    degree = weight.new_zeros(batch.numel()).index_add_(0, edges[0], weight)
    kept = (degree > 0).nonzero().flatten()
    place = torch.full_like(batch, -1).index_copy_(0, kept, torch.arange(kept.numel(), device=kept.device))
    edges, batch, degree = place[edges], batch[kept], degree[kept]
    ptr = torch.searchsorted(batch, torch.arange(num_graphs + 1, device=batch.device))

    spectrum = laplacian_eigh(edges, ptr, 2, "sym", weight)
    gap = spectrum.values[:, 1]
    sweep = _sweep(spectrum.vectors[:, 1] * degree.rsqrt(), edges, weight, degree, batch, ptr)
    upper = torch.minimum((2 * gap).sqrt(), sweep)
    return CheegerBounds(gap / 2, torch.where(sweep.isinf(), sweep, upper), sweep)


def _sweep(fiedler: Tensor, edges: Tensor, weight: Tensor, degree: Tensor, batch: Tensor, ptr: Tensor) -> Tensor:
    """[G] least conductance among the cuts between two neighbours in the order of ``fiedler``."""
    order = fiedler.argsort(stable=True)
    order = order[batch[order].argsort(stable=True)]
    rank = torch.empty_like(order).index_copy_(0, order, torch.arange(order.numel(), device=order.device))
    low, high = torch.minimum(*rank[edges]), torch.maximum(*rank[edges])
    # An edge is cut after every rank from its lower to just before its higher end.
    crossing = weight.new_zeros(order.numel())
    crossing.index_add_(0, low, weight / 2).index_add_(0, high, -weight / 2)
    cut, volume = crossing.cumsum(0), degree[order].cumsum(0)
    start = torch.where(ptr[:-1] > 0, volume[(ptr[:-1] - 1).clamp(min=0)], 0.0) if volume.numel() else volume
    total = segment_reduce(degree[order][:, None], ptr, "sum").squeeze(1)
    below = volume - start[batch]
    conductance = cut / torch.minimum(below, total[batch] - below)
    last = torch.zeros_like(batch, dtype=torch.bool)
    last[ptr[1:][ptr.diff() > 0] - 1] = True
    best = conductance.new_full((ptr.numel() - 1,), torch.inf)
    return best.scatter_reduce_(0, batch, conductance.masked_fill(last, torch.inf), "amin")
