"""The properties every transform must have, checked on anybody's transform."""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.ops import expand_ptr
from gnnlab.testing._properties import require
from gnnlab.testing._transform_views import View, batch_views, renumber, view
from gnnlab.transform import Compose, Transform, graph_ptr

__all__ = ["check_transform"]


def check_transform(transform: Transform, *, atol: float = 1e-5, seed: int = 0) -> None:
    """Prove on small random graphs that a transform keeps the contract of :class:`gnnlab.transform.Transform`.

    Checked are: a frozen dataclass; the input and the global random states are left as they were; the same
    bytes for the same input, whatever ran before; a batch gives what its graphs give one by one;
    permutation equivariance; degenerate graphs (no nodes, one node, no edges, self-loops, duplicate edges,
    directed, disconnected) alone and in a batch; targets survive; nodes keep their numbers, and added ones come
    at the end of their graph, marked by ``node_type``, unlabelled and in no split; pickling; a key that depends on
    the configuration alone. The class says by its attribute ``equivariance`` how results follow a renumbering
    of the nodes, and a batch its graphs: ``"exact"`` (assumed if it says nothing); ``"up to sign"`` of a
    column in a graph; ``"up to basis"``, where columns V may be mixed and V V^T is compared; ``"up to ties"``
    where equal candidates are told apart by the numbering of the nodes (a batch still gives what its graphs
    give); ``"none"`` for transforms that draw at random (then both are skipped).

    Args:
        transform: The transform under test.
        atol: Absolute tolerance of the comparisons between different inputs.
        seed: Seed of the graphs.

    Raises:
        AssertionError: names the first property that does not hold.

    Example:
        >>> from gnnlab.encodings import RandomWalkPE
        >>> check_transform(RandomWalkPE(walk_length=4))
    """
    for name, check in _CHECKS.items():
        generator = torch.Generator().manual_seed(seed)
        state = _random_states()
        try:
            check(transform, generator, atol)
        except AssertionError as error:
            raise AssertionError(f"{type(transform).__name__}: {name}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{type(transform).__name__}: {name}: raised {error!r}") from error
        finally:
            _restore(state)


def _frozen(transform: Transform, generator: torch.Generator, atol: float) -> None:
    require(isinstance(transform, Transform), "does not derive from gnnlab.transform.Transform")
    parameters = getattr(type(transform), "__dataclass_params__", None)
    own = "__dataclass_params__" in vars(type(transform))
    require(own and parameters.frozen, "the class is not decorated with @dataclass(frozen=True)")
    known = _equivariance(transform)
    require(known in _LEVELS, f"unknown equivariance {known!r}; known: {', '.join(_LEVELS)}")


def _purity(transform: Transform, generator: torch.Generator, atol: float) -> None:
    for data in (_graph(8, 13, generator), _batch(generator)):
        before, state = data.clone(), _random_states()
        transform(data)
        require(_same_states(state, _random_states()), "touches the global random state")
        require(set(data.keys()) == set(before.keys()), "adds attributes to, or removes them from, its input")
        for key, value in before.to_dict().items():
            require(_identical(data[key], value), f"writes into '{key}' of its input")


def _determinism(transform: Transform, generator: torch.Generator, atol: float) -> None:
    data, other = _batch(generator), _graph(6, 9, generator)
    torch.manual_seed(1)
    first = transform(data).to_dict()
    torch.manual_seed(2)
    transform(other)
    second = transform(data).to_dict()
    require(set(first) == set(second), "the same input gives other attributes the second time")
    for key, value in first.items():
        require(_identical(second[key], value), f"the same input gives another '{key}' the second time")


def _batch_equals_single(transform: Transform, generator: torch.Generator, atol: float) -> None:
    if _equivariance(transform) == "none":
        return
    graphs = [_graph(n, m, generator) for n, m in ((7, 12), (9, 17), (3, 2), (8, 11))]
    together = batch_views(transform(Batch.from_data_list(graphs)))
    for graph, got in zip(graphs, together, strict=True):
        _compare(transform, got, view(transform(graph)), atol, "differs in a batch")


def _permutation(transform: Transform, generator: torch.Generator, atol: float) -> None:
    if _equivariance(transform) in ("up to ties", "none"):
        return
    for num_nodes, num_edges in ((9, 17), (12, 25)):
        data = _graph(num_nodes, num_edges, generator)
        order = torch.randperm(num_nodes, generator=generator)
        moved = view(transform(renumber(data, order)))
        result = transform(data)
        # Nodes that were added follow the ones there were.
        added = torch.arange(num_nodes, result.num_nodes)
        expected = view(renumber(result, torch.cat([order, added])))
        _compare(transform, moved, expected, atol, "does not follow a renumbering of the nodes")


