"""GraphStore: a dataset as columns, from which any mini-batch is a few tensor gathers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.data import _storage
from gnnlab.data._adjacency import LocalCSR, destination_order
from gnnlab.data._check import check_columns
from gnnlab.data._collect import columns_from_list
from gnnlab.data._columns import Column, Layout, narrow
from gnnlab.data._map import map_store, take
from gnnlab.data.batching import assemble, example
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError, nearest
from gnnlab.typing import Level, PathLike

__all__ = ["GraphStore"]

Fold = dict[str, Tensor]


class GraphStore:
    """Graphs as columns: one tensor per attribute, rows grouped by graph and level.

    ``store[i]`` is graph ``i`` as PyG ``Data`` (indices count from the end if negative); ``store[index]`` with a
    tensor, list or slice is the disjoint union as PyG ``Batch``, edges in destination order, with the compressed
    adjacency ``adj`` of both directions. Integer columns are kept in the narrowest dtype and delivered in their
    own. Immutable: every method returns a new store that shares unchanged columns.

    Args:
        columns: Attribute name to column.
        layouts: Level name to the row ranges of the graphs.
        name: Name for messages and records.
        task: What is to be predicted.
        splits: Name (``train``, ``val``, ``test``) to graph indices.
        folds: Split scheme to its folds, each like ``splits`` (of nodes, for a node task on a single graph).
        extras: Attributes that are no tensors, one list entry per graph.
        meta: Anything JSON-able worth keeping with the data.

    Raises:
        DataError: an edge or index outside its graph, a feature that is not finite, a length that does not fit.

    Example:
        >>> triangle = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), y=torch.tensor([1.0]))
        >>> edge = Data(x=torch.eye(3)[:2], edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([0.0]))
        >>> store = GraphStore.from_data_list([triangle, edge])
        >>> batch = store[[1, 0]]
        >>> batch.edge_index.tolist(), batch.adj.num_nodes
        ([[1, 0, 4, 2, 3], [0, 1, 2, 3, 4]], 5)
    """

    def __init__(
        self,
        columns: dict[str, Column],
        layouts: dict[Level, Layout],
        *,
        name: str = "",
        task: TaskSpec | None = None,
        splits: Fold | None = None,
        folds: dict[str, list[Fold]] | None = None,
        extras: dict[str, list[Any]] | None = None,
        meta: dict[str, Any] | None = None,
        adjacency: LocalCSR | None = None,
        data_class: type[Data] = Data,
    ) -> None:
        self.columns, self.layouts = columns, layouts
        self.name, self.task, self.meta = name, task, meta or {}
        self.folds, self.extras, self.data_class = folds or {}, extras or {}, data_class
        if adjacency is None:
            check_columns(name, columns, layouts)
            if "edge_index" in columns:
                self.columns, adjacency = _sorted_edges(columns, layouts)
        self.adjacency = adjacency
        self.splits = {key: _checked_split(self, key, index) for key, index in (splits or {}).items()}

    @classmethod
    def from_data_list(cls, data_list: Sequence[Data], **kwargs: Any) -> GraphStore:
        """From any sequence of PyG graphs (a list, an ``InMemoryDataset``); custom ``__inc__`` and
        ``__cat_dim__`` are honoured. Takes the keyword arguments of the class.

        Raises:
            DataError: no graphs, an attribute missing in some graphs, widths or dtypes that differ.
        """
        graphs = [data_list[i] for i in range(len(data_list))]
        name = kwargs.get("name", "")
        if not graphs:
            raise DataError("cannot build a store from no graphs", where=name or None)
        columns, layouts, extras = columns_from_list(graphs, name)
        return cls(_narrowed(columns), layouts, extras=extras, data_class=type(graphs[0]), **kwargs)

    @classmethod
    def from_tensors(
        cls,
        *,
        num_nodes: Tensor,
        num_edges: Tensor,
        edge_index: Tensor,
        node: dict[str, Tensor] | None = None,
        edge: dict[str, Tensor] | None = None,
        graph: dict[str, Tensor] | None = None,
        other: dict[Level, tuple[Tensor, dict[str, Tensor]]] | None = None,
        **kwargs: Any,
    ) -> GraphStore:
        """From the concatenated tensors of all graphs: the fast way in for readers.

        Args:
            num_nodes: [G] long.
            num_edges: [G] long.
            edge_index: [2, E] integer, node ids local to each graph.
            node: Attribute to [N, ...].
            edge: Attribute to [E, ...].
            graph: Attribute to [G, ...].
            other: Further level to its sizes [G] and attributes; ``<name>_index`` [2, P] counts nodes.
            kwargs: As the class.
        """
        layouts = {
            "node": Layout.from_sizes(num_nodes),
            "graph": Layout.from_sizes(torch.ones_like(num_nodes)),
            "edge": Layout.from_sizes(num_edges),
        }
        layouts |= {level: Layout.from_sizes(sizes) for level, (sizes, _) in (other or {}).items()}
        attributes = {
            "node": node or {},
            "edge": {"edge_index": edge_index, **(edge or {})},
            "graph": graph or {},
        }
        attributes |= {level: values for level, (_, values) in (other or {}).items()}
        columns = {}
        for level, values in attributes.items():
            for key, value in values.items():
                counts_nodes = key.endswith("_index")
                columns[key] = Column(
                    value.t() if counts_nodes else value,
                    level,
                    _delivered_dtype(value),
                    indexes="node" if counts_nodes else None,
                    cat_dim=1 if counts_nodes else 0,
                )
        return cls(_narrowed(columns), layouts, **kwargs)

    def __len__(self) -> int:
        return self.layouts["graph"].sizes.numel()

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Data | Batch:
        if isinstance(index, Integral):
            if not -len(self) <= index < len(self):
                raise IndexError(f"graph {index} of a store of {len(self)} graphs")
            return example(self, int(index) % len(self))
        return assemble(self, self._graph_index(index))

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    @property
    def device(self) -> torch.device:
        return next(iter(self.columns.values())).data.device if self.columns else torch.device("cpu")

    @property
    def num_nodes(self) -> int:
        """Nodes of all graphs together."""
        return self.layouts["node"].total

    @property
    def num_edges(self) -> int:
        """Directed edges of all graphs together."""
        return self.layouts["edge"].total if "edge" in self.layouts else 0

    @property
    def nbytes(self) -> int:
        """Bytes of all columns, adjacency included."""
        tensors = [column.data for column in self.columns.values()]
        if self.adjacency is not None:
            tensors += [self.adjacency.row_starts, self.adjacency.transposed]
        return sum(tensor.nbytes for tensor in tensors)

    def sizes(self, level: Level) -> Tensor:
        """[G] rows of ``level`` in every graph, on the CPU."""
        if level not in self.layouts:
            raise ConfigError(f"unknown level '{level}'", where=self.name or None, hint=nearest(level, self.layouts))
        return self.layouts[level].sizes

    def column(self, name: str) -> Tensor:
        """The attribute of all graphs, in its own dtype; index columns count from 0 within each graph."""
        if name not in self.columns:
            raise ConfigError(f"unknown attribute '{name}'", where=self.name or None, hint=nearest(name, self.columns))
        column = self.columns[name]
        return column.data.to(column.dtype).movedim(0, column.cat_dim)

    def subset(self, index: slice | Sequence[int] | Tensor) -> GraphStore:
        """A store of the chosen graphs, without splits."""
        return take(self, self._graph_index(index))

    def map(
        self, transform: Callable[[Batch], Batch], *, chunk_nodes: int = 2**18, progress: bool = False
    ) -> GraphStore:
        """Apply a transform to all graphs, chunk by chunk of the union.

        Args:
            transform: Takes and returns a union; attributes it does not touch are shared with this store. It may
                add nodes at the end of graphs (as :class:`gnnlab.rewiring.VirtualNode` does), not remove any.
            chunk_nodes: Nodes per chunk at most (a larger graph is a chunk of its own).
            progress: Show a progress bar.
        """
        return map_store(self, transform, chunk_nodes, progress)

    def replace(self, **changes: Any) -> GraphStore:
        """The same columns with another ``task``, ``splits``, ``folds``, ``name`` or ``meta``."""
        kept = {key: getattr(self, key) for key in ("name", "task", "splits", "folds", "extras", "meta")}
        kept |= {"adjacency": self.adjacency, "data_class": self.data_class}
        columns, layouts = changes.pop("columns", self.columns), changes.pop("layouts", self.layouts)
        return GraphStore(columns, layouts, **(kept | changes))

    def with_fold(self, scheme: str, fold: int = 0) -> GraphStore:
        """Choose a split: graph splits become :attr:`splits`, node splits ``train_mask``, ``val_mask``, ``test_mask``.

        Raises:
            ConfigError: unknown scheme, fold out of range.
        """
        if scheme not in self.folds:
            hint = nearest(scheme, self.folds)
            raise ConfigError(f"unknown split '{scheme}'", where=self.name or None, hint=hint)
        folds = self.folds[scheme]
        if not 0 <= fold < len(folds):
            raise ConfigError(f"split '{scheme}' has folds 0 to {len(folds) - 1}, not {fold}", where=self.name or None)
        if not self._splits_nodes:
            return self.replace(splits=folds[fold])
        columns = dict(self.columns)
        for key, index in folds[fold].items():
            mask = torch.zeros(self.num_nodes, dtype=torch.bool)
            mask[index] = True
            columns[f"{key}_mask"] = Column(mask.to(self.device), "node", torch.bool)
        return self.replace(columns=columns, splits={})

    def to(self, device: torch.device | str) -> GraphStore:
        """Move all columns; batches are then assembled on that device."""
        if torch.device(device) == self.device:
            return self
        columns = {key: column.to(device) for key, column in self.columns.items()}
        adjacency = None if self.adjacency is None else self.adjacency.to(device)
        return self.replace(columns=columns, adjacency=adjacency)

    def save(self, path: PathLike) -> None:
        """Write ``columns.safetensors`` and ``store.json`` into the directory ``path``, atomically."""
        _storage.save(self, Path(path))

    @classmethod
    def load(cls, path: PathLike) -> GraphStore:
        """Read what :meth:`save` wrote; tensors are mapped, not copied.

        Raises:
            IntegrityError: the files are not the ones that were saved.
        """
        return _storage.load(cls, Path(path))

    def __repr__(self) -> str:
        splits = {key: index.numel() for key, index in self.splits.items()}
        return (
            f"GraphStore({self.name or 'unnamed'}: {len(self)} graphs, {self.num_nodes} nodes, {self.num_edges} edges, "
            f"columns={list(self.columns)}, splits={splits})"
        )

    @property
    def _splits_nodes(self) -> bool:
        return len(self) == 1 and self.task is not None and self.task.level == "node"

    def _graph_index(self, index: slice | Sequence[int] | Tensor) -> Tensor:
        if isinstance(index, slice):
            return torch.arange(*index.indices(len(self)))
        index = torch.as_tensor(index).cpu()
        if index.dtype == torch.bool:
            index = index.nonzero().view(-1)
        index = index.long()
        if index.numel() and not (-len(self) <= int(index.min()) and int(index.max()) < len(self)):
            raise IndexError(f"graph indices between {int(index.min())} and {int(index.max())} of {len(self)} graphs")
        return torch.where(index < 0, index + len(self), index)


def _narrowed(columns: dict[str, Column]) -> dict[str, Column]:
    return {key: column.with_data(narrow(column.data)) for key, column in columns.items()}


def _delivered_dtype(value: Tensor) -> torch.dtype:
    return value.dtype if value.is_floating_point() or value.dtype == torch.bool else torch.long


def _sorted_edges(columns: dict[str, Column], layouts: dict[Level, Layout]) -> tuple[dict[str, Column], LocalCSR]:
    nodes, layout = layouts["node"], layouts["edge"]
    order = destination_order(columns["edge_index"].data, nodes, layout)
    if order is not None:
        columns = {
            key: column.with_data(column.data[order]) if column.level == "edge" else column
            for key, column in columns.items()
        }
        columns = {key: _renumber_edges(column, order, layouts) for key, column in columns.items()}
    return columns, LocalCSR.build(columns["edge_index"].data, nodes, layout)


def _renumber_edges(column: Column, order: Tensor, layouts: dict[Level, Layout]) -> Column:
    """Columns that count edges follow the edges to their new places."""
    if column.indexes != "edge":
        return column
    edges, layout = layouts["edge"], layouts[column.level]
    place = torch.empty_like(order).index_copy_(0, order, torch.arange(order.numel()))
    start = torch.repeat_interleave(edges.ptr[:-1], layout.sizes, output_size=layout.total)
    start = start.view(-1, *[1] * (column.data.dim() - 1))
    return column.with_data(place[column.data.long() + start] - start)


def _checked_split(store: GraphStore, key: str, index: Tensor) -> Tensor:
    index = torch.as_tensor(index).long().cpu()
    if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < len(store)):
        bad = int(index.max()) if int(index.max()) >= len(store) else int(index.min())
        raise DataError(f"split '{key}' holds graph {bad}, but there are {len(store)} graphs", where=store.name or None)
    return index
