"""Gated sums of the sources and the sums of the gates, in one pass each way."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._numba._jit import bound, claim, compiled, flat, index, inlined
from gnnlab.ops._numba._threads import run

__all__ = ["gated", "gated_backward"]

_ZERO = np.float32(0)


def gated(x: Tensor, gate: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    shape = layout.num_rows, x.size(1)
    num, den = x.new_empty(shape), x.new_empty(shape)
    rows = flat(layout.ptr), flat(layout.idx), flat(layout.eid)
    size = (layout.num_edges + 2 * shape[0]) * shape[1]
    run(_forward, size, shape[1], *rows, flat(x), flat(gate), flat(num), flat(den))
    return num, den


def gated_backward(
    grad_num: Tensor, grad_den: Tensor, x: Tensor, gate: Tensor, layout: Layout
) -> tuple[Tensor, Tensor]:
    grad_x, grad_gate = x.new_empty(x.shape), gate.new_empty(gate.shape)
    rows = flat(layout.ptr_t), flat(layout.idx_t), flat(layout.eid_t)
    read = flat(grad_num), flat(grad_den), flat(x), flat(gate)
    size = (3 * layout.num_edges + 2 * x.size(0)) * x.size(1)
    run(_backward, size, x.size(1), *rows, *read, flat(grad_x), flat(grad_gate))
    return grad_x, grad_gate


@compiled
def _forward(counter, chunks, width, ptr, idx, eid, x, gate, num, den):
    width = index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[v]), index(ptr[v + 1]), index(v) * width
            for f in range(width):
                num[to + f] = _ZERO
                den[to + f] = _ZERO
            for slot in range(first, last):
                e = (index(eid[slot]) if eid.size else slot) * width
                _add_gated(num, den, to, x, index(idx[slot]) * width, gate, e, width)
        chunk = claim(counter, 1)


@inlined
def _add_gated(num, den, to, x, u, gate, e, width):
    for f in range(width):
        num[to + f] += gate[e + f] * x[u + f]
        den[to + f] += gate[e + f]


@compiled
def _backward(counter, chunks, width, ptr, idx, eid, grad_num, grad_den, x, gate, grad_x, grad_gate):
    width = index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for u in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[u]), index(ptr[u + 1]), index(u) * width
            for f in range(width):
                grad_x[to + f] = _ZERO
            for slot in range(first, last):
                e, v = (index(eid[slot]) if eid.size else slot) * width, index(idx[slot]) * width
                _grad_of_source(grad_x, to, gate, e, grad_num, v, width)
                _grad_of_gate(grad_gate, e, x, to, grad_num, grad_den, v, width)
        chunk = claim(counter, 1)


# Two loops, because the compiler vectorises none that may overlap in more than eight ways.


@inlined
def _grad_of_source(grad_x, u, gate, e, grad_num, v, width):
    for f in range(width):
        grad_x[u + f] += gate[e + f] * grad_num[v + f]


@inlined
def _grad_of_gate(grad_gate, e, x, u, grad_num, grad_den, v, width):
    for f in range(width):
        grad_gate[e + f] = grad_num[v + f] * x[u + f] + grad_den[v + f]
