"""Rectified messages of source and edge: one pass forward, one pass backward over the outgoing edges."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._numba._jit import NONE, bound, claim, compiled, flat, index, inlined
from gnnlab.ops._numba._threads import run

__all__ = ["gine", "gine_backward"]

_ZERO = np.float32(0)
_MAX_PARTS = 16  # partial gradients of a table of edge features


def gine(x: Tensor, edge: Tensor, kind: Tensor | None, layout: Layout) -> Tensor:
    out = x.new_empty(x.shape)
    rows = flat(layout.ptr), flat(layout.idx), _places(layout.eid), _places(kind)
    run(_forward, (layout.num_edges + x.size(0)) * x.size(1), x.size(1), *rows, flat(x), flat(edge), flat(out))
    return out


def gine_backward(grad: Tensor, x: Tensor, edge: Tensor, kind: Tensor | None, layout: Layout) -> tuple[Tensor, Tensor]:
    grad_x, width = x.new_empty(x.shape), x.size(1)
    size = 2 * (layout.num_edges + x.size(0)) * width
    rows = flat(layout.ptr_t), flat(layout.idx_t), _places(layout.eid_t)
    read = flat(grad), flat(x), flat(edge)
    if kind is None:
        grad_edge = edge.new_empty(edge.shape)
        run(_backward, size, width, *rows, *read, flat(grad_x), flat(grad_edge))
        return grad_x, grad_edge
    # Every part of the edges adds to a table of its own; how many there are must not depend on the threads.
    parts = max(1, min(_MAX_PARTS, layout.num_edges // (8 * edge.size(0))))
    partial = edge.new_zeros(parts, *edge.shape)
    run(_backward_table, size, width, parts, *rows, flat(kind), *read, flat(grad_x), flat(partial))
    for part in partial[1:]:
        partial[0].add_(part)
    return grad_x, partial[0].clone()


def _places(indices: Tensor | None) -> np.ndarray:
    return NONE if indices is None else flat(indices)


@compiled
def _forward(counter, chunks, width, ptr, idx, eid, kind, x, edge, out):
    width = index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[v]), index(ptr[v + 1]), index(v) * width
            for f in range(width):
                out[to + f] = _ZERO
            for slot in range(first, last):
                e = index(eid[slot]) if eid.size else slot
                e = index(kind[e]) if kind.size else e
                _add_message(out, to, x, index(idx[slot]) * width, edge, e * width, width)
        chunk = claim(counter, 1)


@inlined
def _add_message(out, to, x, u, edge, e, width):
    for f in range(width):
        message = x[u + f] + edge[e + f]
        out[to + f] += _ZERO if message <= _ZERO else message  # keeps NaN


@compiled
def _backward(counter, chunks, width, ptr, idx, eid, grad, x, edge, grad_x, grad_edge):
    width = index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for u in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[u]), index(ptr[u + 1]), index(u) * width
            for f in range(width):
                grad_x[to + f] = _ZERO
            for slot in range(first, last):
                e = (index(eid[slot]) if eid.size else slot) * width
                _pass_back(grad, index(idx[slot]) * width, x, to, edge, e, grad_x, grad_edge, e, width)
        chunk = claim(counter, 1)


@inlined
def _pass_back(grad, v, x, u, edge, e, grad_x, grad_edge, to, width):
    for f in range(width):
        given = grad[v + f]  # read in any case: the choice is then one instruction, not a branch
        passed = _ZERO if x[u + f] + edge[e + f] <= _ZERO else given
        grad_x[u + f] += passed
        grad_edge[to + f] = passed


@compiled
def _backward_table(counter, chunks, width, parts, ptr, idx, eid, kind, grad, x, edge, grad_x, partial):
    width = index(width)
    size = index(partial.size // parts)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for part in range(parts * chunk // chunks, parts * (chunk + 1) // chunks):
            for u in range(bound(ptr, part, parts), bound(ptr, part + 1, parts)):
                first, last, to = index(ptr[u]), index(ptr[u + 1]), index(u) * width
                for f in range(width):
                    grad_x[to + f] = _ZERO
                for slot in range(first, last):
                    e = index(kind[index(eid[slot]) if eid.size else slot]) * width
                    table = index(part) * size + e
                    _pass_back_table(grad, index(idx[slot]) * width, x, to, edge, e, grad_x, partial, table, width)
        chunk = claim(counter, 1)


@inlined
def _pass_back_table(grad, v, x, u, edge, e, grad_x, table, to, width):
    for f in range(width):
        given = grad[v + f]  # read in any case: the choice is then one instruction, not a branch
        passed = _ZERO if x[u + f] + edge[e + f] <= _ZERO else given
        grad_x[u + f] += passed
        table[to + f] += passed
