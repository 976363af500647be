"""Softmax over the incoming edges of every row, and its gradient."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._numba._jit import bound, claim, compiled, flat, index
from gnnlab.ops._numba._math import exp
from gnnlab.ops._numba._threads import run

__all__ = ["softmax", "softmax_backward"]

_ZERO, _ONE, _INF = np.float32(0), np.float32(1), np.float32(np.inf)
_COST = 8  # of an element, in units of a number read


def softmax(logits: Tensor, layout: Layout) -> Tensor:
    out, heads = logits.new_empty(logits.shape), logits.size(1)
    rows = flat(layout.ptr), flat(layout.eid)
    run(_forward, _COST * logits.numel(), heads, *rows, flat(logits), flat(out))
    return out


def softmax_backward(p: Tensor, grad: Tensor, layout: Layout) -> Tensor:
    out, heads = p.new_empty(p.shape), p.size(1)
    run(_backward, _COST * p.numel(), heads, flat(layout.ptr), flat(layout.eid), flat(p), flat(grad), flat(out))
    return out


@compiled
def _forward(counter, chunks, heads, ptr, eid, logits, out):
    top, total, heads = np.empty(heads, logits.dtype), np.empty(heads, logits.dtype), index(heads)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last = index(ptr[v]), index(ptr[v + 1])
            for h in range(heads):
                top[h] = -_INF
                total[h] = _ZERO
            for slot in range(first, last):
                e = (index(eid[slot]) if eid.size else slot) * heads
                for h in range(heads):
                    top[h] = logits[e + h] if logits[e + h] > top[h] else top[h]
            for h in range(heads):
                top[h] = _ZERO if top[h] == -_INF else top[h]
            for slot in range(first, last):
                e = (index(eid[slot]) if eid.size else slot) * heads
                for h in range(heads):
                    power = exp(logits[e + h] - top[h])
                    out[e + h] = power
                    total[h] += power
            for h in range(heads):
                total[h] = _ONE if total[h] == _ZERO else total[h]
            for slot in range(first, last):
                e = (index(eid[slot]) if eid.size else slot) * heads
                for h in range(heads):
                    out[e + h] /= total[h]
        chunk = claim(counter, 1)


@compiled
def _backward(counter, chunks, heads, ptr, eid, p, grad, out):
    along, heads = np.empty(heads, p.dtype), index(heads)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last = index(ptr[v]), index(ptr[v + 1])
            for h in range(heads):
                along[h] = _ZERO
            for slot in range(first, last):
                e = (index(eid[slot]) if eid.size else slot) * heads
                for h in range(heads):
                    along[h] += p[e + h] * grad[e + h]
            for slot in range(first, last):
                e = (index(eid[slot]) if eid.size else slot) * heads
                for h in range(heads):
                    out[e + h] = p[e + h] * (grad[e + h] - along[h])
        chunk = claim(counter, 1)
