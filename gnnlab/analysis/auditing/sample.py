"""Which graphs an audit looks at: a dataset, a split of it, or a sample, and small excerpts for what costs more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.analysis.duplicates import Duplicates, isomorphic_duplicates
from gnnlab.data import GraphStore, load_dataset
from gnnlab.data._columns import Column
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError, nearest
from gnnlab.ops import expand_ptr

__all__ = ["AuditSample", "Excerpt", "audit_sample", "union_of"]


@dataclass(frozen=True)
class Excerpt:
    """A small part of a sample, for measures that cost too much on all of it.

    Args:
        store: The graphs, in the order of the sample.
        index: [G] long, which graphs of the sample they are.
        cut: [G] bool, which of them are only a part of the graph.
        whole: Whether that is all of the sample.
        text: What was taken, as the end of a sentence that begins with "Measured on".
    """

    store: GraphStore
    index: Tensor
    cut: Tensor
    whole: bool
    text: str


@dataclass(frozen=True)
class AuditSample:
    """The graphs an audit looks at.

    Args:
        store: They alone; its splits are those of the dataset, as far as they are among them.
        name: Of the dataset.
        task: What is to be predicted, where that is known.
        available: Graphs there were to choose from.
        split: That they are of; ``None`` for the whole dataset.
        seed: Of the choice, and of everything sections draw.
        index: [G] long, which graphs of the dataset they are.
    """

    store: GraphStore
    name: str
    task: TaskSpec | None
    available: int
    split: str | None
    seed: int
    index: Tensor

    @property
    def level(self) -> str | None:
        """What a target belongs to: ``graph``, ``node`` or ``link``; ``None`` without targets."""
        if self.task is not None:
            return self.task.level
        return self.store.columns["y"].level if "y" in self.store.columns else None

    @property
    def subject(self) -> str:
        """What is looked at, as a sentence."""
        graphs = len(self.store)
        if self.available == 1:
            where = f"; labels of the split {self.split} only" if self.split else ""
            return f"One graph of {self.store.num_nodes:,} nodes{where}."
        where = f"the split {self.split}" if self.split else "the dataset"
        if graphs == self.available:
            return f"All {graphs:,} graphs of {where}."
        return f"{graphs:,} of the {self.available:,} graphs of {where}, drawn at random (seed {self.seed})."

    def duplicates(self, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> Duplicates:
        """Which graphs are copies of each other, features included; found once, whoever asks first."""
        found = self.__dict__.get("_duplicates")
        if found is None:
            found = isomorphic_duplicates(self.store, track=track)
            object.__setattr__(self, "_duplicates", found)
        return found

    def excerpt(self, graphs: int, nodes: int = 20_000) -> Excerpt:
        """At most so many of the graphs, drawn by the seed, none of more than ``nodes`` nodes.

        Of a larger graph the ``nodes`` nodes are taken that a breadth-first search reaches first from a random node of
        its largest component. Inside it is as it was, at its rim edges are missing.
        """
        index = _drawn(len(self.store), graphs, self.seed)
        store = _part(self.store, index)
        large = store.sizes("node") > nodes
        count = int(large.sum())
        if count:
            store = _cut(store, large.nonzero().flatten().tolist(), nodes, self.seed)
        whole = index.numel() == len(self.store) and not count
        return Excerpt(store, index, large, whole, self._excerpt_text(index.numel(), count, nodes))

    def _excerpt_text(self, taken: int, cut: int, nodes: int) -> str:
        ball = f"the {nodes:,} nodes nearest to a random node"
        if len(self.store) == 1:
            return f"{ball} of the graph" if cut else "the whole graph"
        which = f"all {taken:,} graphs" if taken == len(self.store) else f"{taken:,} graphs drawn at random"
        return f"{which}; of {cut:,} large ones, {ball}" if cut else which


def audit_sample(
    dataset: str | GraphStore | Data | Sequence[Data],
    *,
    split: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    largest: int = 2**22,
    progress: bool = False,
) -> AuditSample:
    """Choose what an audit looks at.

    Args:
        dataset: A name of :func:`gnnlab.data.card_names`, a store, a graph, a batch, or a list of graphs.
        split: A split of the graphs; of a node task on one graph, the split whose labels are read.
        sample: Most graphs to look at, drawn by the seed.
        seed: Of the choice.
        largest: Most nodes of all graphs together; of more, as many graphs are drawn as fit (at least one).
        progress: Whether loading a dataset shows progress bars.

    Raises:
        ConfigError: unknown dataset or split, no graphs to sample.
        DataError: there are no graphs.

    Example:
        >>> chosen = audit_sample("csl-generated", sample=20)
        >>> len(chosen.store), chosen.subject
        (20, '20 of the 150 graphs of the dataset, drawn at random (seed 0).')
    """
    if sample is not None and sample < 1:
        raise ConfigError(f"sample must be positive, got {sample}", where="audit")
    store = _store_of(dataset, progress)
    if not len(store):
        raise DataError("there are no graphs to look at", where=store.name or "audit")
    index = torch.arange(len(store))
    if split is not None:
        store, index = _of_split(store, split)
    available = index.numel()
    if sample is not None:
        index = index[_drawn(available, sample, seed)]
    index = _fitting(index, store.sizes("node"), largest, seed)
    return AuditSample(_part(store, index), store.name or "unnamed", store.task, available, split, seed, index)


def union_of(store: GraphStore) -> tuple[Tensor, Tensor]:
    """All graphs of a store side by side: ``edge_index`` [2, E] long and ``ptr`` [G + 1] long, on the CPU."""
    ptr = store.layouts["node"].ptr
    if "edge_index" not in store.columns:
        return torch.empty(2, 0, dtype=torch.long), ptr
    edges = store.column("edge_index").cpu()
    return edges + ptr[:-1].repeat_interleave(store.sizes("edge")), ptr


def _store_of(dataset: str | GraphStore | Data | Sequence[Data], progress: bool) -> GraphStore:
    if isinstance(dataset, GraphStore):
        return dataset
    if isinstance(dataset, str):
        return load_dataset(dataset, progress=progress)
    if isinstance(dataset, Batch):
        dataset = dataset.to_data_list()
    return GraphStore.from_data_list([dataset] if isinstance(dataset, Data) else dataset)


def _of_split(store: GraphStore, split: str) -> tuple[GraphStore, Tensor]:
    """The graphs of a split; or, of a node task on one graph, that graph with the labels of the split alone."""
    if split in store.splits:
        index = store.splits[split].sort().values
        if not index.numel():
            raise DataError(f"the split '{split}' holds no graphs", where=store.name or "audit")
        return store, index
    mask = f"{split}_mask"
    if len(store) > 1 or mask not in store.columns or "y" not in store.columns:
        known = [*store.splits, *(key.removesuffix("_mask") for key in store.columns if key.endswith("_mask"))]
        raise ConfigError(f"unknown split '{split}'", where=store.name or "audit", hint=nearest(split, known))
    y, hidden = store.column("y"), ~store.column(mask).reshape(store.num_nodes, -1)[:, 0].bool()
    # NaN and -1 are how targets say that they are missing.
    shown = y.masked_fill(hidden.view(-1, *[1] * (y.dim() - 1)), torch.nan if y.is_floating_point() else -1)
    columns = {**store.columns, "y": Column(shown, "node", shown.dtype)}
    return store.replace(columns=columns), torch.arange(1)


def _part(store: GraphStore, index: Tensor) -> GraphStore:
    """The chosen graphs, with what is left of the splits."""
    if index.numel() == len(store):
        return store
    place = torch.full((len(store),), -1).index_copy_(0, index, torch.arange(index.numel()))
    splits = {key: place[members][place[members] >= 0] for key, members in store.splits.items()}
    return store.subset(index).replace(splits={key: members for key, members in splits.items() if members.numel()})


def _drawn(available: int, most: int, seed: int) -> Tensor:
    """At most so many of the numbers below ``available``, increasing."""
    if available <= most:
        return torch.arange(available)
    return torch.randperm(available, generator=torch.Generator().manual_seed(seed))[:most].sort().values


def _fitting(index: Tensor, nodes: Tensor, largest: int, seed: int) -> Tensor:
    if int(nodes[index].sum()) <= largest:
        return index
    order = index[torch.randperm(index.numel(), generator=torch.Generator().manual_seed(seed))]
    fits = int((nodes[order].cumsum(0) <= largest).sum())
    return order[: max(fits, 1)].sort().values


def _cut(store: GraphStore, large: list[int], nodes: int, seed: int) -> GraphStore:
    """The same graphs, of large ones only a ball of so many nodes; columns of nodes, edges and graphs are kept."""
    edges, ptr = union_of(store)
    graph_of_node, graph_of_edge = expand_ptr(ptr), expand_ptr(ptr)[edges[0]]
    kept = torch.ones(store.num_nodes, dtype=torch.bool)
    for graph in large:
        first, last = int(ptr[graph]), int(ptr[graph + 1])
        kept[first:last] = _ball(edges[:, graph_of_edge == graph] - first, last - first, nodes, seed)
    stays = kept[edges].all(0)
    sizes = torch.bincount(graph_of_node[kept], minlength=len(store))
    start = sizes.cumsum(0) - sizes
    of_level = {
        level: {
            key: column.data.cpu().to(column.dtype)
            for key, column in store.columns.items()
            if column.level == level and column.indexes is None
        }
        for level in ("node", "edge", "graph")
    }
    return GraphStore.from_tensors(
        num_nodes=sizes,
        num_edges=torch.bincount(graph_of_edge[stays], minlength=len(store)),
        edge_index=(kept.cumsum(0) - 1)[edges[:, stays]] - start[graph_of_edge[stays]],
        node={key: value[kept] for key, value in of_level["node"].items()},
        edge={key: value[stays] for key, value in of_level["edge"].items()},
        graph=of_level["graph"],
        name=store.name,
        task=store.task,
    )


def _ball(edges: Tensor, size: int, nodes: int, seed: int) -> Tensor:
    """[size] bool, the nodes a search finds first from a random node of the largest component."""
    source, target = edges.numpy()
    matrix = coo_array((np.ones(source.size), (source, target)), shape=(size, size)).tocsr()
    component = torch.from_numpy(connected_components(matrix, directed=False)[1]).long()
    members = (component == torch.bincount(component).argmax()).nonzero().flatten()
    root = members[torch.randint(members.numel(), (1,), generator=torch.Generator().manual_seed(seed))]
    order = breadth_first_order(matrix, int(root), directed=False, return_predecessors=False)
    return torch.zeros(size, dtype=torch.bool).index_fill_(0, torch.from_numpy(order[:nodes]).long(), True)
