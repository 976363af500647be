"""The hash behind dropout as a tensor program: 32-bit words, kept in int32 whose arithmetic wraps."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["HIGH_WORD", "MULTIPLIERS", "hashed_mask", "threshold"]

MULTIPLIERS = (0x21F0AAAD, 0x735A2D97)
"""a and b of the bijective finaliser h ^= h >> 16; h *= a; h ^= h >> 15; h *= b; h ^= h >> 15 (Wellons' constants)."""

HIGH_WORD = 0x9E3779B9
"""What the upper word of a place adds to the second seed, for tensors of more than 2^32 elements."""


def threshold(p: float) -> int:
    """Hashes below it are dropped: p of 2^32."""
    return min(round(p * 2**32), 2**32 - 1)


def hashed_mask(size: int, seed: Tensor, p: float) -> Tensor:
    """[size] bool, what is kept: the finaliser of place ^ seed[0], and of that ^ seed[1], against p."""
    first, second = seed.long().unbind()
    place = torch.arange(size, device=seed.device)
    if size > 2**32:
        second = second + (place >> 32) * HIGH_WORD
    hashed = _finalise(place.int().bitwise_xor_(first.int()))
    hashed = _finalise(hashed.bitwise_xor_(second.int()))
    # The order of unsigned words is that of signed ones with the sign flipped.
    return hashed.bitwise_xor_(-(2**31)) >= threshold(p) - 2**31


def _finalise(h: Tensor) -> Tensor:
    low, high = MULTIPLIERS
    h.bitwise_xor_((h >> 16).bitwise_and_(0xFFFF)).mul_(low)
    h.bitwise_xor_((h >> 15).bitwise_and_(0x1FFFF)).mul_(high)
    return h.bitwise_xor_((h >> 15).bitwise_and_(0x1FFFF))
