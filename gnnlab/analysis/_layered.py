"""Explicit layers run asynchronously: every node applies its next layer to whatever its neighbours sent last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis._private_sources import HEARING, PrivateSources
from gnnlab.analysis._ring import Ring
from gnnlab.errors import ConfigError
from gnnlab.nn import GNN
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer, pairs_of
from gnnlab.nn.models._layer import Layer
from gnnlab.ops import segment_reduce

__all__ = ["Layered"]

_TRIALS = 4
_EDGES = {"edge": edges_of, "pair": pairs_of}


class Layered:
    """A :class:`gnnlab.nn.GNN` whose nodes count their layers themselves.

    A node that computes applies layer c, its own count, to its state and to the embeddings it knows of its
    neighbours, whatever layer those come from, and stops after the last layer. Correct in lock-step only.

    The nodes that are due in a layer form a graph in which every edge has a source of its own, with the view its
    target has, so that one call of the layer serves them all. Whether a layer gives on it what it gives on the graph
    itself is tried on random states; to one that reads more of its sources than their states (GCN: their degree)
    sources get an edge that weighs what theirs do, or if that does not help, all their edges. Layers are those of
    evaluation: the model must be in that mode.

    Cost: a tick is one call of every layer that is due, on the D nodes that are due in it, the M edges into them and
    their M sources; with degrees of sources 2 M edges, with their edges the sum of their degrees more.

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
        tried: dict[Callable, PrivateSources] = {}
        self.graphs = [_faithful(layer, x, edges, tried) for layer in model.layers]
        self.attr = edges.attr
        self.states = [model.input_dropout(x)] + [torch.zeros_like(x) for _ in model.layers]
        self.h, self.count = self.states[0], torch.zeros(x.size(0), dtype=torch.long, device=x.device)
        self.ring = Ring(self.h, staleness)
        between = self.edge_index[0, self.edge_index[0] != self.edge_index[1]]
        self.sends = torch.bincount(between, minlength=x.size(0))

    def step(self, t: int, update: Tensor, age: Tensor) -> Tensor:
        attr, outs, nodes = self.attr, [], []
        for index, (layer, graph) in enumerate(zip(self.model.layers, self.graphs, strict=True)):
            due = (update & (self.count == index)).nonzero().flatten()
            if not due.numel():
                continue
            part = graph.incoming(due)
            views = self.ring.read(t, age.index_select(0, part.edge), part.source)
            out, new_attr = graph.apply(layer, part, self.h.index_select(0, due), views, self.attr)
            self.states[index + 1].index_copy_(0, due, out)
            outs.append(out)
            nodes.append(due)
            if new_attr is not None:
                # The state of an edge is its target's affair.
                attr = _dense(attr).index_copy(0, part.edge, new_attr)
        if nodes:
            self.h = self.h.index_copy(0, torch.cat(nodes), torch.cat(outs))
        self.attr = attr
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


def _faithful(layer: Layer, like: Tensor, edges: Edges, tried: dict[Callable, PrivateSources]) -> PrivateSources:
    """The graph of private sources that hear least, of those on which the layer gives what it gives on the graph."""
    everybody = torch.arange(like.size(0), device=like.device)
    generator, trials = torch.Generator().manual_seed(0), []
    for trial in range(_TRIALS):
        x = torch.randn(like.shape, generator=generator).to(like)
        # Some of the nodes must do without the others; both signs, as a rectifier hides what is negative.
        some = everybody if trial == 0 else everybody[torch.rand(like.size(0), generator=generator) < 0.5]
        trials += [(some, y, layer(y, edges)[0][some]) for y in (x, -x)]
    for heard in HEARING:
        if heard not in tried:
            tried[heard] = PrivateSources(edges, like, heard)
        if all(_close(_now(tried[heard], layer, *given, edges), expected) for *given, expected in trials):
            return tried[heard]
    raise _refusal(f"{type(layer.conv).__name__}, or what follows it, reads more than a node and its neighbours")


def _now(graph: PrivateSources, layer: Layer, nodes: Tensor, x: Tensor, edges: Edges) -> Tensor:
    """What the layer gives where everybody knows what everybody is at."""
    part = graph.incoming(nodes)
    return graph.apply(layer, part, x[nodes], x[part.source], edges.attr)[0]


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
