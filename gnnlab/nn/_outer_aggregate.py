"""Sums of outer products over incoming edges, projected: dense products per degree, never a matrix per edge."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import ConfigError
from gnnlab.graph.buckets import size_buckets
from gnnlab.ops import CSR, gather_source

__all__ = ["outer_aggregate"]

_CELLS = 1 << 18
"""Edges of one padded block."""


class _Block(NamedTuple):
    """Nodes of similar degree.

    Args:
        edges: [B, D] long, incoming edges of every node, padded with any.
        padding: [B, D, 1] bool, or ``None`` where all degrees are D.
    """

    edges: Tensor
    padding: Tensor | None


class _Plan(NamedTuple):
    """The nodes by degree; ``isolated`` of them come first and are in no block. ``place`` [N] is where a node is."""

    isolated: int
    blocks: list[_Block]
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
    sources = gather_source(x, adj)
    parts = []
    if plan.isolated or not plan.blocks:
        # An empty sum is 0, and a function of the inputs all the same.
        nothing = (factors[:0].t() @ sources[:0]).reshape(1, -1) @ weight
        parts.append(nothing.expand(plan.isolated, -1))
    for edges, padding in plan.blocks:
        index = edges.reshape(-1)
        left = factors.index_select(0, index).view(*edges.shape, factors.size(1))
        right = sources.index_select(0, index).view(*edges.shape, sources.size(1))
        left = left if padding is None else left.masked_fill(padding, 0)
        parts.append(torch.bmm(left.transpose(1, 2), right).flatten(1) @ weight)
    return torch.cat(parts).index_select(0, plan.place)


@torch.compiler.disable
def _plan(adj: CSR) -> _Plan:
    if adj.ptr.is_cuda and torch.cuda.is_current_stream_capturing():
        raise ConfigError(
            "the degrees of a batch are data, so a step of a factored edge network cannot be recorded",
            where="model.capture",
            hint="set model.capture=false, or factored=false of the edge network",
        )
    degree, order = torch.sort(adj.degree.long(), stable=True)
    rows = torch.arange(degree.numel() + 1)
    width = degree.cpu()
    isolated = int((width == 0).sum())
    blocks = []
    for first, last in size_buckets(rows, width, _CELLS, growth=1.25):
        if last <= isolated:
            continue
        size = int(width[last - 1])
        place = torch.arange(size, device=degree.device)
        padding = place >= degree[first:last, None]
        slots = (adj.ptr[order[first:last], None].long() + place).masked_fill(padding, 0)
        edges = slots if adj.eid is None else adj.eid[slots].long()
        blocks.append(_Block(edges, padding.unsqueeze(-1) if int(width[first]) < size else None))
    return _Plan(isolated, blocks, order.argsort())
