"""Attention in one pass over incoming edges, and its gradients in one pass over outgoing edges."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._numba._jit import bound, claim, compiled, flat, index, inlined, reordered
from gnnlab.ops._numba._linear import add_scaled, dot, sum_edges
from gnnlab.ops._numba._math import exp
from gnnlab.ops._numba._threads import run
from gnnlab.ops._scoring import Scoring

__all__ = ["attention", "attention_backward"]

_ZERO, _ONE, _INF = np.float32(0), np.float32(1), np.float32(np.inf)


def attention(
    x: Tensor,
    scoring: Scoring,
    layout: Layout,
) -> tuple[Tensor, Tensor]:
    num_nodes, heads, channels = x.shape
    out, lse = x.new_empty(x.shape), x.new_empty(num_nodes, heads)
    *terms, slope, skip_loops = scoring
    rows = flat(layout.ptr), flat(layout.idx), flat(layout.eid)
    parts = (flat(part, like=x) for part in (x, *terms))
    size = (2 * layout.num_edges + num_nodes) * heads * channels
    run(_forward, size, heads, channels, slope, skip_loops, *rows, *parts, flat(out), flat(lse))
    return out, lse


def attention_backward(
    grad_out: Tensor,
    grad_lse: Tensor,
    x: Tensor,
    scoring: Scoring,
    out: Tensor,
    lse: Tensor,
    layout: Layout,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    num_nodes, heads, channels = x.shape
    grad_x, grad_source = x.new_empty(x.shape), x.new_empty(num_nodes, heads)
    grad_edge, grad_weight = (x.new_empty(layout.num_edges, heads) for _ in range(2))
    along = torch.linalg.vecdot(grad_out, out).sub_(grad_lse)
    *terms, slope, skip_loops = scoring
    rows = flat(layout.ptr_t), flat(layout.idx_t), flat(layout.eid_t)
    read = (flat(part, like=x) for part in (grad_out, along, lse, x, *terms))
    written = flat(grad_x), flat(grad_source), flat(grad_edge), flat(grad_weight)
    size = (3 * layout.num_edges + num_nodes) * heads * channels
    run(_backward, size, heads, channels, slope, skip_loops, *rows, *read, *written)
    return grad_x, grad_source, sum_edges(grad_edge, layout), grad_edge, grad_weight


@inlined
def _add_parts(raw, source, u, target, v, edge, e, heads):
    """Scores before the leaky rectifier: the sum of the parts that are there."""
    for h in range(heads):
        raw[h] = _ZERO
    if source.size:
        for h in range(heads):
            raw[h] += source[u + h]
    if target.size:
        for h in range(heads):
            raw[h] += target[v + h]
    if edge.size:
        for h in range(heads):
            raw[h] += edge[e + h]


@inlined
def _largest_degree(ptr, chunk, chunks):
    degree = 0
    for row in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
        degree = max(degree, ptr[row + 1] - ptr[row])
    return degree


@compiled
def _forward(
    counter, chunks, heads, channels, slope, skip_loops, ptr, idx, eid, x, source, target, edge, weight, out, lse
):
    raw, top, total = np.empty(heads, x.dtype), np.empty(heads, x.dtype), np.empty(heads, x.dtype)
    slope, heads, channels = x.dtype.type(slope), index(heads), index(channels)
    width = heads * channels
    chunk = claim(counter, 0)
    while chunk < chunks:
        scores = np.empty(_largest_degree(ptr, chunk, chunks) * heads, x.dtype)  # of one row
        for row in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            v = index(row)
            first, last = index(ptr[row]), index(ptr[row + 1])
            for h in range(heads):
                top[h] = -_INF
                total[h] = _ZERO
            for f in range(width):
                out[v * width + f] = _ZERO
            for slot in range(first, last):
                u, e, place = index(idx[slot]), index(eid[slot]) if eid.size else slot, (slot - first) * heads
                _add_parts(raw, source, u * heads, target, v * heads, edge, e * heads, heads)
                skipped = skip_loops and u == v
                for h in range(heads):
                    score = raw[h] if raw[h] > _ZERO else slope * raw[h]
                    score = -_INF if skipped else score
                    scores[place + h] = score
                    top[h] = score if score > top[h] else top[h]
            for h in range(heads):
                top[h] = _ZERO if top[h] == -_INF else top[h]
            for slot in range(first, last):
                u, e, place = index(idx[slot]), index(eid[slot]) if eid.size else slot, (slot - first) * heads
                if skip_loops and u == v:
                    continue
                for h in range(heads):
                    power = exp(scores[place + h] - top[h])
                    total[h] += power
                    raw[h] = power
                if weight.size:
                    for h in range(heads):
                        raw[h] *= weight[e * heads + h]
                for h in range(heads):
                    add_scaled(out, v * width + h * channels, raw[h], x, u * width + h * channels, channels)
            for h in range(heads):
                if total[h] == _ZERO:
                    lse[v * heads + h] = -_INF
                else:
                    lse[v * heads + h] = math.log(total[h]) + top[h]
                    start, factor = v * width + h * channels, _ONE / total[h]
                    for f in range(start, start + channels):
                        out[f] *= factor
        chunk = claim(counter, 1)


@reordered
def _backward(
    counter,
    chunks,
    heads,
    channels,
    slope,
    skip_loops,
    ptr,
    idx,
    eid,
    grad_out,
    along,
    lse,
    x,
    source,
    target,
    edge,
    weight,
    grad_x,
    grad_source,
    grad_edge,
    grad_weight,
):
    raw, product, factor = np.empty(heads, x.dtype), np.empty(heads, x.dtype), np.empty(heads, x.dtype)
    slope, heads, channels = x.dtype.type(slope), index(heads), index(channels)
    width = heads * channels
    chunk = claim(counter, 0)
    while chunk < chunks:
        for row in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            u = index(row)
            for h in range(heads):
                grad_source[u * heads + h] = _ZERO
            for f in range(width):
                grad_x[u * width + f] = _ZERO
            for slot in range(index(ptr[row]), index(ptr[row + 1])):
                v, e = index(idx[slot]), index(eid[slot]) if eid.size else slot
                if skip_loops and u == v:
                    for h in range(heads):
                        grad_edge[e * heads + h] = _ZERO
                        grad_weight[e * heads + h] = _ZERO
                    continue
                _add_parts(raw, source, u * heads, target, v * heads, edge, e * heads, heads)
                for h in range(heads):
                    product[h] = dot(grad_out, v * width + h * channels, x, u * width + h * channels, channels)
                    factor[h] = weight[e * heads + h] if weight.size else _ONE
                for h in range(heads):
                    score = raw[h] if raw[h] > _ZERO else slope * raw[h]
                    share = exp(score - (_ZERO if score == -_INF else lse[v * heads + h]))
                    change = share * (factor[h] * product[h] - along[v * heads + h])
                    grad_edge[e * heads + h] = change if raw[h] > _ZERO else slope * change
                    product[h] *= share
                    factor[h] *= share
                for h in range(heads):
                    grad_source[u * heads + h] += grad_edge[e * heads + h]
                    grad_weight[e * heads + h] = product[h]
                    add_scaled(
                        grad_x, u * width + h * channels, factor[h], grad_out, v * width + h * channels, channels
                    )
        chunk = claim(counter, 1)
