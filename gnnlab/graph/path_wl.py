"""Colour refinement with the paths from every node."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._noise import mix
from gnnlab.graph._paths_torch import FILTERS
from gnnlab.graph._refinement import EqualGraphs, Program, bag, folded
from gnnlab.graph.paths import PathKind, enumerate_paths, path_distances

__all__ = ["PathWL"]


@dataclass(frozen=True)
class PathWL:
    r"""Colour refinement that reads the colours along all paths from a node ("Path Neural Networks: Expressive and
    Accurate Graph Neural Networks", Michel, Nikolentzos, Lutzeyer, Vazirgiannis; ICML 2023, arXiv 2306.05955).

    .. math::
        c_v^{(t+1)} = \big(c_v^{(t)}, \{\!\{ (c_{p_0}^{(t)}, \dots, c_{p_l}^{(t)}) : p \in P_l(v), l \le K \}\!\}\big)

    At least as strong as :class:`gnnlab.nn.PathNN`, whose layer l = 1, ..., K reads paths of length l alone: that is
    ``layered``. A round takes time and memory that follow the nodes on all paths. Edges are paths of length 1; their
    colours, duplicates and self-loops do not count.

    Args:
        length: K, most edges of a path, at least 1.
        kind: ``simple``, ``all_shortest`` or ``shortest`` paths, see :func:`gnnlab.graph.enumerate_paths`. The last
            kind depends on the numbering of the nodes.
        distances: Whether a path also tells the hops from its first node to every other.
        layered: Whether there are K rounds, of which round l reads the paths of length l, whatever ``iterations`` is.

    Raises:
        ConfigError: an unknown ``kind``, or ``length`` below 1.
    """

    length: int = 3
    kind: PathKind = "all_shortest"
    distances: bool = False
    layered: bool = False

    def __post_init__(self) -> None:
        if self.kind not in FILTERS:
            raise ConfigError(f"unknown kind {self.kind!r}", where="PathWL", hint=nearest(str(self.kind), FILTERS))
        if self.length < 1:
            raise ConfigError(f"length must be at least 1, got {self.length}", where="PathWL")

    def rows(self, nodes: int) -> int:
        return nodes

    def program(self, graphs: EqualGraphs) -> Program:
        nodes = graphs.count * graphs.size
        tables = enumerate_paths(graphs.edge_index, nodes, self.length, self.kind, ptr=graphs.ptr)
        hops = [path_distances(each, graphs.edge_index, graphs.ptr) if self.distances else None for each in tables]

        def step(words: Tensor, lengths: slice = slice(None)) -> Tensor:
            said = mix(words.flatten() + 2)
            heard = torch.zeros_like(said)
            for paths, distance in zip(tables[lengths], hops[lengths], strict=True):
                along = said[paths] if distance is None else mix(said[paths] + distance)
                # From the far end to the root, as the network reads them.
                heard.index_add_(0, paths[:, 0], folded(*along.flip(1).unbind(1)))
            return folded(mix(words + 1), heard.view_as(words))

        if not self.layered:
            return Program(graphs.node, step, _pool)
        words = graphs.node
        for place in range(self.length):
            words = step(words, slice(place, place + 1))
        return Program(words, lambda words: words, _pool)


def _pool(words: Tensor) -> Tensor:
    return bag(words, 1).flatten()
