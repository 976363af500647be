"""Statistics of the potentials that unit charges on the nodes of a graph cause in each other."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph._check import check_union
from gnnlab.graph._pseudo_inverse import DENSE_LIMIT, check_dense, places, pseudo_inverses
from gnnlab.graph._symmetric import by_component, symmetric
from gnnlab.graph.buckets import SortedUnion, sort_union
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["electrostatic_statistics"]

_COLUMNS = 10
_HINT = "minima and maxima over all pairs need them all: encode smaller graphs, or use ResistancePE, which estimates"


@torch.no_grad()
def electrostatic_statistics(
    edge_index: Tensor, ptr: Tensor, edge_weight: Tensor | None = None, *, whole_graph: bool = False
) -> Tensor:
    r"""Ten statistics of the potentials :math:`G_{ij} = L^+_{ij} - L^+_{jj}` per node.

    :math:`G_{ij}` is the potential at i of a unit charge at j, measured from the place of the charge; the opposite
    charge is spread over the component of j. So columns of G tell what a node causes, rows what it feels. As a
    potential is highest at its charge, the maxima of both are 0, at the node itself.

    Args:
        edge_index: [2, E] long, node ids of the union; directions and self-loops are ignored.
        ptr: [G + 1] long, first node of every graph.
        edge_weight: [E] non-negative conductances; ones by default.
        whole_graph: Take statistics over all nodes of a graph instead of those of a component. Between
            components :math:`L^+_{ij} = 0`, but G is not.

    Shapes:
        returns [N, 10] float64: minimum, maximum, mean and standard deviation (of a sample; 0 for a single value)
        of the node's column, the same of its row, then :math:`\sum_i P_{ij} G_{ij}` over its column and
        :math:`\sum_j P_{ij} G_{ij}` over its row, with :math:`P = D^{-1} A`.

    Raises:
        GraphError: negative weights, or tensors that do not describe a union.
        BudgetError: a component (or graph) of more than 10,000 nodes.

    Example:
        >>> edge = torch.tensor([[0, 1], [1, 0]])
        >>> electrostatic_statistics(edge, torch.tensor([0, 2]))[0, :4].round(decimals=4).tolist()
        [-0.5, 0.0, -0.25, 0.3536]
    """
    batch = check_union(edge_index, ptr, edge_weight)
    edges, weight = symmetric(edge_index, edge_weight)
    component, union = by_component(edges, weight, batch.numel())
    label = None
    if whole_graph:
        sizes = ptr.diff()
        union = sort_union(edges, weight, batch, ragged_arange(sizes, batch.numel()), sizes)
        label = torch.empty_like(component).index_copy_(0, union.row, component)
    check_dense(union, DENSE_LIMIT, _HINT)
    out = torch.zeros(batch.numel(), _COLUMNS, dtype=torch.float64, device=batch.device)
    for first, last, potential in pseudo_inverses(union, label):
        potential.sub_(potential.diagonal(dim1=1, dim2=2).clone()[:, None, :])
        block, place = places(union, first, last)
        real = torch.zeros(potential.shape[:2], dtype=torch.bool, device=batch.device)
        real[block, place] = True
        # Of columns, then of rows.
        columns = [part for dim in (1, 2) for part in _statistics(potential, real, dim)]
        rows = torch.stack([column[block, place] for column in columns], 1)
        begin, end = int(union.ptr[first]), int(union.ptr[last])
        out[begin:end] = torch.cat([rows, _over_neighbours(union, begin, end, potential, block, place)], 1)
    return out[union.row]


def _statistics(potential: Tensor, real: Tensor, dim: int) -> list[Tensor]:
    """Minimum, maximum, mean, deviation [B, n] along one dimension, padding left out."""
    there = real.unsqueeze(3 - dim)
    count = real.sum(1, keepdim=True).double()
    low = potential.masked_fill(~there, torch.inf).amin(dim)
    high = potential.masked_fill(~there, -torch.inf).amax(dim)
    mean = potential.masked_fill(~there, 0).sum(dim) / count
    apart = (potential - mean.unsqueeze(dim)).masked_fill_(~there, 0)
    return [low, high, mean, (apart.square_().sum(dim) / (count - 1).clamp(min=1)).sqrt()]


def _over_neighbours(
    union: SortedUnion, begin: int, end: int, potential: Tensor, block: Tensor, place: Tensor
) -> Tensor:
    """[end - begin, 2] sums over neighbours, of columns and of rows."""
    pointers, column, weight = union.edges(begin, end)
    row = expand_ptr(pointers, column.numel())
    out = weight.new_zeros(end - begin, 2)
    degree = weight.new_zeros(end - begin).index_add_(0, row, weight)
    value = weight / degree[row] * potential[block[row], place[row], place[column]]
    out[:, 0].index_add_(0, column, value)
    out[:, 1].index_add_(0, row, value)
    return out
