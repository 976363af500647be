"""Probabilities of random walks between pairs of nodes, on a disjoint union of graphs."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._transition import (
    MAX_WORK,
    cheaper_method,
    check_dense_work,
    check_sparse_work,
    compiled_walks,
    dense_cells,
    surely_within,
    transition,
)
from gnnlab.graph._walk_columns import Block, share_columns
from gnnlab.graph.buckets import size_buckets, sort_union
from gnnlab.graph.components import Layers, breadth_first_layers
from gnnlab.ops import ragged_arange

__all__ = ["walk_probabilities"]

_SPARSE_CELLS = 1 << 19
"""Cells of one block of walk distributions: 2 MB in float32, so that two of them stay in cache."""

_HINT = "take fewer steps, or raise max_work"


@torch.no_grad()
def walk_probabilities(
    edge_index: Tensor,
    ptr: Tensor,
    pairs: Tensor,
    steps: int,
    edge_weight: Tensor | None = None,
    *,
    method: str = "auto",
    dtype: torch.dtype = torch.float32,
    max_work: float = MAX_WORK,
) -> Tensor:
    r"""Probability that a walk from the first node of a pair is at the second one after 0, 1, ..., ``steps`` steps.

    .. math::
        W_{(u,v),t} = (P^t)_{uv}, \qquad P = D^{-1} A, \quad A_{uv} = \sum_{e = (u \to v)} w_e,
        \quad D_{uu} = \sum_v A_{uv}

    with the conventions of :func:`gnnlab.graph.walk_return_probabilities`: edges are walked from source to target,
    duplicate edges add up, a self-loop is a step that stays, and a walk ends at a node without outgoing edges (after
    0 steps it is there). Pairs between graphs get zeros. All terms are positive, so single precision is accurate
    to a few units in the last place.

    ``sparse`` multiplies the sparse :math:`P` with an identity whose columns are shared by nodes too far apart to
    be confused, block by block, and reads the wanted pairs off every power: work at most ``steps * E * columns`` with
    columns at most the size of a component, memory that of the result and a few megabytes. ``dense`` multiplies
    padded matrices of graphs of similar size, :math:`n^3` a step. ``auto`` chooses as
    :func:`gnnlab.graph.walk_return_probabilities` does.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        pairs: [2, P] long, start and end of the walks.
        steps: Largest number of steps, at least 0.
        edge_weight: [E] non-negative; ones by default.
        method: ``"auto"``, ``"sparse"`` or ``"dense"``.
        dtype: Floating type of the computation and the result.
        max_work: Multiply-adds above which the work is refused.

    Shapes:
        returns [P, steps + 1]

    Raises:
        ConfigError: unknown method or negative ``steps``.
        GraphError: pairs outside the union, or tensors that do not describe a union.
        BudgetError: more than ``max_work``.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> walk_probabilities(path, torch.tensor([0, 3]), torch.tensor([[0, 1], [1, 0]]), steps=3).tolist()
        [[0.0, 1.0, 0.0, 1.0], [0.0, 0.5, 0.0, 0.5]]
    """
    if steps < 0:
        raise ConfigError(f"steps must be at least 0, got {steps}")
    if method != "auto" and method not in _METHODS:
        raise ConfigError(f"unknown method {method!r}", hint=nearest(method, ["auto", *_METHODS]))
    batch = check_union(edge_index, ptr, edge_weight)
    check_pairs(pairs, batch.numel())
    weight = transition(edge_index, batch.numel(), edge_weight, dtype)
    if steps == 0 or pairs.size(1) == 0 or weight.numel() == 0:
        return _before_walking(pairs, steps, weight)
    if method == "auto":
        method = cheaper_method(edge_index, ptr, batch, weight)
    return _METHODS[method](edge_index, ptr, batch, weight, pairs, steps, max_work)


def _before_walking(pairs: Tensor, steps: int, weight: Tensor) -> Tensor:
    """[P, steps + 1], right for no step and zero otherwise."""
    result = weight.new_zeros(pairs.size(1), steps + 1)
    result[:, 0] = pairs[0] == pairs[1]
    return result


def _sparse(
    edge_index: Tensor, ptr: Tensor, batch: Tensor, weight: Tensor, pairs: Tensor, steps: int, max_work: float
) -> Tensor:
    compiled = compiled_walks(weight)
    if compiled is not None and surely_within(edge_index, ptr, batch, steps, max_work):
        return compiled.walk_pairs(edge_index, ptr, weight, pairs, steps)
    result = _before_walking(pairs, steps, weight)
    layers = breadth_first_layers(edge_index, batch.numel())
    reachable, distance = _reachable(layers, pairs, steps)
    wanted = reachable.nonzero().flatten()
    if wanted.numel() == 0:
        return result
    # A walk ends within ``steps`` layers of its start, and the other end of the pair is ``distance`` from there.
    columns = share_columns(edge_index, weight, layers, reach=steps + distance)
    check_sparse_work(columns, steps, max_work, _HINT)
    if compiled is not None:
        return compiled.walk_pairs(edge_index, ptr, weight, pairs, steps)
    row, order = _by_row(columns.union.row, pairs[0, wanted])
    wanted = wanted[order]
    column = columns.column[columns.union.row[pairs[1, wanted]]]
    for block in columns.blocks(_SPARSE_CELLS):
        low, high = torch.searchsorted(row, torch.tensor([block.begin, block.end], device=row.device)).tolist()
        inside = ((column[low:high] >= block.low) & (column[low:high] < block.high)).nonzero().flatten() + low
        if inside.numel():
            values = _walk(block, block.place(row[inside] - block.begin, column[inside]), steps)
            result.index_copy_(0, wanted[inside], values.t().contiguous())
    return result


def _reachable(layers: Layers, pairs: Tensor, steps: int) -> tuple[Tensor, int]:
    """[P] whether a walk can get from one end to the other, and the most layers between such ends."""
    component, depth, _ = layers
    reachable = component[pairs[0]] == component[pairs[1]]
    deepest = int(depth.max())
    if deepest <= steps:
        return reachable, deepest
    distance = (depth[pairs[0]] - depth[pairs[1]]).abs()
    reachable &= distance <= steps
    return reachable, int(distance.where(reachable, 0).max())


def _by_row(row: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the starts in increasing order, and that order."""
    if bool((start.diff() < 0).any()):
        return torch.sort(row[start], stable=True)
    # Already by node: whole runs are moved, which spares the sort of all pairs of a union.
    counts = torch.bincount(start, minlength=row.numel())
    first, node = counts.cumsum(0) - counts, row.argsort()
    counts = counts[node]
    run = torch.repeat_interleave(counts, output_size=start.numel())
    order = torch.arange(start.numel(), device=row.device) + (first[node] - (counts.cumsum(0) - counts))[run]
    return run, order


