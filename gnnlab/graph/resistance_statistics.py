"""How far a node is, as an electrical network measures it, from the other nodes of its component."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._pseudo_inverse import DENSE_LIMIT, check_dense, places, pseudo_inverses
from gnnlab.graph._symmetric import by_component, symmetric
from gnnlab.graph.buckets import SortedUnion
from gnnlab.graph.sketch import resistance_sketch, sketch_dimensions

__all__ = ["resistance_statistics"]

_COLUMNS = 5
_LARGEST_DENSE = {"auto": DENSE_LIMIT, "dense": DENSE_LIMIT, "sketch": 0}
_CELLS = 1 << 22  # resistances at a time
_MOST_PRODUCTS = 1e13  # multiplications: some minutes on two cores
_HINT = f"components of up to {DENSE_LIMIT:,} nodes are solved; method='sketch' estimates for larger ones"


@torch.no_grad()
def resistance_statistics(
    edge_index: Tensor,
    ptr: Tensor,
    edge_weight: Tensor | None = None,
    *,
    method: str = "auto",
    epsilon: float = 0.1,
    seed: int = 0,
) -> Tensor:
    r"""Mean, standard deviation, minimum and maximum of :math:`R_{st}` over the other nodes t, and :math:`L^+_{ss}`.

    :math:`1 / (n L^+_{ss} + \mathrm{tr} L^+)` is the current-flow closeness of s (Brandes and Fleischer, STACS 2005).
    All is taken over the component of s; the deviation is that of the n - 1 values themselves, and a node on
    its own gets zeros.

    Components of more than 10,000 nodes are read off random projections (:func:`gnnlab.graph.resistance_sketch`)
    of :math:`k = 2 / \epsilon^2` columns. Every resistance then has a relative error of :math:`\epsilon` (rms), and
    so have the mean and :math:`L^+_{ss}` at most. Minimum and maximum are those of estimates, too small and too large
    by a few such errors, and the deviation has an error of up to about :math:`\epsilon` times the mean.

    Args:
        edge_index: [2, E] long, node ids of the union; directions and self-loops are ignored.
        ptr: [G + 1] long, first node of every graph.
        edge_weight: [E] non-negative conductances; ones by default.
        method: ``"dense"`` (every component as a dense matrix), ``"sketch"`` (none) or ``"auto"`` (by size).
        epsilon: Relative error (rms) of what is read off projections.
        seed: Of the projections.

    Shapes:
        returns [N, 5] float64

    Raises:
        ConfigError: unknown method, or ``epsilon`` outside (0, 1).
        GraphError: negative weights, or tensors that do not describe a union.
        BudgetError: ``"dense"`` and a component too large for it, or estimates that take more than 10^13 products.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> resistance_statistics(path, torch.tensor([0, 3]))[0].round(decimals=4).tolist()
        [1.5, 0.5, 1.0, 2.0, 0.5556]
    """
    if method not in _LARGEST_DENSE:
        raise ConfigError(f"unknown method {method!r}", hint=nearest(method, _LARGEST_DENSE))
    dimensions = sketch_dimensions(epsilon)
    batch = check_union(edge_index, ptr, edge_weight)
    edges, weight = symmetric(edge_index, edge_weight)
    _, union = by_component(edges, weight, batch.numel())
    if method == "dense":
        check_dense(union, DENSE_LIMIT, _HINT)
    sizes = union.ptr.diff()
    small = int((sizes <= _LARGEST_DENSE[method]).sum())
    _check_products(sizes[small:], dimensions)
    out = torch.zeros(batch.numel(), _COLUMNS, dtype=torch.float64, device=batch.device)
    _exact(replace(union, ptr=union.ptr[: small + 1]), out)
    if small < sizes.numel():
        kept = union.row[edges[0]] >= union.ptr[small]
        sketch = resistance_sketch(edges[:, kept], ptr, dimensions, seed=seed, edge_weight=weight[kept])
        position = torch.empty_like(sketch.rows).index_copy_(0, union.row, sketch.rows)
        _estimated(union.ptr[small:].tolist(), position, out)
    return out[union.row]


def _check_products(sizes: Tensor, dimensions: int) -> None:
    products = float(sizes.double().square().sum()) * dimensions
    if products > _MOST_PRODUCTS:
        raise BudgetError(
            f"resistances between all {int(sizes.sum()):,} nodes from {dimensions} columns take {products:.1e} "
            f"products, limit {_MOST_PRODUCTS:.0e}",
            hint="a larger epsilon needs fewer columns; ResistancePE(node=False) encodes pairs alone",
        )


def _exact(union: SortedUnion, out: Tensor) -> None:
    """Write the rows of components that are solved as dense matrices."""
    for first, last, inverse in pseudo_inverses(union):
        block, place = places(union, first, last)
        own = inverse.diagonal(dim1=1, dim2=2).clone()
        real = torch.zeros(own.shape, dtype=torch.bool, device=own.device)
        real[block, place] = True
        other = real[:, :, None] & real[:, None, :]
        other.diagonal(dim1=1, dim2=2).fill_(False)
        resistance = (own[:, :, None] + own[:, None, :]).sub_(inverse, alpha=2).clamp_(min=0)
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        out[begin:end] = torch.cat([_summary(resistance, other), own[:, :, None]], 2)[block, place]


def _estimated(bounds: list[int], position: Tensor, out: Tensor) -> None:
    """The same for components that lie at ``bounds``, from the squared distances of positions [N, k]."""
    for begin, end in pairwise(bounds):
        points = position[begin:end]
        own = points.square().sum(1)
        step = max(1, _CELLS // (end - begin))
        for low in range(0, end - begin, step):
            part = slice(low, min(low + step, end - begin))
            resistance = torch.addmm(own[None, :], points[part], points.t(), alpha=-2)
            resistance.add_(own[part, None]).clamp_(min=0)
            rows = torch.arange(resistance.size(0), device=own.device)
            other = torch.ones(resistance.shape, dtype=torch.bool, device=own.device)
            other[rows, rows + low] = False
            summary = _summary(resistance, other)
            out[begin + low : begin + low + rows.numel()] = torch.cat([summary, own[part, None]], 1)


def _summary(resistance: Tensor, other: Tensor) -> Tensor:
    """[..., 4] mean, deviation, minimum and maximum of the entries of rows that count; zeros where none does."""
    count = other.sum(-1).clamp(min=1)
    mean = resistance.masked_fill(~other, 0).sum(-1) / count
    apart = (resistance - mean.unsqueeze(-1)).masked_fill_(~other, 0)
    low = resistance.masked_fill(~other, torch.inf).amin(-1)
    high = resistance.masked_fill(~other, 0).amax(-1)
    low = torch.where(other.any(-1), low, 0.0)
    return torch.stack([mean, (apart.square_().sum(-1) / count).sqrt(), low, high], -1)
