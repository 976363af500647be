"""Graphs that occur more than once in a dataset, and what that means for its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis._isomorphism import isomorphism_classes
from gnnlab.analysis.ceilings_colours import union_of
from gnnlab.analysis.ceilings_scores import Targets, best_scores, read_targets
from gnnlab.data import GraphStore
from gnnlab.errors import ConfigError

__all__ = ["Duplicates", "NoiseFloor", "isomorphic_duplicates", "label_noise_floor"]

_CLOSE = 1e-6
"""Labels closer than this, relative to the larger (or 1), are one label: rounding of float32."""


@dataclass(frozen=True)
class Duplicates:
    """Classes of isomorphic graphs.

    Args:
        classes: [G] long, numbers from 0; graphs have the same one exactly if they were shown to be isomorphic.
        undecided: [G] bool, graphs that might be isomorphic to one of another class: the search gave up.
    """

    classes: Tensor
    undecided: Tensor

    @property
    def distinct(self) -> int:
        """How many different graphs there are."""
        return int(self.classes.max()) + 1 if self.classes.numel() else 0

    @property
    def twin(self) -> Tensor:
        """[G] bool, whether there is another graph like this one."""
        return torch.bincount(self.classes)[self.classes] > 1

    @property
    def first(self) -> Tensor:
        """[distinct] long, the first graph of every class: ``store.subset(found.first)`` has no duplicates."""
        place = torch.arange(self.classes.numel(), device=self.classes.device)
        first = torch.full((self.distinct,), place.numel(), device=place.device)
        return first.scatter_reduce_(0, self.classes, place, "amin").sort().values


@dataclass(frozen=True)
class NoiseFloor:
    """What any function of the graph can reach on graphs of which some are the same.

    Args:
        graphs: How many graphs there are.
        duplicates: Graphs that have an isomorphic twin among them.
        conflicting: Graphs with a twin of another label.
        undecided: Graphs whose twins are not all known; they count as different.
        accuracy: Best share of right labels, averaged over the columns of a multilabel task; ``None`` for regression.
        mae: Least mean absolute error; ``None`` for classification.
        rmse: Least root mean square error, likewise.
        tested: Test graphs; ``None`` without splits ``train`` and ``test``.
        leaked: Test graphs that have a twin in the training split.
    """

    graphs: int
    duplicates: int
    conflicting: int
    undecided: int
    accuracy: float | None = None
    mae: float | None = None
    rmse: float | None = None
    tested: int | None = None
    leaked: int | None = None


@torch.no_grad()
def isomorphic_duplicates(
    data: GraphStore | Data,
    *,
    node_features: bool = True,
    edge_features: bool = True,
    max_work: int = 2**24,
    track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter,
) -> Duplicates:
    r"""Which graphs of a dataset are the same graph with its nodes numbered otherwise.

    Ivanov, Sviridov and Burnaev, "Understanding Isomorphism Bias in Graph Data Sets" (arXiv 1910.12091): benchmarks
    hold many duplicates, some with different labels, some in training and test. Graphs are the same if a bijection of
    their nodes keeps edges (direction and multiplicity included), ``x`` and ``edge_attr``.

    Exact: stable colours (1-WL) tell most graphs apart; where they do not, nodes are told apart one by one and all
    graphs refined together, which proves isomorphism when every node has a colour of its own. What is left is searched
    with a bounded number of partial maps, so the work is bounded too, and the same on every machine: pairs that are too
    hard (large graphs of high symmetry, made to resist colour refinement) are ``undecided``, and count as different.

    Cost: a few rounds of colour refinement of all graphs, :math:`O(E \log E)` each and about 50 bytes per edge, then
    of those alone that have equal colours. A dataset of one graph costs next to nothing.

    Args:
        data: A store, or a graph or batch.
        node_features: Whether ``x`` has to agree.
        edge_features: Whether ``edge_attr`` has to agree.
        max_work: Nodes and edges of all partial maps that are looked at, about a minute's work by default.
        track: Wraps the chunks of the search, for a progress bar.

    Raises:
        GraphError: features that are not numbers.

    Example:
        >>> ring = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> other = torch.tensor([0, 2, 1, 3])[ring]
        >>> star = torch.tensor([[0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0]])
        >>> graphs = [Data(edge_index=edges, num_nodes=4) for edges in (ring, star, other)]
        >>> found = isomorphic_duplicates(GraphStore.from_data_list(graphs))
        >>> found.classes.tolist(), found.distinct, found.first.tolist()
        ([0, 1, 0], 2, [0, 1])
    """
    store = data if isinstance(data, GraphStore) else _as_store(data)
    if len(store) < 2:
        none = torch.zeros(len(store), dtype=torch.long, device=store.device)
        return Duplicates(none, none.bool())
    found = isomorphism_classes(union_of(store, node_features, edge_features), max_work, track)
    return Duplicates(found.classes, found.undecided)


def label_noise_floor(store: GraphStore, duplicates: Duplicates | None = None) -> NoiseFloor:
    """What the labels of isomorphic graphs allow.

    A function of the graph gives one answer to all graphs of a class, so its best answers are majorities (medians and
    means for numbers): no model, however expressive, does better on these graphs.

    Args:
        store: Graphs with a column ``y`` of graphs; splits ``train`` and ``test`` are compared where it has them.
        duplicates: Of these graphs, if known; by default those with the same features.

    Raises:
        DataError: no labels.
        ConfigError: targets that are not of graphs, or ``duplicates`` of other graphs.

    Example:
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> graphs = [Data(edge_index=edges, num_nodes=2, y=torch.tensor([label])) for label in (0, 0, 1)]
        >>> floor = label_noise_floor(GraphStore.from_data_list(graphs))
        >>> floor.duplicates, floor.conflicting, round(floor.accuracy, 4)
        (3, 3, 0.6667)
    """
    targets = read_targets(store)
    if targets.level != "graph":
        raise ConfigError("duplicates of graphs say nothing about labels of nodes", where="label_noise_floor")
    found = isomorphic_duplicates(store) if duplicates is None else duplicates
    if found.classes.numel() != len(store):
        count = found.classes.numel()
        raise ConfigError(f"duplicates of {count} graphs for {len(store)} graphs", where="label_noise_floor")
    return NoiseFloor(
        len(store),
        int(found.twin.sum()),
        int(_conflicting(found.classes, targets).sum()),
        int(found.undecided.sum()),
        **best_scores(found.classes, targets),
        **_leaks(store, found.classes),
    )


def _as_store(data: Data) -> GraphStore:
    graphs = data.to_data_list() if hasattr(data, "to_data_list") else [data]
    return GraphStore.from_data_list(graphs)


def _conflicting(classes: Tensor, targets: Targets) -> Tensor:
    """[G] bool, graphs of classes that hold two labels of one target."""
    torn = torch.zeros(int(classes.max()) + 1 if classes.numel() else 0, dtype=torch.bool, device=classes.device)
    for values, known in zip(targets.values.unbind(1), targets.known.unbind(1), strict=True):
        owner, values = classes[known], values[known]
        low, high = (
            torch.zeros_like(torn, dtype=torch.float64).scatter_reduce_(0, owner, values, side, include_self=False)
            for side in ("amin", "amax")
        )
        torn |= high - low > _CLOSE * torch.maximum(high.abs(), low.abs()).clamp(min=1)
    return torn[classes]


def _leaks(store: GraphStore, classes: Tensor) -> dict[str, int]:
    train, test = (store.splits.get(name) for name in ("train", "test"))
    if train is None or test is None:
        return {}
    train, test = train.to(classes.device), test.to(classes.device)
    return {"tested": test.numel(), "leaked": int(torch.isin(classes[test], classes[train]).sum())}
