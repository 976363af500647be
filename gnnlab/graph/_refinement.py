"""Refinement of 64-bit words on graphs of one size, until no class splits any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gnnlab.graph._noise import mix
from gnnlab.graph.distances import shortest_path_distances

__all__ = ["EqualGraphs", "Program", "Refinement", "bag", "folded", "signatures"]

_CELLS = 2**22
"""Entries of what is summed at once: 32 MB."""


@dataclass(frozen=True)
class EqualGraphs:
    """B graphs of n nodes each, side by side: nothing is ever padded.

    Args:
        count: B.
        size: n.
        edge_index: [2, E] long; node v of graph b is b n + v.
        node: [B, n] long, words of the colours of the nodes.
        edge: [E] long, words of the colours of the edges; ``None`` if they are all equal.
    """

    count: int
    size: int
    edge_index: Tensor
    node: Tensor
    edge: Tensor | None

    @property
    def ptr(self) -> Tensor:
        """[B + 1] long, first node of every graph."""
        return torch.arange(self.count + 1, device=self.node.device) * self.size

    @cached_property
    def hops(self) -> Tensor:
        """[B, n, n] long, distance from the first node to the second, -1 where there is no way."""
        table = shortest_path_distances(self.edge_index, self.ptr, max_entries=2**62)
        return table.view(self.count, self.size, self.size).long()

    @cached_property
    def adjacency(self) -> Tensor:
        """[B, n, n] long, words of the edges from the first node to the second, and of being the same node."""
        source, target = self.edge_index
        flat = torch.zeros(self.count * self.size**2, dtype=torch.long, device=self.node.device)
        edge = mix(torch.ones_like(source) if self.edge is None else self.edge + 1)
        # source counts the rows of all graphs already.
        flat.index_add_(0, source * self.size + target % max(self.size, 1), edge)
        return mix(flat.view(self.count, self.size, self.size) + self.identity)

    @cached_property
    def identity(self) -> Tensor:
        """[n, n] long."""
        return torch.eye(self.size, dtype=torch.long, device=self.node.device)

    def heard(self, messages: Tensor) -> Tensor:
        """[B, n, S], sum over the edges into every node of the messages [B, n, S] of their sources; 0 says nothing."""
        source, target = self.edge_index
        flat = messages.flatten(0, 1)
        result = torch.zeros_like(flat)
        for part in torch.arange(source.numel(), device=source.device).split(max(_CELLS // max(flat.size(1), 1), 1)):
            entries = flat[source[part]]
            if self.edge is not None:
                silent = entries == 0
                entries = mix(entries.add_(self.edge[part, None])).masked_fill_(silent, 0)
            result.index_add_(0, target[part], entries)
        return result.view_as(messages)


class Program(NamedTuple):
    """A refinement of given graphs: words ``start`` [B, ...], one round, and the word [B] of every graph."""

    start: Tensor
    step: Callable[[Tensor], Tensor]
    pool: Callable[[Tensor], Tensor]


class Refinement(Protocol):
    """What a method of :func:`gnnlab.graph.graph_classes` has to be."""

    def rows(self, nodes: int) -> int:
        """Words of a graph of so many nodes."""

    def program(self, graphs: EqualGraphs) -> Program:
        """What to do with graphs of one size."""


def bag(words: Tensor, dim: int | tuple[int, ...], salt: int = 0) -> Tensor:
    """Words of the multisets along a dimension, which is kept with size 1."""
    # Of mixed words: the sum of a multiset of bare ones would only count what it sums.
    return mix(words + (salt + 1)).sum(dim, keepdim=True)


def folded(words: Tensor, *parts: Tensor) -> Tensor:
    """Words of the sequences of a word and those of all parts, which broadcast."""
    for part in parts:
        words = mix(words + part)
    return words


def signatures(program: Program, iterations: int | None) -> Tensor:
    """[B] long, word of every graph after so many rounds, or one after the round from which no class splits any more.

    When that is follows from the colours, so graphs that stop after different rounds are not the same. The round
    after it is needed: what one round does to stable colours of one graph it may not do to those of another.
    """
    words = program.start
    if iterations is not None:
        for _ in range(iterations):
            words = program.step(words)
        return program.pool(words)
    result = torch.zeros(words.size(0), dtype=torch.long, device=words.device)
    count, splitting = _classes(words), torch.ones_like(result, dtype=torch.bool)
    while bool(splitting.any()):
        words = program.step(words)
        finer = _classes(words)
        result = torch.where(splitting & (finer == count), program.pool(words), result)
        splitting, count = splitting & (finer != count), finer
    return result


def _classes(words: Tensor) -> Tensor:
    """[B] long, distinct words of every graph; a word 0 does not count.

    Words are written to slots of a table, where one word of every slot stays: it is found, and so are all its equals.
    The others try again. Two to seven times as fast as sorting.
    """
    count = words.size(0)
    left, found = words.flatten(), torch.zeros(count, dtype=torch.long, device=words.device)
    graph = torch.arange(count, device=words.device).repeat_interleave(left.numel() // max(count, 1))
    slots = 1 << max(left.numel() // max(count, 1), 1).bit_length()
    while left.numel():
        slot = (left & (slots - 1)).add_(graph * slots)
        table = left.new_zeros(count * slots).scatter_(0, slot, left)
        found += (table.view(count, slots) != 0).sum(1)
        lost = (table.take(slot) != left).nonzero().flatten()
        left, graph, slots = mix(left[lost]), graph[lost], max(slots // 2, 2)
    return found
