"""Weighted sums over edges and products per edge for several heads; one head is torch's, which is as fast there."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnlab.ops import _torch
from gnnlab.ops._layout import Layout
from gnnlab.ops._numba._jit import bound, claim, compiled, flat, index, inlined, reordered
from gnnlab.ops._numba._threads import run

__all__ = ["add_scaled", "dot", "sddmm", "spmm", "sum_edges"]

_ZERO = np.float32(0)


def spmm(x: Tensor, weight: Tensor | None, mean: bool, layout: Layout) -> Tensor:
    _, heads, channels = x.shape
    if weight is None or heads == 1:
        return _torch.spmm(x, weight, mean, layout)
    out = x.new_empty(layout.num_rows, heads, channels)
    rows = flat(layout.ptr), flat(layout.idx), flat(layout.eid)
    size = (layout.num_edges + layout.num_rows) * heads * channels
    run(_spmm, size, heads, channels, mean, *rows, flat(x), flat(weight), flat(out))
    return out


def sddmm(a: Tensor, b: Tensor, layout: Layout) -> Tensor:
    _, heads, channels = a.shape
    if heads == 1:
        return _torch.sddmm(a, b, layout)
    out = a.new_empty(layout.num_edges, heads)
    rows = flat(layout.ptr), flat(layout.idx), flat(layout.eid)
    run(_sddmm, layout.num_edges * heads * channels, heads, channels, *rows, flat(a), flat(b), flat(out))
    return out


def sum_edges(edge: Tensor, layout: Layout) -> Tensor:
    """[E, F] -> [R, F], sums over the edges of every row."""
    out, width = edge.new_empty(layout.num_rows, edge.size(1)), edge.size(1)
    size = (layout.num_edges + layout.num_rows) * width
    run(_sum_edges, size, width, flat(layout.ptr), flat(layout.eid), flat(edge), flat(out))
    return out


@compiled
def _spmm(counter, chunks, heads, channels, mean, ptr, idx, eid, x, weight, out):
    heads, channels = index(heads), index(channels)
    width = heads * channels
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[v]), index(ptr[v + 1]), index(v) * width
            for f in range(width):
                out[to + f] = _ZERO
            for slot in range(first, last):
                e, u = (index(eid[slot]) if eid.size else slot) * heads, index(idx[slot]) * width
                for h in range(heads):
                    add_scaled(out, to + h * channels, weight[e + h], x, u + h * channels, channels)
            if mean and last > first:
                degree = x.dtype.type(last - first)
                for f in range(width):
                    out[to + f] /= degree
        chunk = claim(counter, 1)


@reordered
def _sddmm(counter, chunks, heads, channels, ptr, idx, eid, a, b, out):
    heads, channels = index(heads), index(channels)
    width = heads * channels
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            for slot in range(index(ptr[v]), index(ptr[v + 1])):
                e, u = (index(eid[slot]) if eid.size else slot) * heads, index(idx[slot]) * width
                for h in range(heads):
                    out[e + h] = dot(a, index(v) * width + h * channels, b, u + h * channels, channels)
        chunk = claim(counter, 1)


@compiled
def _sum_edges(counter, chunks, width, ptr, eid, edge, out):
    width = index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[v]), index(ptr[v + 1]), index(v) * width
            for f in range(width):
                out[to + f] = _ZERO
            for slot in range(first, last):
                e = (index(eid[slot]) if eid.size else slot) * width
                for f in range(width):
                    out[to + f] += edge[e + f]
        chunk = claim(counter, 1)


@inlined
def add_scaled(out, to, factor, x, start, width):
    for f in range(width):
        out[to + f] += factor * x[start + f]


@inlined
def dot(a, i, b, j, width):
    total = a[i] * b[j]
    for f in range(index(1), width):
        total += a[i + f] * b[j + f]
    return total
