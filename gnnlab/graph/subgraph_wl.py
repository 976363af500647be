"""Colour refinement of node pairs: what subgraph networks with one subgraph per node can tell apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._marks import MARKINGS
from gnnlab.graph._noise import mix
from gnnlab.graph._refinement import EqualGraphs, Program, bag, folded

__all__ = ["SubgraphWL"]


@dataclass(frozen=True)
class SubgraphWL:
    r"""The subgraph Weisfeiler-Leman test ("A Complete Expressiveness Hierarchy for Subgraph GNNs via Subgraph
    Weisfeiler-Lehman Tests", Zhang, Feng, Du, He, Wang; ICML 2023, arXiv 2302.07090).

    A colour for every pair of a root u and a node v of its subgraph, which is the whole graph with the root marked:

    .. math:: c^{(t+1)}(u, v) = \big(c^{(t)}(u, v), agg_1, \dots, agg_r\big)

    ==========  =======================================  ==========  ==========================================
    ``uu``      :math:`c(u, u)`                          ``vv``      :math:`c(v, v)`
    ``vu``      :math:`c(v, u)`
    ``uL``      :math:`\{\!\{ c(u, w) : w \to v \}\!\}`  ``vL``      :math:`\{\!\{ c(w, v) : w \to u \}\!\}`
    ``uG``      :math:`\{\!\{ c(u, w) : w \in V \}\!\}`  ``vG``      :math:`\{\!\{ c(w, v) : w \in V \}\!\}`
    ==========  =======================================  ==========  ==========================================

    The classes of the paper, by the names :func:`gnnlab.graph.graph_classes` knows, each at most as strong as those
    below it:

    ===========================  ============  =======  =================================================
    name                         aggregations  pooling  networks
    ===========================  ============  =======  =================================================
    ``swl-vs``                   uL            vs       NGNN, DS-GNN and ID-GNN with marked nodes
    ``swl-sv``, ``pswl-vs``      uL; uL, vv    sv; vs   the second: GNN-AK
    ``pswl-sv``                  uL, vv        sv
    ``gswl``                     uL, vG        either   DSS-GNN, GNN-AK+, SUN
    ``sswl``                     uL, vL        either   GNN-SSWL, GNN-SSWL+ (which adds vv)
    ``2-fwl``                                           PPGN; see :class:`gnnlab.graph.TupleWL`
    ===========================  ============  =======  =================================================

    A round takes time O(n E) and memory O(n^2) for every graph.

    Args:
        aggregations: What a pair reads besides its own colour.
        pooling: ``vs`` pools the nodes of every subgraph first, then the subgraphs; ``sv`` the other way round.
        marking: What a node of a subgraph starts with: ``node`` (whether it is the root), ``distance`` (the hops from
            the root to it) or ``none`` (GNN-AK). The first two tell the same apart unless ``hops`` cuts subgraphs out.
        hops: Subgraphs are cut to the nodes at most so many hops from the root; not at all by default.

    Raises:
        ConfigError: an unknown aggregation, pooling or marking, or negative ``hops``.
    """

    aggregations: tuple[str, ...] = ("uL",)
    pooling: Literal["vs", "sv"] = "vs"
    marking: Literal["node", "distance", "none"] = "node"
    hops: int | None = None

    def __post_init__(self) -> None:
        asked = [("aggregation", name, _AGGREGATIONS) for name in self.aggregations]
        for what, name, known in (*asked, ("pooling", self.pooling, _POOLED), ("marking", self.marking, _MARKINGS)):
            if name not in known:
                raise ConfigError(f"unknown {what} {name!r}", where="SubgraphWL", hint=nearest(str(name), known))
        if self.hops is not None and self.hops < 0:
            raise ConfigError(f"hops must be at least 0, got {self.hops}", where="SubgraphWL")

    def rows(self, nodes: int) -> int:
        return nodes**2

    def program(self, graphs: EqualGraphs) -> Program:
        # [B, v, u]: a row of words for every node, so that one sum over the edges serves all subgraphs.
        start = folded(graphs.node[:, :, None], _MARKINGS[self.marking](graphs).transpose(1, 2))
        kept = None if self.hops is None else ((graphs.hops >= 0) & (graphs.hops <= self.hops)).transpose(1, 2).long()
        reads = [_AGGREGATIONS[name] for name in self.aggregations]

        def step(words: Tensor) -> Tensor:
            # Every aggregation has words of its own. A pair that was cut out says nothing and stays as it is.
            said = [mix(words + (salt + 2)) for salt in range(len(reads))]
            if kept is not None:
                said = [each.mul_(kept) for each in said]
            refined = folded(mix(words + 1), *(read(graphs, each) for read, each in zip(reads, said, strict=True)))
            return refined if kept is None else refined.mul_(kept)

        first, second = _POOLED[self.pooling]

        def pool(words: Tensor) -> Tensor:
            said = mix(words + 1) if kept is None else mix(words + 1).mul_(kept)
            return bag(said.sum(first, keepdim=True), second, 1).flatten()

        return Program(start if kept is None else start * kept, step, pool)


def _local_inside(graphs: EqualGraphs, words: Tensor) -> Tensor:
    return graphs.heard(words)


def _local_across(graphs: EqualGraphs, words: Tensor) -> Tensor:
    return graphs.heard(words.transpose(1, 2).contiguous()).transpose(1, 2)


def _diagonal(words: Tensor) -> Tensor:
    return words.diagonal(dim1=1, dim2=2)


_AGGREGATIONS: dict[str, Callable[[EqualGraphs, Tensor], Tensor]] = {
    "uL": _local_inside,
    "vL": _local_across,
    "uG": lambda graphs, words: words.sum(1, keepdim=True),
    "vG": lambda graphs, words: words.sum(2, keepdim=True),
    "uu": lambda graphs, words: _diagonal(words)[:, None, :],
    "vv": lambda graphs, words: _diagonal(words)[:, :, None],
    "vu": lambda graphs, words: words.transpose(1, 2),
}

_MARKINGS = {**MARKINGS, "none": lambda graphs: torch.zeros_like(graphs.identity[None])}

_POOLED = {"vs": (1, 2), "sv": (2, 1)}
"""Dimension that is pooled first, and second."""
