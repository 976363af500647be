"""Sums of outer products over incoming edges, projected: dense products per degree, never a matrix per edge."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph.buckets import size_buckets
from gnnlab.ops import CSR, gather_source, ragged_arange

__all__ = ["outer_aggregate"]

_CELLS = 1 << 18
"""Edges of one padded block."""


class _Block(NamedTuple):
    """Nodes of similar degree, whose edges follow one another.

    Args:
        edges: Number of edges.
        nodes: B.
        index: [B, D] long, edges of every node among those of the block, padded with any; ``None`` where all degrees
            are equal, so that a view does.
        padding: [B, D, 1] bool, or ``None``.
    """

    edges: int
    nodes: int
    index: Tensor | None
    padding: Tensor | None


class _Plan(NamedTuple):
    """The nodes by degree; ``isolated`` of them come first and are in no block.

    Args:
        isolated: Nodes without incoming edges.
        blocks: The others.
        edges: [E] long, caller's edge of every place in the order of the blocks.
        place: [N] long, where a node is.
    """

    isolated: int
    blocks: list[_Block]
    edges: Tensor
    place: Tensor


def outer_aggregate(x: Tensor, factors: Tensor, weight: Tensor, adj: CSR) -> Tensor:
    r"""Row v of the result is :math:`\mathrm{vec}\big(\sum_{u \to v} \phi_{uv} x_u^\top\big)^\top W`.

    The sum over the neighbours of a node is one small matrix product, and nodes of similar degree are one batch of
    them. Time :math:`E R d + N R d\,d'`, memory :math:`N R d + E (R + d)`.

    Args:
        x: [N, d] node states.
        factors: :math:`\phi`, [E, R], in the caller's edge order.
        weight: W, [R d, d'].
        adj: The graph.

    Shapes:
        * **output:** [N, d']
    """
    plan = adj.memo("outer blocks", lambda: _plan(adj))
    # One permutation and one cut, so that the gradient is one concatenation, whatever the number of blocks.
    sources, factors = gather_source(x, adj).index_select(0, plan.edges), factors.index_select(0, plan.edges)
    parts = []
    if plan.isolated or not plan.blocks:
        # An empty sum is 0, and a function of the inputs all the same.
        nothing = (factors[:0].t() @ sources[:0]).reshape(1, -1) @ weight
        parts.append(nothing.expand(plan.isolated, -1))
    sizes = [block.edges for block in plan.blocks]
    for block, left, right in zip(plan.blocks, factors.split(sizes), sources.split(sizes), strict=True):
        left, right = _dense(left, block), _dense(right, block)
        left = left if block.padding is None else left.masked_fill(block.padding, 0)
        parts.append(torch.bmm(left.transpose(1, 2), right).flatten(1) @ weight)
    return torch.cat(parts).index_select(0, plan.place)


def _dense(rows: Tensor, block: _Block) -> Tensor:
    """[B, D, ...] rows of every node of a block."""
    if block.index is not None:
        rows = rows.index_select(0, block.index.reshape(-1))
    return rows.reshape(block.nodes, -1, rows.size(1))


@torch.compiler.disable
def _plan(adj: CSR) -> _Plan:
    if adj.ptr.is_cuda and torch.cuda.is_current_stream_capturing():
        raise ConfigError(
            "the degrees of a batch are data, so a step of a factored edge network cannot be recorded",
            where="model.capture",
            hint="set model.capture=false, or factored=false of the edge network",
        )
    degree, order = torch.sort(adj.degree.long(), stable=True)
    begins = torch.nn.functional.pad(degree.cumsum(0), (1, 0))
    slots = adj.ptr[:-1].long()[order].repeat_interleave(degree, output_size=adj.num_edges)
    slots = slots + ragged_arange(degree, adj.num_edges)
    width, starts = degree.tolist(), begins.tolist()
    isolated = bisect_right(width, 0)
    blocks = []
    for first, last in size_buckets(torch.arange(len(width) + 1), degree.cpu(), _CELLS, growth=1.25):
        if last <= isolated:
            continue
        index = padding = None
        if width[first] < width[last - 1]:
            place = torch.arange(width[last - 1], device=degree.device)
            padding = place >= degree[first:last, None]
            index = (begins[first:last, None] - starts[first] + place).masked_fill(padding, 0)
            padding = padding.unsqueeze(-1)
        blocks.append(_Block(starts[last] - starts[first], last - first, index, padding))
    return _Plan(isolated, blocks, slots if adj.eid is None else adj.eid.long()[slots], order.argsort())
