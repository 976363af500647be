"""The rows (root, node) of a batch, and which of them hear which: the one object of all subgraph networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.graph._lookup import lookup
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.ops import CSR, expand_ptr, ragged_arange
from gnnlab.ops._debug import free_to_look
from gnnlab.ops._layout import Layout, grouped, segments

__all__ = ["TupleEdges", "Tuples"]


class TupleEdges(NamedTuple):
    """Edges between rows, and the edge of the graph that each of them repeats.

    Args:
        adj: Over the P rows.
        edge: [E'] long, edge of the graph; in the order of the edges of ``adj``.
    """

    adj: CSR
    edge: Tensor

    def features(self, edge_attr: Tensor | EdgeTable) -> EdgeTable:
        """Features of the graph's edges [E, F] as those of these edges: a table, of which nothing is repeated."""
        if isinstance(edge_attr, EdgeTable):
            return EdgeTable(edge_attr.rows, edge_attr.index[self.edge])
        return EdgeTable(edge_attr, self.edge)


@dataclass(frozen=True, eq=False)
class Tuples:
    """Rows (root, node), sorted by root, then node: node v as it is seen in the subgraph of a root.

    A root is whatever labels a copy of the graph: a node (rows are node pairs then), a tuple or a set of nodes. All
    nodes of a root are of one graph. Where every root holds all nodes of its graph, rows are found by arithmetic,
    otherwise by binary search; rows that are not held are not heard. Maps are computed when first asked for, and kept.

    Args:
        root: [P] long, number of the root of every row.
        node: [P] long, node of the union.
        root_ptr: [R + 1] long, first row of every root.
        ptr: [G + 1] long, first node of every graph.
        num_nodes: N.

    Example:
        >>> rows = Tuples.of(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), 2, torch.tensor([0, 2]))
        >>> rows.inside(CSR.from_edge_index(torch.tensor([[0], [1]]), 2)).adj.edge_index.tolist()
        [[0, 2], [1, 3]]
    """

    root: Tensor
    node: Tensor
    root_ptr: Tensor
    ptr: Tensor
    num_nodes: int
    _memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, root: Tensor, node: Tensor, num_roots: int, ptr: Tensor) -> Tuples:
        """The store of the given rows.

        Args:
            root: [P] long.
            node: [P] long.
            num_roots: R; a root without rows is allowed.
            ptr: [G + 1] long, first node of every graph.

        Raises:
            GraphError: vectors of other lengths; and (on the CPU) rows out of range, twice, or not sorted.
        """
        num_nodes = int(ptr[-1])
        if root.shape != node.shape or root.dim() != 1:
            raise GraphError(f"root and node must be vectors of one length, got {list(root.shape)}, {list(node.shape)}")
        if root.numel() and free_to_look(root):
            _check_rows(root, node, num_roots, num_nodes)
        bounds = torch.arange(num_roots + 1, device=root.device)
        return cls(root, node, torch.searchsorted(root.contiguous(), bounds), ptr, num_nodes)

    @property
    def num_rows(self) -> int:
        return self.root.numel()

    @property
    def num_roots(self) -> int:
        return self.root_ptr.numel() - 1

    @property
    def graph(self) -> Tensor:
        """[P] long, graph of every row."""
        return self.memo("graph", lambda: expand_ptr(self.ptr, self.num_nodes)[self.node])

    @property
    def root_graph(self) -> Tensor:
        """[R] long, graph of every root; G for a root without rows."""
        return self.memo("root_graph", self._root_graph)

    @property
    def full(self) -> bool:
        """Whether every root has rows, namely all nodes of its graph."""
        return self.memo("full", self._full)

    @property
    def is_pairs(self) -> bool:
        """Whether roots may be nodes: there is one for every node."""
        return self.num_roots == self.num_nodes

    def place(self, root: Tensor, node: Tensor) -> Tensor:
        """[W] long, row of (root, node), -1 where there is none; node must be of the graph of the root."""
        if self.full:
            return (self.root_ptr[:-1] - self._first_node)[root] + node
        found, row = lookup(self._keys, root * self.num_nodes + node)
        return torch.where(found, row, -1)

    def inside(self, adj: CSR) -> TupleEdges:
        """uL: row (r, v) hears the rows (r, w) of the edges from w to v."""
        return self.memo(("inside", adj), lambda: self._spread(adj, self.node, lambda p, w: (self.root[p], w)))

    def across(self, adj: CSR) -> TupleEdges:
        """vL: row (u, v) hears the rows (w, v) of the edges from w to u; roots are nodes.

        Raises:
            GraphError: roots that are no nodes, or rows of which (v, u) is missing.
        """
        self.transpose  # noqa: B018 -- refuses rows that are not symmetric
        return self.memo(("across", adj), lambda: self._spread(adj, self.root, lambda p, w: (w, self.node[p])))

    @property
    def transpose(self) -> CSR:
        """vu: row (u, v) reads row (v, u). Every row is there, or a ``GraphError``."""
        hint = "symmetrise the edges (every edge in both directions), lift with policy='full', and without roots"
        return self.memo("transpose", lambda: self._reading(self.node, self.root, "vu and vL read (v, u)", hint))

    @property
    def own_root(self) -> CSR:
        """uu: row (u, v) reads row (u, u)."""
        return self.memo("own_root", lambda: self._reading(self.root, self.root, "uu reads (u, u)", "keep (u, u)"))

    @property
    def own_node(self) -> CSR:
        """vv: row (u, v) reads row (v, v)."""
        hint = "lift without roots: every node has to be one"
        return self.memo("own_node", lambda: self._reading(self.node, self.node, "vv reads (v, v)", hint))

    @property
    def diagonal_rows(self) -> Tensor:
        """[D] long, the rows (u, u)."""
        return self.memo("diagonal", lambda: (self.root == self.node).nonzero().flatten())

    @property
    def by_root(self) -> Layout:
        """R x P: the rows of every root. Its transpose brings root states to the rows."""
        return self.memo("by_root", lambda: segments(self.root_ptr, self.num_rows))

    @property
    def of_roots(self) -> Layout:
        """R x P: the row (u, u) of every root that has one."""
        return self.memo("of_roots", self._of_roots)

    @property
    def by_node(self) -> Layout:
        """N x P: the rows of every node."""
        return self.memo("by_node", lambda: grouped(self.node, self.num_nodes))

    def memo(self, key: Any, compute: Callable[[], Any]) -> Any:
        """What ``compute`` returned the first time."""
        if key not in self._memo:
            # Rows may be seen by inference_mode first, whose tensors no later gradient could use.
            with torch.inference_mode(False), torch.no_grad():
                self._memo[key] = compute()
        return self._memo[key]

    @property
    def _first_node(self) -> Tensor:
        """[R] first node of the graph of every root."""
        return self.memo("first", lambda: self.ptr[self.root_graph.clamp(max=max(self.ptr.numel() - 2, 0))])

    @property
    def _keys(self) -> Tensor:
        return self.memo("keys", lambda: self.root * self.num_nodes + self.node)

    def _root_graph(self) -> Tensor:
        graphs = self.ptr.numel() - 1
        sizes = self.root_ptr.diff()
        first = torch.cat([self.graph, self.graph.new_full((1,), graphs)])[self.root_ptr[:-1]]
        return torch.where(sizes > 0, first, graphs)

    def _full(self) -> bool:
        nodes = torch.cat([self.ptr.diff(), self.ptr.new_full((1,), -1)])[self.root_graph]
        return bool((nodes == self.root_ptr.diff()).all())

    def _of_roots(self) -> Layout:
        bounds = torch.arange(self.num_roots + 1, device=self.root.device)
        ptr = torch.searchsorted(self.root[self.diagonal_rows], bounds)
        has = torch.zeros_like(self.root).index_fill(0, self.diagonal_rows, 1)
        ptr_t = torch.cat([has.new_zeros(1), has.cumsum(0)])
        return Layout(ptr.int(), self.diagonal_rows.int(), None, ptr_t.int(), self.root[self.diagonal_rows].int(), None)

    def _reading(self, root: Tensor, node: Tensor, what: str, hint: str) -> CSR:
        """Every row reads one other: a graph of P edges, so that the gradient is a sum over sorted rows."""
        if not self.is_pairs:
            raise GraphError(f"{what}, which takes one root for every node, got {self.num_roots} and {self.num_nodes}")
        source = self.place(root, node)
        if not self.full and bool((source < 0).any()):
            raise GraphError(f"{what}, of which {int((source < 0).sum())} rows are missing", hint=hint)
        rows = grouped(source, self.num_rows)
        each = torch.arange(self.num_rows + 1, dtype=torch.int32, device=source.device)
        return CSR(each, source.int(), rows.ptr, rows.idx, rows.idx)

    def _spread(self, adj: CSR, anchor: Tensor, other: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> TupleEdges:
        """Every row hears, for the edges into its ``anchor``, the row that ``other`` names by the source.

        Both directions are written down in order; nothing is sorted.
        """
        if adj.num_nodes != self.num_nodes:
            raise GraphError(f"the rows are of {self.num_nodes} nodes, the edges of {adj.num_nodes}")
        row, slot, starts = self._slots(adj.ptr, anchor)
        source = self.place(*other(row, adj.src[slot].long()))
        row_t, slot_t, _ = self._slots(adj.ptr_t, anchor)
        target = self.place(*other(row_t, adj.dst[slot_t].long()))
        edge = slot if adj.eid is None else adj.eid[slot].long()
        if not self.full:
            kept, kept_t = source >= 0, target >= 0
            row, source, edge = row[kept], source[kept], edge[kept]
            row_t, target, slot_t = row_t[kept_t], target[kept_t], slot_t[kept_t]
        # Where a transposed slot has its edge: from the first of its target on, as far as the edge is from the first
        # edge of the anchor.
        of_edge = adj.eid_t.long()
        if adj.eid is not None:
            order = torch.empty_like(of_edge)
            order[adj.eid.long()] = torch.arange(order.numel(), device=order.device)
            of_edge = order[of_edge]
        place = (starts[:-1] - adj.ptr.long()[anchor])[target] + of_edge[slot_t]
        ptr = starts
        if not self.full:
            ptr, place = _counted(row, self.num_rows), (kept.cumsum(0) - 1)[place]
        ptr_t = _counted(row_t, self.num_rows)
        return TupleEdges(CSR(ptr.int(), source.int(), ptr_t.int(), target.int(), place.int()), edge)

    def _slots(self, ptr: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows repeated once for every slot of their anchor, these slots, and where every row begins."""
        ptr = ptr.long()
        counts = ptr.diff()[anchor]
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        total = int(starts[-1])
        row = expand_ptr(starts, total)
        return row, ptr[:-1][anchor][row] + ragged_arange(counts, total), starts


def _counted(row: Tensor, num_rows: int) -> Tensor:
    """[num_rows + 1] long, first place of every row among sorted rows."""
    return torch.searchsorted(row, torch.arange(num_rows + 1, device=row.device))


def _check_rows(root: Tensor, node: Tensor, num_roots: int, num_nodes: int) -> None:
    for name, index, size in (("root", root, num_roots), ("node", node, num_nodes)):
        low, high = (int(bound) for bound in torch.aminmax(index))
        if low < 0 or high >= size:
            raise GraphError(f"{name} {low if low < 0 else high} is outside 0 to {size - 1}")
    if bool(((root * num_nodes + node).diff() <= 0).any()):
        raise GraphError("rows must be sorted by root, then node, each once", hint="lift with gnnlab.lifting.NodePairs")
