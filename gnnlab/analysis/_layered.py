"""Explicit layers run asynchronously: every node applies its next layer to whatever its neighbours sent last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.analysis._ring import Ring
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.nn import GNN
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer, pairs_of
from gnnlab.ops import CSR, ragged_arange, segment_reduce

__all__ = ["Layered", "PrivateSources"]

_MAX_EDGES = 2**26
_TRIALS = 4
_EDGES = {"edge": edges_of, "pair": pairs_of}


class Layered:
    """A :class:`gnnlab.nn.GNN` whose nodes count their layers themselves.

    A node that computes applies layer c, its own count, to its state and to the embeddings it knows of its
    neighbours, whatever layer those come from, and stops after the last layer. Correct in lock-step only.

    Every edge gets a source of its own that holds the view its target has, so one call of the layer on this larger
    graph serves all nodes. Whether a layer gives on it what it gives on the graph itself is tried on random states;
    one that reads more of its sources than their states (GCN: their degree) gets sources with all their edges.
    Layers are those of evaluation: the model must be in that mode.

    Cost: a tick is one call of every layer that is due, on N + E nodes and E edges; with the edges of sources
    E + the sum of squared degrees.

    Args:
        model: The network.
        batch: The union.
        staleness: B.

    Raises:
        ConfigError: a model that is no ``GNN``, whose states change their width, or whose nodes read anything
            but themselves and their neighbours.
        BudgetError: more than 2^26 edges with those of sources.
    """

    def __init__(self, model: Any, batch: Data, staleness: int) -> None:
        _check(model)
        self.model = model
        x, attr = encoded(model.encoder, batch)
        self.ptr = graph_pointer(batch, x)
        edges = _EDGES[model.edges](batch, attr, x.size(0), self.ptr)
        self.edge_index = edges.adj.edge_index if edges.edge_index is None else edges.edge_index
        widths = {x.size(1), *(layer.out_channels for layer in model.layers)}
        if len(widths) > 1:
            raise ConfigError(
                f"states of widths {sorted(widths)} cannot be mixed, and nodes at different layers mix them",
                where="asynchronous inference",
                hint="give the model an encoder and a head",
            )
        tried: dict[bool, PrivateSources] = {}
        self.graphs = [_faithful(layer, x, edges, tried) for layer in model.layers]
        self.attr = edges.attr
        self.states = [model.input_dropout(x)] + [torch.zeros_like(x)] * len(model.layers)
        self.h, self.count = self.states[0], torch.zeros(x.size(0), dtype=torch.long, device=x.device)
        self.ring = Ring(self.h, staleness)
        between = self.edge_index[0, self.edge_index[0] != self.edge_index[1]]
        self.sends = torch.bincount(between, minlength=x.size(0))

    def step(self, t: int, update: Tensor, age: Tensor) -> Tensor:
        known = torch.cat([self.h, self.ring.read(t, age, self.edge_index[0])])
        reached, attr = self.h, self.attr
        for index, (layer, graph) in enumerate(zip(self.model.layers, self.graphs, strict=True)):
            due = update & (self.count == index)
            if not bool(due.any()):
                continue
            out, new_attr = graph.apply(layer, known, self.attr)
            now = due.unsqueeze(1)
            self.states[index + 1] = torch.where(now, out, self.states[index + 1])
            reached = torch.where(now, out, reached)
            if new_attr is not self.attr:
                # The state of an edge is its target's affair.
                attr = torch.where(due[self.edge_index[1]].unsqueeze(1), new_attr, _dense(attr))
        self.h, self.attr = reached, attr
        busy = update & (self.count < len(self.graphs))
        self.count = self.count + busy
        self.ring.write(t + 1, self.h)
        return busy

    def prediction(self) -> Tensor:
        states = [*self.states[:-1], self.model.final_norm(self.states[-1])]
        return self.model.readout(states, self.ptr)

    def finished(self) -> Tensor:
        left = (self.count < len(self.graphs)).float()
        return segment_reduce(left, self.ptr, "max") == 0


@dataclass(frozen=True)
class PrivateSources:
    """The graph in which edge e starts at node N + e, a copy of its source; loops stay loops.

    Args:
        edges: The edges, the first E of which are those of the graph, without their states.
        origin: [M] the edge of the graph every one of them stands for.
        num_nodes: N.
        num_edges: E.
    """

    edges: Edges
    origin: Tensor
    num_nodes: int
    num_edges: int

    @classmethod
    def of(cls, edges: Edges, num_nodes: int, with_edges: bool) -> PrivateSources:
        """The graph of E edges of N nodes; ``with_edges`` gives copies the incoming edges of their originals too.

        Raises:
            BudgetError: more than 2^26 edges.
        """
        source, target = edges.adj.edge_index if edges.edge_index is None else edges.edge_index
        edge = torch.arange(source.numel(), device=source.device)
        start, end, origin = torch.where(source == target, source, num_nodes + edge), target, edge
        if with_edges:
            copy, heard = _heard_by_sources(edges.adj, source)
            own = source[heard] == target[heard]
            start = torch.cat([start, torch.where(own, num_nodes + copy, source[heard])])
            end, origin = torch.cat([end, num_nodes + copy]), torch.cat([origin, heard])
        larger = torch.stack([start, end])
        adj = CSR.from_edge_index(larger, num_nodes + edge.numel())
        degree = None if edges.degree is None else torch.cat([edges.degree, edges.degree[source]])
        weight, kind = (None if data is None else data[origin] for data in (edges.weight, edges.type))
        return cls(Edges(adj, larger, None, weight, kind, None, degree), origin, num_nodes, edge.numel())

    def apply(
        self, layer: nn.Module, x: Tensor, attr: Tensor | EdgeTable | None
    ) -> tuple[Tensor, Tensor | EdgeTable | None]:
        """Node states [N, d] and edge states [E, D] after a layer; ``attr`` itself where the layer leaves it."""
        given = attr
        if attr is not None and self.origin.numel() > self.num_edges:
            given = _dense(attr)[self.origin]
        out, after = layer(x, replace(self.edges, attr=given))
        return out[: self.num_nodes], attr if after.attr is given else after.attr[: self.num_edges]


def _heard_by_sources(adj: CSR, source: Tensor) -> tuple[Tensor, Tensor]:
    """For every edge all edges into its source: [S] the one, [S] the other."""
    counts = adj.degree.long()[source]
    total = source.numel() + int(counts.sum())
    if total > _MAX_EDGES:
        raise BudgetError(
            f"{total} edges are needed to give every edge a source with edges of its own, the limit is {_MAX_EDGES}",
            where="asynchronous inference",
            hint="fewer runs at once, or a layer that does not read the degree of its neighbours",
        )
    edge = torch.arange(source.numel(), device=source.device).repeat_interleave(counts)
    slot = adj.ptr.long()[source].repeat_interleave(counts) + ragged_arange(counts)
    return edge, slot if adj.eid is None else adj.eid.long()[slot]


def _faithful(layer: nn.Module, like: Tensor, edges: Edges, tried: dict[bool, PrivateSources]) -> PrivateSources:
    """The smallest graph of private sources on which the layer gives what it gives on the graph itself."""
    source = edges.adj.edge_index[0] if edges.edge_index is None else edges.edge_index[0]
    generator, trials = torch.Generator().manual_seed(0), []
    for _ in range(_TRIALS):
        x = torch.randn(like.shape, generator=generator).to(like)
        # Both signs, as a rectifier hides what is negative.
        trials += [(torch.cat([y, y[source]]), layer(y, edges)[0]) for y in (x, -x)]
    for with_edges in (False, True):
        if with_edges not in tried:
            tried[with_edges] = PrivateSources.of(edges, like.size(0), with_edges)
        graph = tried[with_edges]
        if all(_close(graph.apply(layer, known, edges.attr)[0], expected) for known, expected in trials):
            return graph
    raise _refusal(f"{type(layer.conv).__name__}, or what follows it, reads more than a node and its neighbours")


def _close(found: Tensor, expected: Tensor) -> bool:
    tolerance = 1e-4 * max(1.0, float(expected.abs().max())) if expected.numel() else 0.0
    return torch.allclose(found, expected, atol=tolerance)


def _check(model: Any) -> None:
    if not isinstance(model, GNN):
        raise _refusal(f"{type(model).__name__} is neither a GNN nor has it a local_rule")
    if model.training:
        raise _refusal("the model is in training mode", hint="call model.eval() first")
    if model.virtual_node is not None or model.fully_adjacent_last:
        raise _refusal("a virtual node and a fully adjacent layer join nodes that are no neighbours")
    for layer in model.layers:
        if {"ptr", "batch"} & layer.accepted:
            raise _refusal(f"{type(layer.conv).__name__} works on whole graphs")


def _refusal(what: str, hint: str = "layers that read a node and its neighbours alone can be run") -> ConfigError:
    return ConfigError(what, where="asynchronous inference", hint=hint)


def _dense(attr: Tensor | EdgeTable) -> Tensor:
    return attr.dense() if isinstance(attr, EdgeTable) else attr
