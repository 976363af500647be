"""Colour refinement with the distance of every pair of nodes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gnnlab.graph._noise import mix
from gnnlab.graph._refinement import EqualGraphs, Program, bag, folded

__all__ = ["DistanceWL"]


@dataclass(frozen=True)
class DistanceWL:
    r"""The generalised distance Weisfeiler-Leman test with hops, SPD-WL ("Rethinking the Expressive Power of GNNs via
    Graph Biconnectivity", Zhang, Luo, Wang, He; ICLR 2023, arXiv 2301.09505).

    .. math:: c_v^{(t+1)} = \{\!\{ (c_u^{(t)}, d(u, v)) : u \in V \}\!\}

    The oracle of Graphormer and other attention with distances. A pair out of reach has a distance of its own. A round
    takes time and memory O(n^2) for every graph. :func:`gnnlab.graph.refine_with_pairs` does it by sorting, for any
    colours of pairs.
    """

    def rows(self, nodes: int) -> int:
        return nodes**2

    def program(self, graphs: EqualGraphs) -> Program:
        distance = mix(graphs.hops)

        def step(words: Tensor) -> Tensor:
            heard = bag(mix(words + 2)[:, :, None] + distance, 1).squeeze(1)
            return folded(mix(words + 1), heard)

        return Program(graphs.node, step, lambda words: bag(words, 1).flatten())
