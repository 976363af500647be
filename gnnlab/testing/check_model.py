"""The properties every model must have, checked on anybody's model."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.ops import CSR
from gnnlab.testing._properties import DEGENERATE, finite, identical, name_of, require, run_checks, same
from gnnlab.testing._transform_views import renumber
from gnnlab.typing import TaskLevel

__all__ = ["check_model"]

_LEVELS = ("graph", "node", "link")
_ONE_BY_ONE = ((7, 15), (1, 0), (5, 9), (3, 0))


@dataclass(frozen=True)
class _Subject:
    """The model under test: builds it, draws graphs for it, runs it."""

    factory: Callable[[int], nn.Module]
    out_channels: int
    level: TaskLevel
    make_graph: Callable[[int, Tensor, Generator], Data]
    transform: Callable[[Data], Data] | None
    invariant: bool
    differentiable: bool
    reads: Sequence[str]
    unused: Sequence[str]
    empty: bool
    rtol: float
    atol: float

    def build(self, training: bool = False) -> nn.Module:
        """A model off its initial values, among which zeros would hide what is wrong elsewhere."""
        model = self.factory(self.out_channels).double().train(training)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return model

    def raw(self, num_nodes: int, edges: int | list[tuple[int, int]]) -> Data:
        if isinstance(edges, int):
            edge_index = torch.randint(max(num_nodes, 1), (2, edges))
        else:
            edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t().contiguous()
        return self.make_graph(num_nodes, edge_index, Generator().manual_seed(int(torch.randint(2**31, ()))))

    def prepared(self, data: Data) -> Data:
        """What the model is called with: the transform's result, in double precision."""
        data = data if self.transform is None else self.transform(data)
        return data.apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)

    def graph(self, num_nodes: int, edges: int | list[tuple[int, int]]) -> Data:
        return self.prepared(self.raw(num_nodes, edges))

    def several(self) -> list[Data]:
        """Graphs before the transform, large and small."""
        sizes = (*_ONE_BY_ONE[:2], (0, 0), *_ONE_BY_ONE[2:]) if self.empty else _ONE_BY_ONE
        return [self.raw(n, e) for n, e in sizes]

    def union(self, graphs: list[Data]) -> Batch:
        return self.prepared(Batch.from_data_list(graphs))

    def leaves(self, data: Data) -> dict[str, Tensor]:
        """The features of a batch, made to record gradients."""
        leaves = {}
        for name in self.reads:
            value = data.get(name)
            if value is not None and value.is_floating_point():
                data[name] = leaves[name] = value.detach().requires_grad_()
        return leaves

    def rows(self, num_graphs: int, num_nodes: int) -> int:
        return num_graphs if self.level == "graph" else num_nodes

    def follows(self, out: Tensor, order: Tensor) -> Tensor:
        """What an output becomes where node ``order[i]`` becomes node i."""
        return out if self.level == "graph" else out[order]

    def same(self, actual: Tensor, expected: Tensor, message: str) -> None:
        same(actual, expected, message, self.rtol, self.atol)


