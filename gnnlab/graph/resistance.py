"""Effective resistance and its relatives: distances of a graph taken as an electrical network."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._pseudo_inverse import DENSE_LIMIT, check_dense, places, pseudo_inverses
from gnnlab.graph._symmetric import by_component, symmetric
from gnnlab.ops import segment_reduce

__all__ = ["biharmonic_distance", "commute_time", "effective_resistance", "total_effective_resistance"]

_HINT = f"components of up to {DENSE_LIMIT:,} nodes are solved"


@torch.no_grad()
def effective_resistance(
    edge_index: Tensor, ptr: Tensor, pairs: Tensor | None = None, edge_weight: Tensor | None = None
) -> Tensor:
    r"""Resistance between two nodes where every edge conducts by its weight (Klein and Randić, 1993).

    .. math:: R_{st} = (e_s - e_t)^\top L^+ (e_s - e_t)

    A metric on every component, infinite between components. :math:`L^+ = (L + J/n)^{-1} - J/n` is solved
    per component in float64, components of similar size in one stack. Parallel edges conduct together,
    self-loops count for nothing, and a weight in one direction alone counts half, as in
    :func:`gnnlab.graph.laplacian_eigh`.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        pairs: [2, P] long, the pairs wanted; the edges themselves by default.
        edge_weight: [E] non-negative conductances; ones by default.

    Shapes:
        returns [P] (or [E]) float64

    Raises:
        GraphError: negative weights, pairs outside the union, or tensors that do not describe a union.
        BudgetError: a component too large for a dense matrix.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> effective_resistance(path, torch.tensor([0, 3]), torch.tensor([[0, 0], [1, 2]])).round(decimals=6).tolist()
        [1.0, 2.0]
    """
    return _over_pairs(edge_index, ptr, pairs, edge_weight, power=1)


@torch.no_grad()
def biharmonic_distance(
    edge_index: Tensor, ptr: Tensor, pairs: Tensor | None = None, edge_weight: Tensor | None = None
) -> Tensor:
    r"""Distance of the columns of :math:`L^+` (Lipman, Rustamov and Funkhouser, 2010).

    .. math:: B_{st} = \lVert L^+ (e_s - e_t) \rVert_2

    Arguments, shapes and errors as :func:`effective_resistance`. Adding a unit edge st inside a component
    of n nodes lowers its total resistance by :math:`n B_{st}^2 / (1 + R_{st})`.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> distance = biharmonic_distance(path, torch.tensor([0, 4]), torch.tensor([[0], [3]]))
        >>> distance.square().round(decimals=6).tolist()
        [5.0]
    """
    return _over_pairs(edge_index, ptr, pairs, edge_weight, power=2).sqrt()


@torch.no_grad()
def commute_time(
    edge_index: Tensor, ptr: Tensor, pairs: Tensor | None = None, edge_weight: Tensor | None = None
) -> Tensor:
    r"""Expected steps of a random walk from s to t and back (Chandra et al., 1989).

    .. math:: C_{st} = R_{st} \sum_{v \in c} d_v

    with the degrees of the component c of both. Arguments, shapes and errors as :func:`effective_resistance`.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> commute_time(path, torch.tensor([0, 3]), torch.tensor([[0], [2]])).round(decimals=6).tolist()
        [8.0]
    """
    resistance = effective_resistance(edge_index, ptr, pairs, edge_weight)
    edges, weight = symmetric(edge_index, edge_weight)
    component, _ = by_component(edges, weight, int(ptr[-1]))
    volume = weight.new_zeros(component.numel()).index_add_(0, component[edges[0]], weight)
    source = (edge_index if pairs is None else pairs)[0]
    # Between components the walk never arrives, not even from a node without edges.
    return torch.where(resistance.isinf(), resistance, resistance * volume[component[source]])


@torch.no_grad()
def total_effective_resistance(edge_index: Tensor, ptr: Tensor, edge_weight: Tensor | None = None) -> Tensor:
    r"""Sum of the resistances of all pairs of every graph, the Kirchhoff index.

    .. math:: R_{tot} = \sum_{s < t} R_{st} = n \, \mathrm{tr}(L^+)

    Pairs in different components do not count: a graph gets the sum over its components.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        edge_weight: [E] non-negative conductances; ones by default.

    Shapes:
        returns [G] float64

    Raises:
        GraphError: negative weights, or tensors that do not describe a union.
        BudgetError: a component too large for a dense matrix.

    Example:
        >>> triangle = torch.tensor([[0, 1, 2, 1, 2, 0], [1, 2, 0, 0, 1, 2]])
        >>> total_effective_resistance(triangle, torch.tensor([0, 3, 4])).round(decimals=6).tolist()
        [2.0, 0.0]
    """
    batch = check_union(edge_index, ptr, edge_weight)
    component, union = by_component(*symmetric(edge_index, edge_weight), batch.numel())
    check_dense(union, DENSE_LIMIT, _HINT)
    diagonal = torch.zeros(batch.numel(), dtype=torch.float64, device=ptr.device)
    for first, last, inverse in pseudo_inverses(union):
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        block, place = places(union, first, last)
        diagonal[begin:end] = inverse[block, place, place]
    sizes = torch.bincount(component, minlength=1)
    return segment_reduce(diagonal[union.row] * sizes[component], ptr, "sum")


def _over_pairs(
    edge_index: Tensor, ptr: Tensor, pairs: Tensor | None, edge_weight: Tensor | None, power: int
) -> Tensor:
    """[P], M_ss + M_tt - 2 M_st of a power M of the pseudo-inverse."""
    batch = check_union(edge_index, ptr, edge_weight)
    pairs = edge_index if pairs is None else check_pairs(pairs, batch.numel())
    component, union = by_component(*symmetric(edge_index, edge_weight), batch.numel())
    check_dense(union, DENSE_LIMIT, _HINT)
    out = torch.full((pairs.size(1),), torch.inf, dtype=torch.float64, device=pairs.device)
    joined = (component[pairs[0]] == component[pairs[1]]).nonzero().flatten()
    rows = union.row[pairs[:, joined]]
    # Pairs by increasing row are pairs by block, as the blocks follow one another.
    order = rows[0].argsort()
    rows, joined = rows[:, order], joined[order]
    for first, last, inverse in pseudo_inverses(union):
        matrix = inverse if power == 1 else inverse @ inverse
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        low, high = torch.searchsorted(rows[0].contiguous(), torch.tensor([begin, end], device=rows.device)).tolist()
        block, place = places(union, first, last)
        source, target = rows[:, low:high] - begin
        b, s, t = block[source], place[source], place[target]
        out[joined[low:high]] = (matrix[b, s, s] + matrix[b, t, t] - 2 * matrix[b, s, t]).clamp(min=0)
    return torch.where(pairs[0] == pairs[1], 0.0, out)
