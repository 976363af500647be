"""Dropout by a hash of the place: one pass that reads the input, and writes the result."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnlab.ops._hash import HIGH_WORD, MULTIPLIERS, threshold
from gnnlab.ops._numba._jit import NONE, claim, compiled, flat, index, inlined
from gnnlab.ops._numba._threads import run

__all__ = ["dropout"]

_word = np.uint32
_LOW, _HIGH, _CARRY = _word(MULTIPLIERS[0]), _word(MULTIPLIERS[1]), _word(HIGH_WORD)
_16, _15, _0 = _word(16), _word(15), np.float32(0)
_BLOCK = 4096  # places that share an upper word, and a call


def dropout(x: Tensor, seed: Tensor, p: float, residual: Tensor | None) -> Tensor:
    out = x.new_empty(x.shape)
    first, second = (_word(word & 0xFFFFFFFF) for word in seed.tolist())
    values = flat(x)
    scale = values.dtype.type(0 if p == 1 else 1 / (1 - p))
    base = NONE if residual is None else flat(residual)
    run(_forward, 2 * x.numel(), first, second, _word(threshold(p)), scale, values, base, flat(out))
    return out


@compiled
def _forward(counter, chunks, first, second, lowest, scale, x, residual, out):
    blocks = (x.size + _BLOCK - 1) // _BLOCK
    chunk = claim(counter, 0)
    while chunk < chunks:
        for block in range(blocks * chunk // chunks, blocks * (chunk + 1) // chunks):
            start = index(block) * index(_BLOCK)
            size = index(min(_BLOCK, x.size - block * _BLOCK))
            carried = _word(second + _word(_word(start >> index(32)) * _CARRY))
            if residual.size:
                _keep_and_add(start, size, first, carried, lowest, scale, x, residual, out)
            else:
                _keep(start, size, first, carried, lowest, scale, x, out)
        chunk = claim(counter, 1)


@inlined
def _keep(start, size, first, second, lowest, scale, x, out):
    for j in range(size):
        h = _hash(_word(start + j), first, second)
        out[start + j] = x[start + j] * scale if h >= lowest else _0


@inlined
def _keep_and_add(start, size, first, second, lowest, scale, x, residual, out):
    for j in range(size):
        h = _hash(_word(start + j), first, second)
        kept = x[start + j] * scale if h >= lowest else _0
        out[start + j] = kept + residual[start + j]


@inlined
def _hash(place, first, second):
    return _finalise(_word(_finalise(_word(place ^ first)) ^ second))


@inlined
def _finalise(h):
    # Numba widens every operation to 64 bits; narrowing each result lets the compiler use 32-bit lanes.
    h = _word(_word(h ^ (h >> _16)) * _LOW)
    h = _word(_word(h ^ (h >> _15)) * _HIGH)
    return _word(h ^ (h >> _15))
