"""What attention pays attention by: the parts of its scores, and factors of its coefficients."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Scoring"]


class Scoring(NamedTuple):
    """Scores leaky_relu(source[u] + target[v] + edge[e]), whose softmax is multiplied by weight[e].

    Args:
        source: [N, H], or ``None`` for 0.
        target: [N, H], or ``None`` for 0.
        edge: [E, H] in edge order, or ``None`` for 0.
        weight: [E, H] in edge order, or ``None`` for 1.
        slope: Slope of the rectifier below 0.
        skip_loops: Whether edges from a node to itself are ignored.
    """

    source: Tensor | None
    target: Tensor | None
    edge: Tensor | None
    weight: Tensor | None
    slope: float
    skip_loops: bool
