"""Graphs in which every edge has a source of its own, of the nodes that compute and of nobody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.models._layer import Layer
from gnnlab.ops import CSR, ragged_arange, segment_reduce

__all__ = ["HEARING", "Incoming", "PrivateSources"]

_MAX_EDGES = 2**26


class Incoming(NamedTuple):
    """Nodes with the edges into them.

    Args:
        nodes: [D] long.
        count: [D] long, number of edges into every one of them.
        edge: [M] long, these edges, grouped by target and otherwise in the order of the graph.
        source: [M] long, where they start.
    """

    nodes: Tensor
    count: Tensor
    edge: Tensor
    source: Tensor


class _Heard(NamedTuple):
    """What copies of the nodes hear in their turn, node by node.

    Args:
        ptr: [N + 1] long, first row of every node.
        edge: [K] long, the edge of the graph a row stands for.
        own: [K] bool, whether it is a loop; other rows start at a node of which nothing is known.
        weight: [K], its weight; ``None`` where weights are those of the edges, if they have any.
    """

    ptr: Tensor
    edge: Tensor
    own: Tensor
    weight: Tensor | None = None


class PrivateSources:
    """Applies layers to some nodes of a graph, with a view of its own for every edge.

    The graph it builds has the D nodes first, then a copy of the source of each of their M edges, which starts there
    (loops stay loops). Copies have no edges, unless ``heard`` gives them some: their results are dropped, but a layer
    may read the degree of a source.

    Cost: O(D + M) rows and edges, and what copies hear.

    Args:
        edges: The edges of the graph.
        like: [N, d] states of the nodes.
        heard: What copies hear; an item of :data:`HEARING`.

    Raises:
        BudgetError: more than 2^26 edges, all nodes and their copies taken together.
    """

    def __init__(self, edges: Edges, like: Tensor, heard: Callable[[Edges, Tensor, Tensor], _Heard | None]) -> None:
        adj, self.edges = edges.adj, edges
        self.count, self.first, self.source = adj.degree.long(), adj.ptr.long(), adj.edge_index[0]
        self.slot_edge = None if adj.eid is None else adj.eid.long()
        self.loop = self.source == adj.edge_index[1]
        self.looped = bool(self.loop.any())
        self.degree = adj.degree if edges.degree is None else edges.degree
        self.heard = heard(edges, self.loop, like)
        if self.heard is not None:
            total = self.source.numel() + int(self.heard.ptr.diff()[self.source].sum())
            if total > _MAX_EDGES:
                raise BudgetError(
                    f"{total} edges are needed to give every edge a source with edges of its own, "
                    f"the limit is {_MAX_EDGES}",
                    where="asynchronous inference",
                    hint="fewer runs at once, or a layer that does not read the degree of its neighbours",
                )

    def incoming(self, nodes: Tensor) -> Incoming:
        """The edges into nodes."""
        count = self.count.index_select(0, nodes)
        edge = _rows(self.first.index_select(0, nodes), count)
        edge = edge if self.slot_edge is None else self.slot_edge.index_select(0, edge)
        return Incoming(nodes, count, edge, self.source.index_select(0, edge))

    def apply(
        self, layer: Layer, part: Incoming, own: Tensor, views: Tensor, attr: Tensor | EdgeTable | None
    ) -> tuple[Tensor, Tensor | None]:
        """What a layer makes of some nodes, [D, d], and of the edges into them, [M, D'], where it changes them.

        Args:
            layer: The layer.
            part: The nodes.
            own: [D, d] their states.
            views: [M, d] what they know of their neighbours.
            attr: The states of all edges of the graph.
        """
        edges, stands_for = self._graph(part)
        if attr is not None:
            table = isinstance(attr, EdgeTable)
            rows = (attr.index if table else attr).index_select(0, stands_for)
            attr = EdgeTable(attr.rows, rows) if table else rows
        nobody = own.new_zeros(0 if self.heard is None else 1, own.size(1))
        out, after = layer(torch.cat([own, views, nobody]), replace(edges, attr=attr))
        states = None if after.attr is attr else after.attr[: part.edge.numel()]
        return out[: part.nodes.numel()], states

    def _graph(self, part: Incoming) -> tuple[Edges, Tensor]:
        """The edges, and for each of them the edge of the whole graph that it stands for."""
        size, number = part.nodes.numel(), part.edge.numel()
        target = _repeated(part.count, number)
        start = size + torch.arange(number, device=target.device)
        if self.looped:
            start = torch.where(self.loop.index_select(0, part.edge), target, start)
        end, edge, weight = target, part.edge, self.edges.weight
        count = part.count.new_zeros(number)
        if self.heard is not None:
            heard = self.heard
            first = heard.ptr.index_select(0, part.source)
            count = heard.ptr.index_select(0, part.source + 1) - first
            row = _rows(first, count)
            copy = size + _repeated(count, row.numel())
            # The last node is the one of which nothing is known.
            start = torch.cat([start, torch.where(heard.own.index_select(0, row), copy, size + number)])
            end, edge = torch.cat([target, copy]), torch.cat([edge, heard.edge.index_select(0, row)])
            count = torch.cat([count, count.new_zeros(1)])
        weight = None if weight is None else weight.index_select(0, edge)
        if self.heard is not None and self.heard.weight is not None:
            known = heard.weight.new_ones(number) if weight is None else weight[:number]
            weight = torch.cat([known, heard.weight.index_select(0, row)])
        adj = _grouped(torch.cat([part.count, count]), start, end, self.looped or self.heard is not None)
        kind = None if self.edges.type is None else self.edges.type.index_select(0, edge)
        degree = [self.degree.index_select(0, node) for node in (part.nodes, part.source)]
        degree.append(self.degree.new_zeros(adj.num_nodes - size - number))
        return Edges(adj, None, None, weight, kind, None, torch.cat(degree)), edge


def _grouped(counts: Tensor, start: Tensor, end: Tensor, shuffled: bool) -> CSR:
    """The CSR of edges that are sorted by target already, and by source too unless ``shuffled``."""
    ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
    if shuffled:
        by_source, order = torch.sort(start, stable=True)
    else:
        by_source, order = start, torch.arange(start.numel(), device=start.device)
    bounds = torch.arange(counts.numel() + 1, device=start.device)
    ptr_t = torch.searchsorted(by_source, bounds, out_int32=True)
    return CSR(ptr, start.int(), ptr_t, end.index_select(0, order).int(), order.int())


def _repeated(count: Tensor, total: int) -> Tensor:
    """0 count[0] times, 1 count[1] times, ..."""
    return torch.arange(count.numel(), device=count.device).repeat_interleave(count, output_size=total)


def _rows(first: Tensor, count: Tensor) -> Tensor:
    """first[i], first[i] + 1, ... count[i] times, for every i."""
    steps = ragged_arange(count)
    return steps + first.repeat_interleave(count, output_size=steps.numel())


def _nothing(edges: Edges, loop: Tensor, like: Tensor) -> None:
    """Copies hear nothing."""


def _degree(edges: Edges, loop: Tensor, like: Tensor) -> _Heard:
    """Copies hear their original's loops, and one edge that weighs what all its others weigh together."""
    adj = edges.adj
    source, target = adj.edge_index
    weight = like.new_ones(source.numel()) if edges.weight is None else edges.weight
    total = segment_reduce(_slots(torch.where(loop, 0, weight), adj), adj.ptr, "sum")
    some = segment_reduce(_slots((~loop).float(), adj), adj.ptr, "sum") > 0
    summed, loops = some.nonzero().flatten(), loop.nonzero().flatten()
    last = adj.ptr.long()[summed + 1] - 1
    stands = last if adj.eid is None else adj.eid.long()[last]
    node, order = torch.sort(torch.cat([summed, target[loops]]), stable=True)
    own = torch.cat([torch.zeros_like(summed), torch.ones_like(loops)]).bool()
    bounds = torch.arange(adj.num_nodes + 1, device=node.device)
    weights = torch.cat([total[summed], weight[loops]])
    return _Heard(torch.searchsorted(node, bounds), torch.cat([stands, loops])[order], own[order], weights[order])


def _everything(edges: Edges, loop: Tensor, like: Tensor) -> _Heard:
    """Copies hear what their originals hear."""
    adj = edges.adj
    edge = torch.arange(loop.numel(), device=loop.device) if adj.eid is None else adj.eid.long()
    return _Heard(adj.ptr.long(), edge, loop[edge])


def _slots(values: Tensor, adj: CSR) -> Tensor:
    return values if adj.eid is None else values[adj.eid.long()]


HEARING = (_nothing, _degree, _everything)
"""From little to much."""