def check_model(
    factory: Callable[[int], nn.Module],
    *,
    level: TaskLevel = "graph",
    in_channels: int | None = 4,
    edge_channels: int | None = None,
    make_graph: Callable[[int, Tensor, Generator], Data] | None = None,
    transform: Callable[[Data], Data] | None = None,
    invariant: bool = True,
    differentiable: bool = True,
    reads: Sequence[str] = ("x", "edge_attr"),
    unused: Sequence[str] = (),
    empty: bool = True,
    out_channels: int = 3,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
) -> None:
    """Prove on random float64 graphs that a model, called ``model(batch)``, is a correct model of graphs.

    Checked are: output shape; inputs are not altered; degenerate graphs (no nodes, one node, no edges,
    self-loops, duplicate edges, disconnected), alone and in a batch, give finite values and gradients; the numbering
    of the nodes makes no difference to the prediction for a graph, and those for nodes follow it; the order of edges
    makes none; a batch gives what its graphs give one by one, also with its adjacency ``adj`` ready; gradients reach
    every parameter and every feature, and are right (numerically); determinism;
    ``state_dict`` round trip; ``copy.deepcopy`` and ``pickle`` after a step of training; and ``reset_parameters``,
    where there is one, forgets nothing. Comparisons run in evaluation mode; determinism, degenerate graphs in a batch
    and what gradients reach also in training mode. The global random state is left as it was.

    Args:
        factory: Builds the model from out_channels. Parameters are moved a little off their initial values.
        level: What a prediction is made for: ``graph``, ``node``, or ``link`` (node embeddings).
        in_channels: Width of ``x``, standard normal; ``None`` for a model that reads none.
        edge_channels: Width of ``edge_attr``, likewise.
        make_graph: What makes a graph of (num_nodes, edge_index, generator) instead, with the attributes the model
            reads. It may add or drop edges.
        transform: Applied to every graph and batch before the model sees it: any :class:`gnnlab.transform.Transform`.
        invariant: Whether the numbering of the nodes makes no difference; ``False`` for models and transforms that
            follow it.
        differentiable: Whether an evaluation is differentiable; ``False`` for models that choose, where the numerical
            comparison is left out.
        reads: Attributes that gradients must reach, where they are there and floating-point.
        unused: Parameters that no gradient reaches (``*`` stands for anything), such as those of the edge states of a
            last layer, which nobody reads; it is an error if one does.
        empty: Whether graphs without nodes are allowed.
        out_channels: Width of the output.
        rtol: Relative tolerance where different inputs are compared, to be raised for solvers and for transforms that
            give single precision.
        atol: Absolute tolerance, likewise.
        seed: Seed of the graphs and the weights.

    Raises:
        AssertionError: names the first property that does not hold.
        ConfigError: an unknown level.

    Example:
        >>> from functools import partial
        >>> from gnnlab.nn import GNN, GINEConv
        >>> check_model(partial(GNN, hidden_channels=4, num_layers=2, conv=GINEConv, in_channels=4), edge_channels=4)
    """
    if level not in _LEVELS:
        raise ConfigError(f"unknown level {level!r}", where="check_model", hint=nearest(str(level), _LEVELS))

    def features(num_nodes: int, edge_index: Tensor, generator: Generator) -> Data:
        data = Data(edge_index=edge_index, num_nodes=num_nodes)
        rows = {"x": (num_nodes, in_channels), "edge_attr": (edge_index.size(1), edge_channels)}
        for name, shape in rows.items():
            if shape[1] is not None:
                data[name] = torch.randn(shape, dtype=torch.double, generator=generator)
        return data

    subject = _Subject(
        factory=factory,
        out_channels=out_channels,
        level=level,
        make_graph=features if make_graph is None else make_graph,
        transform=transform,
        invariant=invariant,
        differentiable=differentiable,
        reads=reads,
        unused=unused,
        empty=empty,
        rtol=rtol,
        atol=atol,
    )
    run_checks(_CHECKS, subject, name_of(factory), seed)


def _output_shape(subject: _Subject) -> None:
    model, graphs = subject.build(), subject.several()
    for data, count in ((subject.prepared(graphs[0]), 1), (subject.union(graphs), len(graphs))):
        out, expected = model(data), [subject.rows(count, data.num_nodes), subject.out_channels]
        found = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
        require(found == expected, f"expected predictions {expected} for {count} graphs, got {found}")


def _inputs_unaltered(subject: _Subject) -> None:
    for training in (False, True):
        model = subject.build(training)
        data = subject.union(subject.several())
        before = {name: value.clone() for name, value in _tensors(data).items()}
        model(data).sum().backward()
        after = _tensors(data)
        require(after.keys() == before.keys(), f"the model adds or removes {sorted(after.keys() ^ before.keys())}")
        for name, value in after.items():
            unchanged = value.shape == before[name].shape and torch.equal(value, before[name])
            require(unchanged, f"the model writes into '{name}'")


def _degenerate_graphs(subject: _Subject) -> None:
    cases = {name: case for name, case in DEGENERATE.items() if subject.empty or case[0]}
    graphs = {name: subject.raw(*case) for name, case in cases.items()}
    model, learning = subject.build(), subject.build(training=True)
    for name, graph in graphs.items():
        _finite(subject, name, model, subject.prepared(graph))
    for run in (model, learning):
        mode = "training" if run.training else "evaluation"
        _finite(subject, f"all of them in a batch, in {mode}", run, subject.union(list(graphs.values())))


def _finite(subject: _Subject, case: str, model: nn.Module, data: Data) -> None:
    leaves = subject.leaves(data)
    try:
        out = model(data)
        model.zero_grad()
        out.sum().backward()
    except Exception as error:
        raise AssertionError(f"{case}: raised {error!r}") from error
    require(finite(out), f"{case}: the prediction is not finite")
    for name, tensor in (*leaves.items(), *model.named_parameters()):
        require(finite(tensor.grad), f"{case}: the gradient of '{name}' is not finite")


def _permutation(subject: _Subject) -> None:
    if not subject.invariant:
        return
    model, graph = subject.build(), subject.raw(9, 25)
    order = torch.randperm(9)
    out, moved = (_predicted(model, subject.prepared(data)) for data in (graph, renumber(graph, order)))
    what = "changes the prediction" if subject.level == "graph" else "does more than renumber the predictions"
    subject.same(moved, subject.follows(out, order), f"renumbering the nodes {what}")


