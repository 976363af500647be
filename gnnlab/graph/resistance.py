"""Effective resistance and its relatives: distances of a graph taken as an electrical network."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._pseudo_inverse import DENSE_LIMIT, check_dense, places, pseudo_inverses
from gnnlab.graph._symmetric import by_component, symmetric
from gnnlab.graph.buckets import SortedUnion
from gnnlab.graph.kirchhoff import total_effective_resistance_estimate
from gnnlab.graph.sketch import approximate_forms

__all__ = ["biharmonic_distance", "commute_time", "effective_resistance", "total_effective_resistance"]

_HINT = f"components of up to {DENSE_LIMIT:,} nodes are solved; method='sketch' estimates for larger ones"

_LARGEST_DENSE = {"auto": DENSE_LIMIT, "dense": DENSE_LIMIT, "sketch": 0}
"""Nodes up to which every method solves a component as a dense matrix."""


@torch.no_grad()
def effective_resistance(
    edge_index: Tensor,
    ptr: Tensor,
    pairs: Tensor | None = None,
    edge_weight: Tensor | None = None,
    *,
    method: str = "auto",
    epsilon: float = 0.1,
    seed: int = 0,
) -> Tensor:
    r"""Resistance between two nodes where every edge conducts by its weight (Klein and Randić, 1993).

    .. math:: R_{st} = (e_s - e_t)^\top L^+ (e_s - e_t)

    A metric on every component, infinite between components. :math:`L^+ = (L + J/n)^{-1} - J/n` is solved
    per component in float64, components of similar size in one stack. Parallel edges conduct together,
    self-loops count for nothing, and a weight in one direction alone counts half, as in
    :func:`gnnlab.graph.laplacian_eigh`.

    Components of more than 10,000 nodes take another route: up to :math:`2 / \epsilon^2` pairs are solved for one
    by one (relative error about 1e-6), more are read off random projections with a relative error of
    :math:`\epsilon` (rms, unbiased), see :func:`gnnlab.graph.resistance_sketch`.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        pairs: [2, P] long, the pairs wanted; the edges themselves by default.
        edge_weight: [E] non-negative conductances; ones by default.
        method: ``"dense"`` (every component as a dense matrix), ``"sketch"`` (none) or ``"auto"`` (by size).
        epsilon: Relative error (rms) of what is read off projections.
        seed: Of the projections.

    Shapes:
        returns [P] (or [E]) float64

    Raises:
        ConfigError: unknown method, or ``epsilon`` outside (0, 1).
        GraphError: negative weights, pairs outside the union, or tensors that do not describe a union.
        BudgetError: ``"dense"`` and a component too large for it, or projections of more than 8 GiB.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> effective_resistance(path, torch.tensor([0, 3]), torch.tensor([[0, 0], [1, 2]])).round(decimals=6).tolist()
        [1.0, 2.0]
    """
    return _over_pairs(edge_index, ptr, pairs, edge_weight, 1, method, epsilon, seed)


@torch.no_grad()
def biharmonic_distance(
    edge_index: Tensor,
    ptr: Tensor,
    pairs: Tensor | None = None,
    edge_weight: Tensor | None = None,
    *,
    method: str = "auto",
    epsilon: float = 0.1,
    seed: int = 0,
) -> Tensor:
    r"""Distance of the columns of :math:`L^+` (Lipman, Rustamov and Funkhouser, 2010).

    .. math:: B_{st} = \lVert L^+ (e_s - e_t) \rVert_2

    Arguments, shapes and errors as :func:`effective_resistance` (``epsilon`` is the relative error of the square).
    Adding a unit edge st inside a component of n nodes lowers its total resistance by
    :math:`n B_{st}^2 / (1 + R_{st})`.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> distance = biharmonic_distance(path, torch.tensor([0, 4]), torch.tensor([[0], [3]]))
        >>> distance.square().round(decimals=6).tolist()
        [5.0]
    """
    return _over_pairs(edge_index, ptr, pairs, edge_weight, 2, method, epsilon, seed).sqrt()


@torch.no_grad()
def commute_time(
    edge_index: Tensor,
    ptr: Tensor,
    pairs: Tensor | None = None,
    edge_weight: Tensor | None = None,
    *,
    method: str = "auto",
    epsilon: float = 0.1,
    seed: int = 0,
) -> Tensor:
    r"""Expected steps of a random walk from s to t and back (Chandra et al., 1989).

    .. math:: C_{st} = R_{st} \sum_{v \in c} d_v

    with the degrees of the component c of both. Arguments, shapes and errors as :func:`effective_resistance`.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> commute_time(path, torch.tensor([0, 3]), torch.tensor([[0], [2]])).round(decimals=6).tolist()
        [8.0]
    """
    resistance = effective_resistance(edge_index, ptr, pairs, edge_weight, method=method, epsilon=epsilon, seed=seed)
    edges, weight = symmetric(edge_index, edge_weight)
    component, _ = by_component(edges, weight, int(ptr[-1]))
    volume = weight.new_zeros(component.numel()).index_add_(0, component[edges[0]], weight)
    source = (edge_index if pairs is None else pairs)[0]
    # Between components the walk never arrives, not even from a node without edges.
    return torch.where(resistance.isinf(), resistance, resistance * volume[component[source]])


@torch.no_grad()
def total_effective_resistance(
    edge_index: Tensor,
    ptr: Tensor,
    edge_weight: Tensor | None = None,
    *,
    method: str = "auto",
    epsilon: float = 0.01,
    seed: int = 0,
) -> Tensor:
    r"""Sum of the resistances of all pairs of every graph, the Kirchhoff index.

    .. math:: R_{tot} = \sum_{s < t} R_{st} = n \, \mathrm{tr}(L^+)

    Pairs in different components do not count: a graph gets the sum over its components. Components of more
    than 10,000 nodes are estimated with a relative standard error of about :math:`\epsilon`, trees and cycles of
    any size exactly; :func:`gnnlab.graph.total_effective_resistance_estimate` returns the standard error too.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        edge_weight: [E] non-negative conductances; ones by default.
        method: ``"dense"`` (every component as a dense matrix), ``"sketch"`` (none) or ``"auto"`` (by size).
        epsilon: Relative standard error of the estimates.
        seed: Of the estimates.

    Shapes:
        returns [G] float64

    Raises:
        ConfigError: unknown method, or ``epsilon`` not positive.
        GraphError: negative weights, or tensors that do not describe a union.
        BudgetError: ``"dense"`` and a component too large for it.

    Example:
        >>> triangle = torch.tensor([[0, 1, 2, 1, 2, 0], [1, 2, 0, 0, 1, 2]])
        >>> total_effective_resistance(triangle, torch.tensor([0, 3, 4])).round(decimals=6).tolist()
        [2.0, 0.0]
    """
    limit = _largest_dense(method)
    if method == "dense":
        batch = check_union(edge_index, ptr, edge_weight)
        check_dense(by_component(*symmetric(edge_index, edge_weight), batch.numel())[1], limit, _HINT)
    return total_effective_resistance_estimate(
        edge_index, ptr, edge_weight, epsilon=epsilon, seed=seed, dense_limit=limit
    ).value


def _largest_dense(method: str) -> int:
    if method not in _LARGEST_DENSE:
        raise ConfigError(f"unknown method {method!r}", hint=nearest(method, _LARGEST_DENSE))
    return _LARGEST_DENSE[method]


def _over_pairs(
    edge_index: Tensor,
    ptr: Tensor,
    pairs: Tensor | None,
    edge_weight: Tensor | None,
    power: int,
    method: str,
    epsilon: float,
    seed: int,
) -> Tensor:
    """[P], M_ss + M_tt - 2 M_st of a power M of the pseudo-inverse."""
    limit = _largest_dense(method)
    batch = check_union(edge_index, ptr, edge_weight)
    pairs = edge_index if pairs is None else check_pairs(pairs, batch.numel())
    edges, weight = symmetric(edge_index, edge_weight)
    component, union = by_component(edges, weight, batch.numel())
    if method == "dense":
        check_dense(union, limit, _HINT)
    out = torch.full((pairs.size(1),), torch.inf, dtype=torch.float64, device=pairs.device)
    joined = component[pairs[0]] == component[pairs[1]]
    small = int((union.ptr.diff() <= limit).sum())
    rows = union.row[pairs]
    is_small = rows[0] < union.ptr[small]
    chosen = (joined & is_small).nonzero().flatten()
    out[chosen] = _dense_forms(replace(union, ptr=union.ptr[: small + 1]), rows[:, chosen], power)
    chosen = (joined & ~is_small).nonzero().flatten()
    if chosen.numel():
        kept = union.row[edges[0]] >= union.ptr[small]
        out[chosen] = approximate_forms(edges[:, kept], ptr, pairs[:, chosen], weight[kept], power, epsilon, seed)
    return torch.where(pairs[0] == pairs[1], 0.0, out)


def _dense_forms(union: SortedUnion, rows: Tensor, power: int) -> Tensor:
    """The same for pairs of rows [2, P] of the same component."""
    # Pairs by increasing row are pairs by block, as the blocks follow one another.
    order = rows[0].argsort()
    rows = rows[:, order]
    out = torch.empty(order.numel(), dtype=torch.float64, device=rows.device)
    for first, last, inverse in pseudo_inverses(union):
        matrix = inverse if power == 1 else inverse @ inverse
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        low, high = torch.searchsorted(rows[0].contiguous(), torch.tensor([begin, end], device=rows.device)).tolist()
        block, place = places(union, first, last)
        source, target = rows[:, low:high] - begin
        b, s, t = block[source], place[source], place[target]
        out[order[low:high]] = (matrix[b, s, s] + matrix[b, t, t] - 2 * matrix[b, s, t]).clamp(min=0)
    return out
