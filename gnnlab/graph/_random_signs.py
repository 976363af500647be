"""Random signs hashed from the graph and a seed."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph._noise import pair_noise

__all__ = ["random_signs"]

_WORD = 48  # signs per number: it has 53 random bits


def random_signs(pairs: Tensor, edge_index: Tensor, ptr: Tensor, seed: int, first: int, last: int) -> Tensor:
    """[P, last - first] float64 of 1 and -1: columns ``first`` to ``last`` of an endless row for every node pair.

    A graph gets the same signs alone and in any batch, see :func:`pair_noise`.
    """
    parts = []
    for word in range(first // _WORD, -(-last // _WORD)):
        bits = (pair_noise(pairs, edge_index, ptr, seed * 1_000_003 + word) * 2.0**_WORD).long()
        low, high = max(first - word * _WORD, 0), min(last - word * _WORD, _WORD)
        parts.append(bits[:, None] >> torch.arange(low, high, device=bits.device) & 1)
    return torch.cat(parts, 1).double().mul_(2).sub_(1)