def _edge_order(subject: _Subject) -> None:
    model, graph = subject.build(), subject.raw(9, 25)
    order, moved = torch.randperm(graph.num_edges), graph.clone()
    moved.edge_index = graph.edge_index[:, order]
    for name, value in _tensors(graph).items():
        if name.startswith("edge_") and name != "edge_index":
            moved[name] = value[order]
    out, moved = (_predicted(model, subject.prepared(data)) for data in (graph, moved))
    subject.same(moved, out, "reordering the edges changes the prediction")


def _batch_equals_single(subject: _Subject) -> None:
    model, graphs = subject.build(), subject.several()
    alone, batch = [_predicted(model, subject.prepared(graph)) for graph in graphs], subject.union(graphs)
    alone = torch.cat(alone)
    subject.same(_predicted(model, batch), alone, "the other graphs of a batch change a graph's prediction")
    batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    subject.same(_predicted(model, batch), alone, "a batch with its adjacency 'adj' gives another prediction")


def _gradients(subject: _Subject) -> None:
    model, data = subject.build(training=True), subject.union([subject.raw(7, 18), subject.raw(6, 14)])
    leaves = subject.leaves(data)
    out = model(data)
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in subject.unused):
            require(parameter.grad is None, f"a gradient reaches '{name}', which is said to be unused")
        else:
            require(not parameter.requires_grad or parameter.grad is not None, f"no gradient reaches '{name}'")
    for name, leaf in leaves.items():
        require(leaf.grad is not None, f"no gradient reaches '{name}'")
        require(bool(leaf.grad.any()), f"the gradient of '{name}' is zero")
    if subject.differentiable:
        parameters = {name: p for name, p in model.named_parameters() if p.grad is not None}
        _numerically(model.eval(), data, leaves, parameters)


def _numerically(model: nn.Module, data: Data, leaves: dict[str, Tensor], parameters: dict[str, nn.Parameter]) -> None:
    """Along one direction in every tensor at once, so that the number of parameters costs nothing."""
    values = {name: value.detach() for name, value in (*leaves.items(), *parameters.items())}
    directions = {name: torch.randn_like(value) for name, value in values.items()}

    def forward(steps: Tensor) -> Tensor:
        given = {n: values[n] + step * directions[n] for n, step in zip(values, steps, strict=True)}
        changed = data.clone()
        for name in leaves:
            changed[name] = given[name]
        return functional_call(model, {name: given[name] for name in parameters}, (changed,))

    steps = torch.zeros(len(values), dtype=torch.double, requires_grad=True)
    torch.autograd.gradcheck(forward, steps, rtol=1e-4, fast_mode=True)


def _determinism(subject: _Subject) -> None:
    model, data, other = subject.build(), subject.graph(7, 15), subject.graph(4, 6)
    first = model(data)
    model(other)
    identical((first,), (model(data),), "the same call gives another result, or earlier calls matter")
    subject.same(_predicted(model, data), first, "without gradients the result is another")
    model.train()
    torch.manual_seed(1)
    first = model(data)
    torch.manual_seed(1)
    identical((first,), (model(data),), "training mode with the same seed gives another result")


def _state_dict(subject: _Subject) -> None:
    model, twin, data = subject.build(training=True), subject.build(), subject.graph(7, 15)
    model(data)
    twin.load_state_dict(model.state_dict(), strict=True)
    message = "a second instance loaded with the state_dict gives another result"
    identical((model.eval()(data),), (twin(data),), message)


def _copies(subject: _Subject) -> None:
    model, data = subject.build(training=True), subject.graph(7, 15)
    out = model(data)
    out.sum().backward()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        identical((model.eval()(data),), (twin.eval()(data),), "a copy gives another result")


def _reset(subject: _Subject) -> None:
    model = subject.build()
    if not hasattr(model, "reset_parameters"):
        return
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    model.reset_parameters()
    for name, parameter in model.named_parameters():
        require(finite(parameter), f"reset_parameters leaves '{name}' as it is")


# Order matters: a model that writes into its inputs or divides by zero would fail the later checks too.
_CHECKS: dict[str, Callable[[_Subject], None]] = {
    "output shape": _output_shape,
    "inputs unaltered": _inputs_unaltered,
    "degenerate graphs": _degenerate_graphs,
    "permutation": _permutation,
    "edge order invariance": _edge_order,
    "batch equals single": _batch_equals_single,
    "gradients": _gradients,
    "determinism": _determinism,
    "state_dict round trip": _state_dict,
    "copies": _copies,
    "reset_parameters": _reset,
}


@torch.no_grad()
def _predicted(model: nn.Module, data: Data) -> Tensor:
    return model(data)


def _tensors(data: Data) -> dict[str, Tensor]:
    return {name: value for name, value in data.to_dict().items() if isinstance(value, Tensor)}
