"""What a node of a marked graph starts from."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gnnlab.graph._refinement import EqualGraphs

__all__ = ["MARKINGS"]


def _node(graphs: EqualGraphs) -> Tensor:
    return graphs.identity[None]


def _distance(graphs: EqualGraphs) -> Tensor:
    return graphs.hops + 1


MARKINGS: dict[str, Callable[[EqualGraphs], Tensor]] = {"node": _node, "distance": _distance}
"""[B or 1, n, n] long, small numbers for a marked node (first) and any other (second), 0 for what says nothing."""
