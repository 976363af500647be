"""The message step of GatedGCN: one pass over incoming edges forward, one over outgoing edges backward."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnlab.ops._layout import GATE_EPS, Layout
from gnnlab.ops._numba._jit import bound, claim, compiled, flat, index, inlined
from gnnlab.ops._numba._linear import sum_edges
from gnnlab.ops._numba._math import sigmoid
from gnnlab.ops._numba._threads import run

__all__ = ["gated_gcn", "gated_gcn_backward"]

_ZERO, _ONE = np.float32(0), np.float32(1)


def gated_gcn(
    value: Tensor, source: Tensor, target: Tensor, edge: Tensor | None, layout: Layout
) -> tuple[Tensor, Tensor, Tensor]:
    out, den = value.new_empty(value.shape), value.new_empty(value.shape)
    pre, width = value.new_empty(layout.num_edges, value.size(1)), value.size(1)
    rows = flat(layout.ptr), flat(layout.idx), flat(layout.eid)
    read = flat(value), flat(source), flat(target), flat(edge, like=value)
    run(_forward, (5 * layout.num_edges + out.size(0)) * width, width, *rows, *read, flat(out), flat(pre), flat(den))
    return out, pre, den


def gated_gcn_backward(
    grad_out: Tensor, grad_pre: Tensor, value: Tensor, out: Tensor, pre: Tensor, den: Tensor, layout: Layout
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    grad_value, grad_source, width = value.new_empty(value.shape), value.new_empty(value.shape), value.size(1)
    grad_edge = pre.new_empty(pre.shape)
    rows = flat(layout.ptr_t), flat(layout.idx_t), flat(layout.eid_t)
    read = flat(grad_out / den), flat(grad_pre), flat(value), flat(out), flat(pre)
    written = flat(grad_value), flat(grad_source), flat(grad_edge)
    run(_backward, (7 * layout.num_edges + out.size(0)) * width, width, *rows, *read, *written)
    return grad_value, grad_source, sum_edges(grad_edge, layout), grad_edge


@compiled
def _forward(counter, chunks, width, ptr, idx, eid, value, source, target, edge, out, pre, den):
    width = index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[v]), index(ptr[v + 1]), index(v) * width
            for f in range(width):
                out[to + f] = _ZERO
                den[to + f] = GATE_EPS
            for slot in range(first, last):
                e, u = (index(eid[slot]) if eid.size else slot) * width, index(idx[slot]) * width
                if edge.size:
                    for f in range(width):
                        pre[e + f] = target[to + f] + source[u + f] + edge[e + f]
                else:
                    for f in range(width):
                        pre[e + f] = target[to + f] + source[u + f]
                _add_gated(out, den, to, value, u, pre, e, width)
            for f in range(width):
                out[to + f] /= den[to + f]
        chunk = claim(counter, 1)


@inlined
def _add_gated(out, den, to, value, u, pre, e, width):
    for f in range(width):
        gate = sigmoid(pre[e + f])
        out[to + f] += gate * value[u + f]
        den[to + f] += gate


@compiled
def _backward(
    counter, chunks, width, ptr, idx, eid, passed, grad_pre, value, out, pre, grad_value, grad_source, grad_edge
):
    gate, width = np.empty(width, value.dtype), index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for u in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[u]), index(ptr[u + 1]), index(u) * width
            for f in range(width):
                grad_value[to + f] = _ZERO
                grad_source[to + f] = _ZERO
            for slot in range(first, last):
                e, v = (index(eid[slot]) if eid.size else slot) * width, index(idx[slot]) * width
                for f in range(width):
                    gate[f] = sigmoid(pre[e + f])
                _grad_of_edge(grad_edge, e, grad_pre, gate, passed, out, v, value, to, width)
                _grad_of_source(grad_value, grad_source, to, grad_edge, e, gate, passed, v, width)
        chunk = claim(counter, 1)


# Several loops, because the compiler vectorises none whose arrays may overlap in more than eight ways.


@inlined
def _grad_of_edge(grad_edge, e, grad_pre, gate, passed, out, v, value, u, width):
    for f in range(width):
        through = gate[f] * (_ONE - gate[f]) * passed[v + f] * (value[u + f] - out[v + f])
        grad_edge[e + f] = grad_pre[e + f] + through


@inlined
def _grad_of_source(grad_value, grad_source, u, grad_edge, e, gate, passed, v, width):
    for f in range(width):
        grad_value[u + f] += gate[f] * passed[v + f]
        grad_source[u + f] += grad_edge[e + f]