def _degenerate_graphs(transform: Transform, generator: torch.Generator, atol: float) -> None:
    cases = {
        "no nodes": (0, []),
        "one node": (1, []),
        "no edges": (4, []),
        "only self-loops": (3, [(0, 0), (1, 1), (1, 1)]),
        "duplicate edges": (3, [(0, 1), (1, 0), (0, 1), (1, 0)]),
        "directed": (4, [(0, 1), (1, 2), (2, 0), (2, 3)]),
        "disconnected": (5, [(0, 1), (1, 0), (3, 4), (4, 3)]),
    }
    graphs = {}
    for name, (num_nodes, edges) in cases.items():
        edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t().contiguous()
        graphs[name] = _decorate(edge_index, num_nodes, generator)
    graphs["all of them in a batch"] = Batch.from_data_list(list(graphs.values()))
    for name, data in graphs.items():
        try:
            result = transform(data)
        except Exception as error:
            raise AssertionError(f"{name}: raised {error!r}") from error
        for key, value in result.to_dict().items():
            if not isinstance(value, Tensor):
                continue
            require(not value.is_floating_point() or bool(value.isfinite().all()), f"{name}: '{key}' is not finite")
            rows = key in ("x", "pos", "node_type") or key.startswith("pe_")
            require(not rows or value.size(0) == result.num_nodes, f"{name}: '{key}' has not one row per node")
        ends = result.edge_index
        inside = ends.numel() == 0 or (int(ends.min()) >= 0 and int(ends.max()) < result.num_nodes)
        require(inside, f"{name}: an edge leads outside the graph")


def _targets(transform: Transform, generator: torch.Generator, atol: float) -> None:
    data = _batch(generator)
    result = transform(data)
    require("y" in result and _identical(result["y"], data["y"]), "changes or drops the targets 'y'")
    require(type(result) is type(data), f"turns {type(data).__name__} into {type(result).__name__}")


def _nodes(transform: Transform, generator: torch.Generator, atol: float) -> None:
    """Every node keeps its number, its label and its split; what else there is is marked and unlabelled."""
    graphs = [_graph(n, m, generator) for n, m in ((7, 12), (4, 0), (9, 17))]
    for graph in graphs:
        n = graph.num_nodes
        graph.y = torch.randn(n, 2, generator=generator)
        graph.label_mask, graph.number = torch.ones(n, dtype=torch.bool), torch.arange(1, n + 1)
        graph.anchor_index = torch.stack([torch.arange(n), torch.arange(n).flip(0)])
    for data in (*graphs, Batch.from_data_list(graphs)):
        result = transform(data)
        before, after = graph_ptr(data), graph_ptr(result)
        require(int(after[-1]) == result.num_nodes, "'ptr' does not say how many nodes there are")
        require(after.numel() == before.numel(), "changes the number of graphs")
        require(bool((after.diff() >= before.diff()).all()), "removes nodes")
        graph = expand_ptr(before)
        place = torch.arange(graph.numel()) - before[graph] + after[graph]
        new = torch.ones(result.num_nodes, dtype=torch.bool).index_fill_(0, place, False)
        for key in ("y", "label_mask", "number"):
            require(result[key].size(0) == result.num_nodes, f"'{key}' has not one row per node")
            moved = "does not keep the nodes there were at the beginning of their graph, in their order"
            require(_identical(result[key][place], data[key]), f"'{key}' {moved}")
        require(_identical(result.anchor_index, place[data.anchor_index]), "'anchor_index' leads to other nodes")
        batch = result.get("batch")
        require(batch is None or _identical(batch, expand_ptr(after)), "'batch' and 'ptr' contradict each other")
        if not new.any():
            continue
        kind = result.get("node_type")
        require(kind is not None, "adds nodes without 'node_type'")
        require(
            bool(((kind != 0) == new).all()), "'node_type' is not 0 for the nodes there were and another for new ones"
        )
        require(bool(result.y[new].isnan().all()), "labels the nodes it adds")
        require(not bool(result.label_mask[new].any()), "puts the nodes it adds into a split")


def _pickling(transform: Transform, generator: torch.Generator, atol: float) -> None:
    twin, data = pickle.loads(pickle.dumps(transform)), _graph(8, 13, generator)
    require(twin == transform, "the unpickled transform is not equal to the original")
    first, second = transform(data).to_dict(), twin(data).to_dict()
    same = set(first) == set(second) and all(_identical(second[key], value) for key, value in first.items())
    require(same, "the unpickled transform gives another result")


