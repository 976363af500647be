"""The properties every message-passing layer must have, checked on anybody's layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gnnlab.errors import ConfigError
from gnnlab.ops import CSR
from gnnlab.testing._properties import DEGENERATE, finite, identical, name_of, require, run_checks, same

__all__ = ["check_conv"]


@dataclass(frozen=True)
class _Graph:
    x: Tensor
    edge_index: Tensor
    edge_attr: Tensor | None
    edge_type: Tensor | None = None
    ptr: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        return self.x.size(0)

    @property
    def num_edges(self) -> int:
        return self.edge_index.size(1)


@dataclass(frozen=True)
class _Subject:
    """The layer under test: builds it, draws graphs for it, runs it."""

    factory: Callable[[int, int], nn.Module]
    in_channels: int
    out_channels: int
    edge_dim: int | None
    num_relations: int | None = None

    @cached_property
    def takes_ptr(self) -> bool:
        """Whether the layer asks which nodes belong to one graph."""
        with torch.random.fork_rng(devices=[]):
            return "ptr" in inspect.signature(self.build().forward).parameters

    def build(self) -> nn.Module:
        return self.factory(self.in_channels, self.out_channels).double().eval()

    def graph(self, num_nodes: int, edges: int | list[tuple[int, int]]) -> _Graph:
        if isinstance(edges, int):
            edge_index = torch.randint(num_nodes, (2, edges))
        else:
            edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t().contiguous()
        width = self.edge_dim
        edge_attr = None if width is None else torch.randn(edge_index.size(1), width, dtype=torch.double)
        relations = self.num_relations
        edge_type = None if relations is None else torch.randint(relations, (edge_index.size(1),))
        return _Graph(torch.randn(num_nodes, self.in_channels, dtype=torch.double), edge_index, edge_attr, edge_type)

    def run(self, conv: Callable[..., object], graph: _Graph, adj: CSR | None = None) -> tuple[Tensor, Tensor | None]:
        data = {"edge_attr": graph.edge_attr, "edge_type": graph.edge_type}
        known = {name: value for name, value in data.items() if value is not None}
        if self.takes_ptr:
            known["ptr"] = torch.tensor([0, graph.num_nodes]) if graph.ptr is None else graph.ptr
        out = conv(graph.x, graph.edge_index if adj is None else adj, **known)
        return out if isinstance(out, tuple) else (out, None)


def check_conv(
    factory: Callable[[int, int], nn.Module],
    *,
    edge_dim: int | None = None,
    num_relations: int | None = None,
    in_channels: int = 4,
    out_channels: int = 6,
    seed: int = 0,
) -> None:
    """Prove on random float64 graphs that a layer is a correct message-passing layer.

    Checked are: output shape; inputs are not altered; degenerate graphs (no nodes, one node, no edges,
    self-loops, duplicate edges, disconnected) give finite values and gradients; permutation equivariance;
    invariance to the order of edges; a batch gives what its graphs give one by one; a CSR gives what
    ``edge_index`` gives (if ``forward`` has an argument ``adj``); edge types (if there are relations) make a
    difference, each time those that are given; gradients (numerically, for inputs and parameters, and none
    missing); determinism; ``state_dict`` round trip. Comparisons run in evaluation
    mode, determinism also in training mode. The global random state is left as it was.

    Args:
        factory: Builds the layer from (in_channels, out_channels). The layer is called
            ``conv(x, edge_index)``, with ``edge_attr=`` if ``edge_dim`` is given and with ``edge_type=`` if
            ``num_relations`` is; it may return edge states beside the node states. If its ``forward`` has an
            argument ``ptr``, it gets the first node of every graph.
        edge_dim: Width of the edge features the layer takes; ``None`` for none.
        num_relations: Number of edge types the layer tells apart, at least 2; ``None`` for a layer that takes
            none.
        in_channels: Width of the input.
        out_channels: Width of the output.
        seed: Seed of the graphs and the weights.

    Raises:
        AssertionError: names the first property that does not hold.
        ConfigError: a single relation, which cannot be told from another.

    Example:
        >>> from torch_geometric.nn import SAGEConv
        >>> check_conv(SAGEConv)
    """
    if num_relations is not None and num_relations < 2:
        raise ConfigError(f"num_relations must be at least 2 (or None), got {num_relations}", where="check_conv")
    subject = _Subject(factory, in_channels, out_channels, edge_dim, num_relations)
    run_checks(_CHECKS, subject, name_of(factory), seed)


def _output_shape(subject: _Subject) -> None:
    graph = subject.graph(7, 15)
    x, edges = subject.run(subject.build(), graph)
    expected = [7, subject.out_channels]
    require(list(x.shape) == expected, f"expected node states {expected}, got {list(x.shape)}")
    require(edges is None or edges.size(0) == 15, "expected one edge state per edge")


def _permutation_equivariance(subject: _Subject) -> None:
    conv, graph = subject.build(), subject.graph(9, 25)
    order = torch.randperm(9)
    moved = replace(graph, x=graph.x[order], edge_index=order.argsort()[graph.edge_index])
    (x, edges), (x_moved, edges_moved) = subject.run(conv, graph), subject.run(conv, moved)
    same(x_moved, x[order], "renumbering the nodes changes the node states")
    same(edges_moved, edges, "renumbering the nodes changes the edge states")


def _edge_order(subject: _Subject) -> None:
    conv, graph = subject.build(), subject.graph(9, 25)
    order = torch.randperm(25)
    moved = replace(graph, edge_index=graph.edge_index[:, order], **_edge_data(graph, lambda rows: rows[order]))
    (x, edges), (x_moved, edges_moved) = subject.run(conv, graph), subject.run(conv, moved)
    same(x_moved, x, "reordering the edges changes the node states")
    same(edges_moved, None if edges is None else edges[order], "edge states do not follow the order of edges")


def _batch_equals_single(subject: _Subject) -> None:
    conv, graphs = subject.build(), [subject.graph(n, e) for n, e in ((5, 9), (1, 0), (7, 16), (3, 0))]
    starts = [0, 5, 6, 13]
    ptr = torch.tensor([*starts, 16])
    edge_index = torch.cat([g.edge_index + start for g, start in zip(graphs, starts, strict=True)], dim=1)
    columns = {name: torch.cat([getattr(g, name) for g in graphs]) for name in _edge_data(graphs[0])}
    together = subject.run(
        conv, replace(graphs[0], x=torch.cat([g.x for g in graphs]), edge_index=edge_index, ptr=ptr, **columns)
    )
    alone = [subject.run(conv, graph) for graph in graphs]
    for part, kind in enumerate(("node", "edge")):
        single = None if together[part] is None else torch.cat([out[part] for out in alone])
        same(together[part], single, f"the other graphs of a batch change a graph's {kind} states")


def _csr_equals_edge_index(subject: _Subject) -> None:
    conv, graph = subject.build(), subject.graph(9, 25)
    if "adj" not in inspect.signature(conv.forward).parameters:
        return
    plain, sparse = subject.run(conv, graph), subject.run(conv, graph, CSR.from_edge_index(graph.edge_index, 9))
    for part, kind in enumerate(("node", "edge")):
        same(sparse[part], plain[part], f"a CSR and its edge_index give different {kind} states")


def _edge_types(subject: _Subject) -> None:
    if subject.num_relations is None:
        return
    conv, graph = subject.build(), subject.graph(9, 25)
    csr = "adj" in inspect.signature(conv.forward).parameters
    adj = CSR.from_edge_index(graph.edge_index, 9) if csr else None
    other = replace(graph, edge_type=(graph.edge_type + 1) % subject.num_relations)
    before, after = (subject.run(conv, g, adj)[0] for g in (graph, other))
    require(not torch.allclose(before, after), "other edge types do not change the node states")
    same(after, subject.run(conv, other)[0], "the types of an earlier call are used again with the same adjacency")
    graph.edge_type.copy_(other.edge_type)
    same(subject.run(conv, graph, adj)[0], after, "types that were changed in place are not noticed")


def _gradients(subject: _Subject) -> None:
    conv, graph = subject.build(), subject.graph(6, 14)
    parameters = {name: p.detach().requires_grad_() for name, p in conv.named_parameters() if p.requires_grad}
    inputs = {"x": graph.x.requires_grad_()}
    if graph.edge_attr is not None:
        inputs["edge_attr"] = graph.edge_attr.requires_grad_()
    names = [*inputs, *parameters]

    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, tensors, strict=True))
        weights = {name: given[name] for name in parameters}
        changed = replace(graph, **{name: given[name] for name in inputs})

        def call(*args: Tensor, **known: Tensor) -> object:
            return functional_call(conv, weights, args, known)

        return tuple(out for out in subject.run(call, changed) if out is not None)

    tensors = (*inputs.values(), *parameters.values())
    loss = sum((out * torch.randn_like(out)).sum() for out in forward(*tensors))
    require(loss.requires_grad, "the output does not depend on the inputs or parameters")
    for name, grad in zip(names, torch.autograd.grad(loss, tensors, allow_unused=True), strict=True):
        require(grad is not None, f"no gradient reaches '{name}'")
        require(name not in inputs or bool(grad.any()), f"the gradient of '{name}' is zero")
    torch.autograd.gradcheck(forward, tensors, fast_mode=True)


def _degenerate_graphs(subject: _Subject) -> None:
    conv = subject.build()
    for name, (num_nodes, edges) in DEGENERATE.items():
        graph = subject.graph(num_nodes, edges)
        graph.x.requires_grad_()
        try:
            outputs = subject.run(conv, graph)
            sum(out.sum() for out in outputs if out is not None).backward()
        except Exception as error:
            raise AssertionError(f"{name}: raised {error!r}") from error
        for out, rows in zip(outputs, (num_nodes, len(edges)), strict=True):
            require(out is None or out.size(0) == rows, f"{name}: expected {rows} rows")
            require(finite(out), f"{name}: the output is not finite")
        require(finite(graph.x.grad), f"{name}: the gradient is not finite")


def _inputs_unaltered(subject: _Subject) -> None:
    conv, graph = subject.build(), subject.graph(7, 15)
    before = {name: None if t is None else t.clone() for name, t in vars(graph).items()}
    subject.run(conv, graph)
    subject.run(conv.train(), graph)
    for name, tensor in vars(graph).items():
        require(tensor is None or torch.equal(tensor, before[name]), f"the layer writes into '{name}'")


def _determinism(subject: _Subject) -> None:
    conv, graph, other = subject.build(), subject.graph(7, 15), subject.graph(4, 6)
    first = subject.run(conv, graph)
    subject.run(conv, other)
    identical(first, subject.run(conv, graph), "the same call gives another result, or earlier calls matter")
    conv.train()
    torch.manual_seed(1)
    first = subject.run(conv, graph)
    torch.manual_seed(1)
    identical(first, subject.run(conv, graph), "training mode with the same seed gives another result")


def _state_dict(subject: _Subject) -> None:
    conv, twin, graph = subject.build(), subject.build(), subject.graph(7, 15)
    subject.run(conv.train(), graph)
    twin.load_state_dict(conv.state_dict(), strict=True)
    message = "a second instance loaded with the state_dict gives another result"
    identical(subject.run(conv.eval(), graph), subject.run(twin, graph), message)


# Order matters: a layer that writes into its inputs or divides by zero would fail the later checks too.
_CHECKS: dict[str, Callable[[_Subject], None]] = {
    "output shape": _output_shape,
    "inputs unaltered": _inputs_unaltered,
    "degenerate graphs": _degenerate_graphs,
    "permutation equivariance": _permutation_equivariance,
    "edge order invariance": _edge_order,
    "batch equals single": _batch_equals_single,
    "CSR equals edge_index": _csr_equals_edge_index,
    "edge types": _edge_types,
    "gradients": _gradients,
    "determinism": _determinism,
    "state_dict round trip": _state_dict,
}


def _edge_data(graph: _Graph, function: Callable[[Tensor], Tensor] = lambda rows: rows) -> dict[str, Tensor]:
    """What there is one row per edge of, each through ``function``."""
    columns = {"edge_attr": graph.edge_attr, "edge_type": graph.edge_type}
    return {name: function(rows) for name, rows in columns.items() if rows is not None}