def _walk(block: Block, places: Tensor, steps: int) -> Tensor:
    """[steps + 1, P], entries at ``places`` of all powers."""
    state = block.identity(block.own()[1])
    values = state.new_empty(steps + 1, places.numel())
    for step in range(steps + 1):
        state = block.step(state) if step else state
        torch.index_select(state.view(-1), 0, places, out=values[step])
    return values


def _dense(
    edge_index: Tensor, ptr: Tensor, batch: Tensor, weight: Tensor, pairs: Tensor, steps: int, max_work: float
) -> Tensor:
    result, sizes = _before_walking(pairs, steps, weight), ptr.diff()
    check_dense_work(sizes, steps, max_work, _HINT)
    union = sort_union(edge_index, weight, batch, ragged_arange(sizes, batch.numel()), sizes)
    sizes = sizes[union.group]
    wanted = (batch[pairs[0]] == batch[pairs[1]]).nonzero().flatten()
    row, order = torch.sort(union.row[pairs[0, wanted]], stable=True)
    wanted = wanted[order]
    offset = (pairs[1] - ptr[batch[pairs[1]]])[wanted]
    place = torch.empty_like(union.group).index_copy_(0, union.group, torch.arange(sizes.numel(), device=row.device))
    place = place[batch[pairs[0, wanted]]]
    for first, last in size_buckets(union.ptr, sizes, dense_cells(weight.device), growth=1.25):
        step_matrix = union.blocks(first, last)
        width = step_matrix.size(-1)
        low, high = torch.searchsorted(row, union.ptr[[first, last]]).tolist()
        block = place[low:high]
        cells = ((block - first) * width + row[low:high] - union.ptr[block]) * width + offset[low:high]
        values = step_matrix.new_empty(steps + 1, high - low)
        values[0] = result[wanted[low:high], 0]
        power = step_matrix
        for step in range(1, steps + 1):
            power = power @ step_matrix if step > 1 else power
            torch.index_select(power.view(-1), 0, cells, out=values[step])
        result.index_copy_(0, wanted[low:high], values.t().contiguous())
    return result


_METHODS = {"sparse": _sparse, "dense": _dense}