def _key(transform: Transform, generator: torch.Generator, atol: float) -> None:
    before = transform.key()
    text = json.dumps(transform.spec(), default=repr)
    require(" at 0x" not in text, f"the key depends on a memory address: {text}")
    transform(_graph(8, 13, generator))
    require(transform.key() == before, "the key changes when the transform is applied")
    require(dataclasses.replace(transform).key() == before, "an equal transform has another key")
    require(pickle.loads(pickle.dumps(transform)).key() == before, "the key does not survive pickling")


_CHECKS: dict[str, Callable[[Transform, torch.Generator, float], None]] = {
    "frozen dataclass": _frozen,
    "purity": _purity,
    "determinism": _determinism,
    "pickling": _pickling,
    "key stability": _key,
    "targets": _targets,
    "nodes": _nodes,
    "degenerate graphs": _degenerate_graphs,
    "batch equals single": _batch_equals_single,
    "permutation equivariance": _permutation,
}


def _compare(transform: Transform, got: View, expected: View, atol: float, message: str) -> None:
    same = _MODES[_equivariance(transform)]
    require(set(got.nodes) == set(expected.nodes), f"the node attributes: {message}")
    require(set(got.others) == set(expected.others), f"the attributes: {message}")
    for key, value in expected.nodes.items():
        mode = same if value.is_floating_point() else _exact
        require(got.nodes[key].shape == value.shape and mode(got.nodes[key], value, atol), f"'{key}' {message}")
    for key, value in expected.others.items():
        other = got.others[key]
        require(other.shape == value.shape and _exact(other, value, atol), f"'{key}' {message}")


def _exact(got: Tensor, expected: Tensor, atol: float) -> bool:
    return torch.allclose(got.double(), expected.double(), rtol=1e-4, atol=atol)


def _up_to_sign(got: Tensor, expected: Tensor, atol: float) -> bool:
    got, expected = got.double().flatten(1).t(), expected.double().flatten(1).t()
    return all(_exact(a, b, atol) or _exact(a, -b, atol) for a, b in zip(got, expected, strict=True))


def _up_to_basis(got: Tensor, expected: Tensor, atol: float) -> bool:
    got, expected = got.double().flatten(1), expected.double().flatten(1)
    return _exact(got @ got.t(), expected @ expected.t(), atol)


_MODES = {"exact": _exact, "up to sign": _up_to_sign, "up to basis": _up_to_basis, "up to ties": _exact}

_LEVELS = (*_MODES, "none")


def _equivariance(transform: Transform) -> str:
    if isinstance(transform, Compose):  # as weak as its weakest step
        return max(map(_equivariance, transform.transforms), key=_LEVELS.index, default="exact")
    return getattr(transform, "equivariance", "exact")


def _graph(num_nodes: int, num_edges: int, generator: torch.Generator) -> Data:
    """A simple undirected graph: random, hence almost surely connected enough and without symmetry."""
    ends = torch.triu_indices(num_nodes, num_nodes, offset=1)
    ends = ends[:, torch.randperm(ends.size(1), generator=generator)[:num_edges]]
    return _decorate(torch.cat([ends, ends.flip(0)], dim=1), num_nodes, generator)


def _decorate(edge_index: Tensor, num_nodes: int, generator: torch.Generator) -> Data:
    x = torch.randn(num_nodes, 3, generator=generator)
    weight = x[:, 0].sigmoid()
    attr = (weight[edge_index[0]] * weight[edge_index[1]])[:, None]  # the same both ways
    return Data(x=x, edge_index=edge_index, edge_attr=attr, y=torch.randn(1, 2, generator=generator))


def _batch(generator: torch.Generator) -> Batch:
    return Batch.from_data_list([_graph(n, m, generator) for n, m in ((7, 12), (1, 0), (9, 17))])


def _random_states() -> tuple:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def _restore(states: tuple) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])


def _same_states(first: tuple, second: tuple) -> bool:
    arrays = all(np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True))
    return torch.equal(first[0], second[0]) and arrays and first[2] == second[2]


def _identical(first: object, second: object) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        same_kind = first.dtype == second.dtype and first.shape == second.shape
        return same_kind and bool(((first == second) | ((first != first) & (second != second))).all())
    return isinstance(first, Tensor) == isinstance(second, Tensor) and first == second
