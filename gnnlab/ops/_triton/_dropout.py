"""Dropout by a hash of the place: one pass, no mask."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops import _torch
from gnnlab.ops._hash import HIGH_WORD, MULTIPLIERS, threshold
from gnnlab.ops._triton._rows import launch

_BLOCK = 1024
_LOW, _HIGH, _CARRY = (tl.constexpr(word) for word in (*MULTIPLIERS, HIGH_WORD))


def dropout(x: Tensor, seed: Tensor, p: float, residual: Tensor | None) -> Tensor:
    if x.dtype == torch.float64:  # the scale is an argument, which Triton rounds to single precision
        return _torch.dropout(x, seed, p, residual)
    out, size = x.new_empty(x.shape), x.numel()
    scale = 0.0 if p == 1 else 1 / (1 - p)
    x, residual = x.contiguous(), None if residual is None else residual.contiguous()
    grid, meta = (triton.cdiv(size, _BLOCK),), {"BLOCK": _BLOCK, "num_warps": 4}
    launch(_dropout, grid, x, x, seed, residual, out, size, threshold(p), scale, **meta)
    return out


@triton.jit(do_not_specialize=["size", "lowest"])
def _dropout(x, seed, residual, out, size, lowest, scale, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = place < size
    first = tl.load(seed).to(tl.uint32)
    second = tl.load(seed + 1).to(tl.uint32) + (place >> 32).to(tl.uint32) * _CARRY
    hashed = _finalise(_finalise(place.to(tl.uint32) ^ first) ^ second)
    value = tl.load(x + place, mask=live, other=0.0).to(tl.float32) * scale
    kept = tl.where(hashed.to(tl.int64) >= lowest, value, 0.0)
    if residual is not None:
        kept += tl.load(residual + place, mask=live, other=0.0).to(tl.float32)
    tl.store(out + place, kept.to(out.dtype.element_ty), mask=live)


@triton.jit
def _finalise(h):
    h = (h ^ (h >> 16)) * _LOW
    h = (h ^ (h >> 15)) * _HIGH
    return h ^ (h >> 15)
