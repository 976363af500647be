"""Random numbers of nodes and node pairs that depend on the graph and a seed, and on nothing else in the batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gnnlab.ops import expand_ptr

__all__ = ["mix", "node_normals", "pair_noise"]

_FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
_STEP = 0x9E3779B97F4A7C15 - 2**64


def pair_noise(pairs: Tensor, edge_index: Tensor, ptr: Tensor, seed: int) -> Tensor:
    """[P] float64, uniform in [0, 1): one number for every ordered pair of nodes of the same graph.

    Hashed (finaliser of splitmix64) from the seed, the graph and the places of both nodes in it, so that a
    graph gets the same numbers alone and in any batch, and other graphs get others.

    Args:
        pairs: [2, P] long, node ids of the union.
        edge_index: [2, E] long, the edges of the union; their order does not matter.
        ptr: [G + 1] long, first node of every graph.
        seed: Any integer.
    """
    graph = expand_ptr(ptr)[pairs[0]]
    first = ptr[graph]
    word = mix((pairs[0] - first).mul_(_STEP).add_(_digests(edge_index, ptr, seed)[graph]))
    word = mix(word.add_((pairs[1] - first).mul_(_STEP)))
    return _shifted(word, 11).double().mul_(2.0**-53)


def node_normals(count: int, edge_index: Tensor, ptr: Tensor, seed: int) -> Tensor:
    """[N, count] float64, standard normal: ``count`` numbers for every node, hashed as those of :func:`pair_noise`.

    Args:
        count: Numbers per node.
        edge_index: [2, E] long, the edges of the union; their order does not matter.
        ptr: [G + 1] long, first node of every graph.
        seed: Any integer.
    """
    first = ptr[expand_ptr(ptr)][:, None]
    column = torch.arange(2 * count, device=ptr.device)
    node = torch.arange(first.size(0), device=ptr.device)[:, None].expand(-1, 2 * count)
    # The second place of a pair is but a number to the hash: it counts the columns.
    uniform = pair_noise(torch.stack([node, first + column]).view(2, -1), edge_index, ptr, seed)
    radius, angle = uniform.view(first.size(0), count, 2).unbind(-1)
    return (-2 * torch.log1p(-radius)).sqrt() * (2 * math.pi * angle).cos()  # Box and Muller


def _digests(edge_index: Tensor, ptr: Tensor, seed: int) -> Tensor:
    """[G] long, of the seed, the number of nodes and the multiset of edges of every graph."""
    sizes = ptr.diff()
    owner = expand_ptr(ptr)[edge_index[0]]
    local = edge_index - ptr[owner]
    edges = torch.zeros_like(sizes).index_add_(0, owner, mix(mix(local[0] * _STEP + 1) + local[1] * _STEP))
    return mix(mix(sizes * _STEP + seed) + edges)


def mix(word: Tensor) -> Tensor:
    """A bijection of 64-bit words in which every bit of the input reaches every bit of the output."""
    low, high = _FACTORS
    word = _shifted(word, 30).bitwise_xor_(word).mul_(low)
    word = _shifted(word, 27).bitwise_xor_(word).mul_(high)
    return _shifted(word, 31).bitwise_xor_(word)


def _shifted(word: Tensor, bits: int) -> Tensor:
    """Logical shift to the right (that of int64 keeps the sign)."""
    return (word >> bits).bitwise_and_((1 << (64 - bits)) - 1)
