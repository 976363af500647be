"""ELENE: degrees and distances inside ego graphs, as histograms of nodes and edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph import ego_intersections, ego_vertices
from gnnlab.graph.ego_pairs import row_codes
from gnnlab.transform import Transform, graph_ptr

__all__ = ["ElenePE"]


@dataclass(frozen=True, repr=False)
class ElenePE(Transform):
    r"""Histograms over the degrees and distances inside ego graphs (``EleneNodePE`` and ``EleneEdgePE`` in one).

    "Improving Subgraph-GNNs via Edge-Level Ego-Network Encodings" (Alvarez-Gonzalez, Kaltenbrunner, Gómez,
    TMLR 2024, arXiv 2312.05905). With the k-hop ego graph :math:`S_k(v)`:

    * ``level="node"``: every vertex u of :math:`S_k(v)` has its distance :math:`\delta = d(u, v)` and its
      relative degrees :math:`(d^-, d^0, d^+)`, the neighbours inside :math:`S_k(v)` at distance
      :math:`\delta - 1, \delta, \delta + 1`. Node v gets a histogram of these quadruples.
    * ``level="edge"``: every vertex w of :math:`S_k(u) \cap S_k(v)` has :math:`d(w, u)`, :math:`d(w, v)` and its
      degree inside the intersection. Edge (u, v) gets a histogram of these triples, node v the sum over its edges
      (read from v). It tells strongly regular graphs apart, which the node form cannot.

    Layouts of fixed width :math:`W` with degrees clipped at :math:`\rho` (``max_degree``), :math:`c = \min(d, \rho)`:

    * ``"histogram"``, node: :math:`d^-, d^0, d^+` are counted one by one, in column
      :math:`(3 \delta + i)(\rho + 1) + c_i`, :math:`W = 3 (k + 1)(\rho + 1)`. Which of them occur together is lost for
      :math:`k \ge 2`; for k = 1 nothing is, since a root has :math:`d^+` alone and a neighbour always
      :math:`(1, d^0, 0)`. Edge: column :math:`(3 d(w,u) + d(w,v) - d(w,u) + 1)(\rho + 1) + c`, of the same width for
      every j, loses nothing but degrees above :math:`\rho`.
    * ``"hash"``: unclipped quadruples (triples) are counted in ``buckets`` columns (per j) by a fixed hash. What occurs
      together is kept, different ones may share a column.

    For the edge form more hops can be worse: with a diameter of k the intersection is the whole graph. So
    ``union`` writes the histograms of j = 1 to k side by side. Node quadruples of fewer hops can be read
    off those of k hops, so there the option changes nothing.

    Cost: time :math:`O(\sum \min(d_u, |S_k(v)|))` over the (root, vertex) pairs, or (edge, vertex) triples, :math:`P`
    of them; memory 64 P bytes and 4 W per node and edge. For k = 1 graphs of :math:`10^6` nodes take seconds; more
    hops on graphs with hubs take minutes, and are refused above ``max_pairs``; a wide table above ``max_gigabytes``.

    Graphs are taken as simple and undirected: an edge in one direction counts for both, duplicates once, and
    self-loops get a row of zeros. A node without edges has the ego graph of itself.

    Args:
        k: Hops, at least 1.
        max_degree: Largest degree :math:`\rho` with a column of its own.
        level: ``"node"`` or ``"edge"``.
        layout: ``"histogram"`` or ``"hash"``.
        union: Whether the edge form has the histograms of 1 to k hops, or those of k hops alone.
        buckets: Columns of ``"hash"``.
        name: Written to ``pe_<name>``, and ``edge_pe_<name>`` for edges.
        max_pairs: Refuse more (root, vertex) or (edge, vertex) pairs than that.
        max_gigabytes: Refuse to write more than that.

    Shapes:
        writes ``pe_<name>`` [N, W] float32 and, for edges, ``edge_pe_<name>`` [E, W] float32 (W k times as wide with
        ``union``).

    Raises:
        ConfigError: values out of range, or an unknown level or layout.
        BudgetError: too many pairs, or too large a table.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 3]])
        >>> tail = ElenePE(k=1, max_degree=3)(Data(edge_index=edge_index, num_nodes=4)).pe_elene[3].view(2, 3, 4)
        >>> tail[0, 2].tolist(), tail[1, 1].tolist()  # one root of degree 1; one neighbour without others at distance 1
        ([0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])
    """

    k: int = 1
    max_degree: int = 10
    level: str = "node"
    layout: str = "histogram"
    union: bool = True
    buckets: int = 64
    name: str = "elene"
    max_pairs: int = 2 * 10**7
    max_gigabytes: float = 4.0

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        for field, known in (("level", _LEVELS), ("layout", _LAYOUTS)):
            value = getattr(self, field)
            if value not in known:
                raise ConfigError(f"unknown {field} {value!r}", where="ElenePE", hint=nearest(str(value), known))
        for field in ("k", "max_degree", "buckets"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field} must be at least 1, got {getattr(self, field)}", where="ElenePE")

    @property
    def width(self) -> int:
        """Columns of the encoding."""
        blocks = self.k if self.union and self.level == "edge" else 1
        return blocks * self._block

    @property
    def _block(self) -> int:
        return self.buckets if self.layout == "hash" else 3 * (self.k + 1) * (self.max_degree + 1)

    def check_budget(self, nodes: Tensor) -> None:
        self._check_size(int(nodes.sum()), "nodes")

    def forward(self, data: Data) -> Data:
        self.check_budget(graph_ptr(data).diff())
        _LEVELS[self.level](self, data)
        return data

    def _check_size(self, rows: int, what: str) -> None:
        size = 4 * rows * self.width / 2**30
        if size > self.max_gigabytes:
            raise BudgetError(
                f"{self.width:,} columns for {rows:,} {what} take {size:.1f} GiB, more than "
                f"max_gigabytes={self.max_gigabytes:g}",
                where="ElenePE",
                hint="lower k or max_degree, choose layout='hash', or encode batch by batch (data.batch_transforms)",
            )

    def _write_nodes(self, data: Data) -> None:
        ego = ego_vertices(data.edge_index, graph_ptr(data), self.k, max_pairs=self.max_pairs)
        items, columns = ego.distance[:, None], ego.degrees
        position = 3 * items + torch.arange(3, device=columns.device)
        if self.layout == "hash":
            cell = self._hashed(torch.cat([items, columns], 1))
        else:
            cell = self._clipped(position, columns)
        data[f"pe_{self.name}"] = _histogram(ego.root, cell, data.num_nodes, self.width)

    def _write_edges(self, data: Data) -> None:
        ends, count = data.edge_index, data.num_nodes
        self._check_size(2 * ends.size(1), "edges")
        shared = ego_intersections(ends, graph_ptr(data), self.k, max_pairs=self.max_pairs)
        half = shared.edges.size(1)
        table = torch.zeros(2 * half + 1, self.width, device=ends.device)
        levels = range(1, self.k + 1) if self.union else (self.k,)
        for block, level in enumerate(levels):
            degree = shared.degree[:, level - 1 : level]
            inside = degree[:, 0] >= 0
            for direction in (0, 1):
                items = shared.distance.flip(1) if direction else shared.distance
                near, difference = items[:, :1], items[:, 1:] - items[:, :1]
                if self.layout == "hash":
                    cell = self._hashed(torch.cat([items, degree], 1))
                else:
                    cell = self._clipped(3 * near + difference + 1, degree)
                rows = shared.edge[inside] + direction * half
                columns = slice(block * self._block, (block + 1) * self._block)
                table[:, columns] += _histogram(rows, cell[inside], table.size(0), self._block)
        source, target = ends
        key = torch.minimum(source, target) * count + torch.maximum(source, target)
        row = torch.searchsorted(shared.edges[0] * count + shared.edges[1], key) + half * (source > target)
        row = torch.where(source == target, 2 * half, row)
        data[f"edge_pe_{self.name}"] = table[row]
        first = torch.cat([shared.edges[0], shared.edges[1]])
        data[f"pe_{self.name}"] = table.new_zeros(count, self.width).index_add_(0, first, table[:-1])

    def _clipped(self, position: Tensor, degree: Tensor) -> Tensor:
        return position * (self.max_degree + 1) + degree.clamp(max=self.max_degree)

    def _hashed(self, items: Tensor) -> Tensor:
        return row_codes(items)[:, None] % self.buckets


def _histogram(row: Tensor, cell: Tensor, rows: int, width: int) -> Tensor:
    """[rows, width] float32, how often every row has every cell: c at a time, ``row`` [R] and ``cell`` [R, c]."""
    flat = (row[:, None] * width + cell).flatten()
    ones = torch.ones(1, device=row.device).expand(flat.numel())
    return torch.zeros(rows * width, device=row.device).index_add_(0, flat, ones).view(rows, width)


_LEVELS: dict[str, Callable[[ElenePE, Data], None]] = {"node": ElenePE._write_nodes, "edge": ElenePE._write_edges}

_LAYOUTS = ("histogram", "hash")
