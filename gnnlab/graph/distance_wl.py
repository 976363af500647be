"""Colour refinement with the distance of every pair of nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._exact_resistance import exact_resistances
from gnnlab.graph._noise import mix
from gnnlab.graph._refinement import EqualGraphs, Program, bag, folded

__all__ = ["DistanceWL"]


@dataclass(frozen=True)
class DistanceWL:
    r"""The generalised distance Weisfeiler-Leman test ("Rethinking the Expressive Power of GNNs via Graph
    Biconnectivity", Zhang, Luo, Wang, He; ICLR 2023, arXiv 2301.09505): SPD-WL and RD-WL.

    .. math:: c_v^{(t+1)} = \{\!\{ (c_u^{(t)}, d(u, v)) : u \in V \}\!\}

    The oracle of Graphormer and other attention with distances. A pair out of reach has a distance of its own. A round
    takes time and memory O(n^2) for every graph, and resistances O(n^3) time before the first.
    :func:`gnnlab.graph.refine_with_pairs` does it by sorting, for any colours of pairs.

    Args:
        distance: ``hops``, or ``resistance``: of the graph without directions, where duplicate edges conduct together;
            by exact arithmetic modulo two primes, so no tolerance decides what is equal.

    Raises:
        ConfigError: an unknown distance.
    """

    distance: Literal["hops", "resistance"] = "hops"

    def __post_init__(self) -> None:
        if self.distance not in _DISTANCES:
            raise ConfigError(
                f"unknown distance {self.distance!r}", where="DistanceWL", hint=nearest(str(self.distance), _DISTANCES)
            )

    def rows(self, nodes: int) -> int:
        return nodes**2

    def program(self, graphs: EqualGraphs) -> Program:
        distance = mix(_DISTANCES[self.distance](graphs))

        def step(words: Tensor) -> Tensor:
            heard = bag(mix(words + 2)[:, :, None] + distance, 1).squeeze(1)
            return folded(mix(words + 1), heard)

        return Program(graphs.node, step, lambda words: bag(words, 1).flatten())


_DISTANCES: dict[str, Callable[[EqualGraphs], Tensor]] = {
    "hops": lambda graphs: graphs.hops,
    "resistance": exact_resistances,
}
