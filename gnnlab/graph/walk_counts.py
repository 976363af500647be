"""Numbers of walks between pairs of nodes, on a disjoint union of graphs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._engine import engine
from gnnlab.graph._walk_columns import share_columns
from gnnlab.graph.components import breadth_first_layers
from gnnlab.ops import expand_ptr

__all__ = ["walk_counts"]

_CELLS = 1 << 18
"""Cells of one block of walk counts: 2 MB in float64, so that two of them stay in cache."""


@torch.no_grad()
def walk_counts(
    edge_index: Tensor,
    ptr: Tensor,
    pairs: Tensor,
    length: int,
    self_loops: bool = True,
    edge_weight: Tensor | None = None,
) -> Tensor:
    r"""Number of walks of ``length`` steps from the first to the second node of every pair.

    .. math:: \mu(u, v) = (\tilde A^p)_{uv}, \qquad \tilde A = A + I

    With the identity a walk may also stay where it is, so :math:`\mu` counts walks of at most ``length``
    steps, each as often as it can be stretched. Edges are walked from source to target; duplicate edges add
    up, as do the loops a graph has already. With weights, a walk counts as the product of its edges.

    Counts are float64: exact up to :math:`2^{53}`, then rounded (in an order that does not depend on the rest
    of the union), infinite above 1.8e308, where they no longer tell pairs apart. Pairs between components
    count 0. The work is that of ``length`` sparse products restricted to the neighbourhoods of the sources.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        pairs: [2, P] long, pairs of node ids; between components the count is 0.
        length: Number p of steps, at least 0.
        self_loops: Whether a step may stay at its node.
        edge_weight: [E] finite; ones by default.

    Shapes:
        returns [P] float64

    Raises:
        GraphError: pairs outside the union, or tensors that do not describe a union.
        ConfigError: a negative ``length``.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> walk_counts(path, torch.tensor([0, 3]), torch.tensor([[0, 0, 1], [2, 1, 1]]), length=2).tolist()
        [1.0, 2.0, 3.0]
    """
    if length < 0:
        raise ConfigError(f"length must be at least 0, got {length}")
    batch = check_union(edge_index, ptr, edge_weight)
    check_pairs(pairs, batch.numel())
    if edge_weight is None:
        edge_weight = torch.ones(edge_index.size(1), device=ptr.device)
    source, order = torch.sort(edge_index[0], stable=True)
    pointers = torch.searchsorted(source, torch.arange(batch.numel() + 1, device=source.device))
    rows = ptr, pointers, edge_index[1][order], edge_weight[order].double()
    count = _counter_for(ptr.device)
    inside = batch[pairs[0]] == batch[pairs[1]]
    if bool(inside.all()) and not bool((pairs[0].diff() < 0).any()):
        return count(*rows, pairs, length, self_loops)
    wanted = inside.nonzero().flatten()
    wanted = wanted[pairs[0, wanted].argsort(stable=True)]
    counts = torch.zeros(pairs.size(1), dtype=torch.float64, device=ptr.device)
    return counts.index_copy_(0, wanted, count(*rows, pairs[:, wanted], length, self_loops))


def _counter_for(device: torch.device) -> Callable[..., Tensor]:
    return engine(device, _count_walks, "gnnlab.graph._walk_numba:count_walks")


def _count_walks(
    ptr: Tensor, pointers: Tensor, targets: Tensor, weight: Tensor, pairs: Tensor, length: int, self_loops: bool
) -> Tensor:
    """As :func:`gnnlab.graph._walk_numba.count_walks`: a sparse product per step over blocks of shared columns."""
    num_nodes = pointers.numel() - 1
    edge_index = torch.stack([expand_ptr(pointers, targets.numel()), targets])
    layers = breadth_first_layers(edge_index, num_nodes)
    if self_loops:
        edge_index = torch.cat([edge_index, torch.arange(num_nodes, device=targets.device).expand(2, -1)], 1)
        weight = torch.cat([weight, weight.new_ones(num_nodes)])
    counts = weight.new_zeros(pairs.size(1))
    distance = (layers.depth[pairs[0]] - layers.depth[pairs[1]]).abs()
    reachable = (layers.component[pairs[0]] == layers.component[pairs[1]]) & (distance <= length)
    wanted = reachable.nonzero().flatten()
    if wanted.numel() == 0:
        return counts
    # From the source of a pair a walk ends within ``length`` layers, and the target is ``distance`` from there.
    columns = share_columns(edge_index, weight, layers, reach=length + int(distance[wanted].max()))
    row, order = torch.sort(columns.union.row[pairs[0, wanted]])
    wanted = wanted[order]
    column = columns.column[columns.union.row[pairs[1, wanted]]]
    for block in columns.blocks(_CELLS):
        low, high = torch.searchsorted(row, torch.tensor([block.begin, block.end], device=row.device)).tolist()
        inside = ((column[low:high] >= block.low) & (column[low:high] < block.high)).nonzero().flatten() + low
        if inside.numel() == 0:
            continue
        state = block.identity(block.own()[1])
        for _ in range(length):
            state = block.step(state)
        counts[wanted[inside]] = state.view(-1)[block.place(row[inside] - block.begin, column[inside])]
    return counts
