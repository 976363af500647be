"""Numbers of cycles or closed walks as encodings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch_geometric.data import Data

from gnnlab.encodings._counts import CountEncoding
from gnnlab.errors import ConfigError, nearest
from gnnlab.graph import closed_walk_counts, cycle_counts
from gnnlab.transform import graph_ptr

__all__ = ["CycleCounts"]


@dataclass(frozen=True, repr=False)
class CycleCounts(CountEncoding):
    r"""Number of cycles, or of closed walks, of every length through every node or edge.

    ``"cycles"`` visit no node twice (see :func:`gnnlab.graph.cycle_counts`); message passing cannot count them ("Can
    Graph Neural Networks Count Substructures?", Chen et al., NeurIPS 2020, arXiv 2002.04025).
    ``"closed-walks"`` are :math:`(A^k)_{vv}` at a node and :math:`(A^{k-1})_{uv}` at an edge, the homomorphisms of
    a cycle (see :func:`gnnlab.graph.closed_walk_counts`). Both belong to the simple undirected
    graph: directions, self-loops and duplicate edges are ignored, a self-loop itself gets zeros. Nodes without
    edges and graphs without nodes are fine. Sums over the nodes of a graph are k times its number of cycles.

    Cost: cycles take the time of the paths of ``max_length`` = k nodes below their node of largest degree, at most
    :math:`\sum_v d_v \Delta^{k-2}`, in bounded memory; where they are more
    than 2e7 the time of sparse products :math:`E \Delta^{\lceil k/2 \rceil - 1}`. Closed walks take at
    most :math:`\sum_v \min(\Delta^{k+1}, E)`. Graphs of 1e5 nodes and more take the same route: sparse ones
    take seconds, others are refused with the number of partial matches found so far.

    Args:
        max_length: Longest cycle (3 to 8) or closed walk (2 to 20).
        kind: ``"cycles"`` or ``"closed-walks"``.
        name: Written to ``pe_<name>`` and ``edge_pe_<name>``.
        max_matches: Most partial matches to look at, for every length of cycles.
        level: ``"node"``, ``"edge"`` or ``"both"``.
        normalise: ``None`` for the counts (exact in float32 up to :math:`2^{24}`), ``"log"`` for
            :math:`\log(1 + x)`.

    Shapes:
        writes ``pe_<name>`` [N, k] and ``edge_pe_<name>`` [E, k] float32, with k = max_length - 2 columns for
        cycles of 3 to max_length nodes, or max_length - 1 for closed walks of 2 to max_length steps.

    Raises:
        ConfigError: unknown ``kind``, ``level`` or ``normalise``, or ``max_length`` out of range.
        BudgetError: more than ``max_matches`` partial matches, before they are computed.

    Example:
        >>> import torch
        >>> bowtie = Data(edge_index=torch.tensor([[0, 1, 2, 2, 3, 4], [1, 2, 0, 3, 4, 2]]), num_nodes=5)
        >>> CycleCounts(max_length=4)(bowtie).pe_cycles.tolist()
        [[1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """

    max_length: int = 6
    kind: str = "cycles"
    name: str = "cycles"
    max_matches: int = 2 * 10**8

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in _KINDS:
            raise ConfigError(f"unknown kind {self.kind!r}", where="CycleCounts", hint=nearest(str(self.kind), _KINDS))
        low, high = _KINDS[self.kind][:2]
        if not low <= self.max_length <= high:
            raise ConfigError(
                f"max_length of {self.kind} must be between {low} and {high}, got {self.max_length}",
                where="CycleCounts",
            )

    def forward(self, data: Data) -> Data:
        count = _KINDS[self.kind][2]
        self.write_counts(data, self.name, lambda level: count(self, data, level))
        return data


def _cycles(self: CycleCounts, data: Data, level: str) -> Tensor:
    return cycle_counts(data.edge_index, graph_ptr(data), self.max_length, level=level, max_matches=self.max_matches)


def _closed_walks(self: CycleCounts, data: Data, level: str) -> Tensor:
    return closed_walk_counts(data.edge_index, graph_ptr(data), self.max_length, level=level)


_KINDS: dict[str, tuple[int, int, Callable[[CycleCounts, Data, str], Tensor]]] = {
    "cycles": (3, 8, _cycles),
    "closed-walks": (2, 20, _closed_walks),
}
"""Smallest and largest length, and what counts."""
