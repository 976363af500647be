"""Exponentials a compiler can vectorise, which calls of the C library it cannot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from gnnlab.ops._numba._jit import compiled, inlined

__all__ = ["exp", "sigmoid"]

_f = np.float32
_LOWEST, _HIGHEST = _f(-104), _f(89)  # the exponential is 0 below and inf above
_LOG2_E, _LN2_HIGH, _LN2_LOW = _f(1.44269504), _f(0.693359375), _f(-2.12194440e-4)
_ROUND = _f(1.5 * 2**23)  # added and subtracted again it rounds to an integer, which the low bits then hold
_ROUND_BITS = np.int32(_ROUND.view(np.int32))
_P0, _P1, _P2 = _f(1.9875691500e-4), _f(1.3981999507e-3), _f(8.3334519073e-3)
_P3, _P4, _P5 = _f(4.1665795894e-2), _f(1.6666665459e-1), _f(5.0000001201e-1)
_ONE = _f(1)


def exp(x: float) -> float:
    """The exponential in the precision of x, for compiled code; float32 to 2 units in the last place."""
    raise NotImplementedError


@overload(exp, jit_options={"fastmath": {"contract"}})
def _exp(x):  # numba compares signatures: no annotations
    if x == types.float32:
        return lambda x: _exp_single(x)
    return lambda x: math.exp(x)


@inlined
def sigmoid(x):
    return _ONE / (_ONE + exp(-x))


@compiled
def _exp_single(x):
    # exp(x) = 2^n exp(r) with |r| <= ln(2) / 2 and a polynomial for exp(r) (Cephes). Comparisons keep NaN.
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    shifted = x * _LOG2_E + _ROUND
    whole = shifted - _ROUND
    r = x - whole * _LN2_HIGH - whole * _LN2_LOW
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    p = p * r * r + r + _ONE
    # Two factors, because 2^n itself may be no normal number.
    n = _bits(shifted) - _ROUND_BITS
    half = n >> np.int32(1)
    return p * _power_of_two(half) * _power_of_two(n - half)


@compiled
def _power_of_two(n):
    return _float((np.int32(n) + np.int32(127)) << np.int32(23))


@intrinsic
def _bits(typing: Any, x: types.Float) -> tuple:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list) -> ir.Value:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def _float(typing: Any, bits: types.Integer) -> tuple:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list) -> ir.Value:
        return builder.bitcast(builder.trunc(arguments[0], ir.IntType(32)), ir.FloatType())

    return types.float32(types.int64), generate
