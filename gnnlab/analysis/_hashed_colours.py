"""Colours of nodes and graphs as 64-bit words, round by round: no sorting, so large datasets are quick."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from gnnlab.analysis.ceilings_colours import Union, copies
from gnnlab.graph._noise import mix
from gnnlab.ops import expand_ptr

__all__ = ["graph_words", "node_words", "without_clear_cases"]

_STEP = 0x9E3779B97F4A7C15 - 2**64
_ROUNDS = 6
"""Rounds after which most graphs that can be told apart are."""


def node_words(union: Union) -> Iterator[Tensor]:
    """[N] long after 0, 1, 2, ... rounds. Equal colours have equal words; others by a chance of about 2^-64 each."""
    word = mix(union.node * _STEP + 1)
    edge = mix(union.edge * _STEP + 2)
    source, target = union.edge_index
    depth = 0
    while True:
        yield word
        # Of mixed words: the sum of a multiset of bare ones would only count what it sums.
        message = mix(word + (2 * depth + 1))[source].add_(edge)
        heard = torch.zeros_like(word).index_add_(0, target, mix(message))
        word = mix(mix(word + (2 * depth + 2)) + heard)
        depth += 1


def graph_words(word: Tensor, ptr: Tensor) -> Tensor:
    """[G] long, words of the multisets of the words of nodes."""
    sizes = ptr.diff()
    return mix(torch.zeros_like(sizes).index_add_(0, expand_ptr(ptr, word.numel()), mix(word + _STEP))) + sizes


def without_clear_cases(union: Union) -> tuple[Tensor, Union]:
    """Numbers and union of the graphs whose words another one shares; the others are certainly unlike all others."""
    graphs = torch.arange(union.ptr.numel() - 1, device=union.ptr.device)
    word = next(islice(node_words(union), _ROUNDS, None))
    shared = graph_words(word, union.ptr).unique(return_inverse=True, return_counts=True)
    chosen = (shared[2][shared[1]] > 1).nonzero().flatten()
    return graphs[chosen], copies(union, chosen)
