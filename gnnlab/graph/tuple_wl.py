"""Colour refinement of tuples of nodes, on graphs with some of their nodes labelled (k-WL, k-FWL, k,l-WL)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._marks import MARKINGS
from gnnlab.graph._noise import mix
from gnnlab.graph._refinement import EqualGraphs, Program, bag, folded

__all__ = ["TupleWL"]

_CELLS = 2**20
"""Entries of what is mixed at once: 8 MB, which stays in a cache."""


@dataclass(frozen=True)
class TupleWL:
    r"""The k-dimensional Weisfeiler-Leman test on copies of a graph in which l nodes are labelled.

    ("From Relational Pooling to Subgraph GNNs: A Universal Framework for More Expressive Graph Neural Networks", Zhou,
    Wang, Zhang; ICML 2023, arXiv 2305.04963.) For every tuple s of l nodes there is a copy :math:`G_s` whose node
    :math:`s_j` carries label j, and

    .. math:: c(G) = \{\!\{ \text{k-WL}(G_s) : s \in V^l \}\!\}

    With l = 0 it is the test itself. Nodes may be labelled twice, which adds nothing to what is told apart, and is
    what remains to be done in a graph of fewer than l nodes.

    A k-tuple starts with the isomorphism type of what it induces (equal nodes, edges and their colours, colours and
    labels of nodes). One round of the two tests that both are called k-WL:

    .. math::
        \text{oblivious:}\quad &c(t), \big(\{\!\{ c(t[i \leftarrow w]) : w \in V \}\!\}\big)_{i = 1..k} \\
        \text{folklore:}\quad &c(t), \{\!\{ \big(c(t[1 \leftarrow w]), \dots, c(t[k \leftarrow w])\big) : w \in V \}\!\}

    Folklore k is as strong as oblivious k + 1, so ``2-fwl`` tells apart what ``3-wl`` does, and ``2-wl`` no more than
    colour refinement, which is k = 1 of both:

    .. math:: c(v), \{\!\{ c(u) : u \to v \}\!\}

    A round takes time :math:`O(n^l E)` for k = 1, :math:`O(k n^{k+l})` oblivious, :math:`O(k n^{k+l+1})` folklore,
    and memory :math:`O(n^{k+l})`, for every graph.

    Args:
        k: Nodes of a tuple, at least 1.
        l: Labelled nodes.
        folklore: Which test, for k of at least 2.
        marking: ``node`` labels nodes; ``distance`` tells all nodes their hops from each of the l nodes as well.

    Raises:
        ConfigError: ``k`` below 1, ``l`` below 0, or an unknown marking.
    """

    k: int = 1
    l: int = 0  # noqa: E741
    folklore: bool = False
    marking: Literal["node", "distance"] = "node"

    def __post_init__(self) -> None:
        if self.k < 1 or self.l < 0:
            raise ConfigError(f"k must be at least 1 and l at least 0, got {self.k} and {self.l}", where="TupleWL")
        if self.marking not in MARKINGS:
            raise ConfigError(
                f"unknown marking {self.marking!r}", where="TupleWL", hint=nearest(str(self.marking), MARKINGS)
            )

    def rows(self, nodes: int) -> int:
        return nodes ** (self.k + self.l)

    def program(self, graphs: EqualGraphs) -> Program:
        """Words are laid out as [B, n, ..., n, copies]."""
        nodes = self._labelled(graphs)
        if self.k == 1:
            return Program(nodes, lambda words: folded(mix(words + 1), graphs.heard(mix(words + 2))), self._pool)
        return Program(self._types(graphs, nodes), self._folklore if self.folklore else self._oblivious, self._pool)

    def _labelled(self, graphs: EqualGraphs) -> Tensor:
        """[B, n, n^l], words of the nodes of every copy."""
        words = graphs.node[:, :, None].expand(-1, -1, graphs.size**self.l)
        if not self.l:
            return words
        copy = torch.arange(words.size(-1), device=words.device)
        marks = MARKINGS[self.marking](graphs).transpose(1, 2)
        for place in range(self.l):
            label = copy // max(graphs.size, 1) ** place % max(graphs.size, 1)
            words = folded(words, marks[:, :, label])
        return words

    def _types(self, graphs: EqualGraphs, nodes: Tensor) -> Tensor:
        """[B, n, ..., n, n^l], words of the isomorphism types of all tuples."""
        loops = graphs.adjacency.diagonal(dim1=1, dim2=2)
        nodes = folded(nodes, loops[:, :, None])
        words = torch.ones((), dtype=torch.long, device=nodes.device)
        for place in range(self.k):
            words = folded(words, nodes.view(nodes.size(0), *self._axes(graphs.size, place), nodes.size(-1)))
        for first, second in permutations(range(self.k), 2):
            between = graphs.adjacency if first < second else graphs.adjacency.transpose(1, 2)
            words = folded(words, between.reshape(graphs.count, *self._axes(graphs.size, first, second), 1))
        return words

    def _axes(self, size: int, *places: int) -> list[int]:
        return [size if place in places else 1 for place in range(self.k)]

    def _oblivious(self, words: Tensor) -> Tensor:
        return folded(mix(words + 1), *(bag(words, place, place) for place in range(1, self.k + 1)))

    def _folklore(self, words: Tensor) -> Tensor:
        said = [mix(words + (place + 2)) for place in range(self.k)]
        heard = torch.zeros_like(words)
        for others in torch.arange(words.size(1), device=words.device).split(max(_CELLS // max(words.numel(), 1), 1)):
            entries = torch.zeros((), dtype=torch.long, device=words.device)
            for place, each in enumerate(said, 1):
                # The node that takes this place comes last, and the colour is the same for every node it replaces.
                entries = entries + each.index_select(place, others).movedim(place, -1).unsqueeze(place)
            heard += mix(entries).sum(-1)
        return folded(mix(words + 1), heard)

    def _pool(self, words: Tensor) -> Tensor:
        return bag(bag(words, tuple(range(1, self.k + 1))).flatten(1), 1, 1).flatten()
