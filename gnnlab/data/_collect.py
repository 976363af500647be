"""From Python objects and from unions to columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.data._columns import Column, Layout
from gnnlab.errors import DataError

__all__ = ["columns_from_list", "columns_from_union"]

_SKIP = ("batch", "ptr", "adj", "num_nodes")
_PATH = re.compile(r"(path_\d+)(?:_(\w+))?")


def columns_from_list(
    data_list: Sequence[Data], name: str
) -> tuple[dict[str, Column], dict[str, Layout], dict[str, list[Any]]]:
    """Columns, layouts and untensored extras of a list of PyG graphs.

    PyG's own ``__cat_dim__`` and ``__inc__`` decide how an attribute is joined, so subclasses of ``Data``
    with their own rules keep them.
    """
    keys = [key for key in data_list[0].to_dict() if key not in _SKIP]
    for i, data in enumerate(data_list):
        missing = set(keys) ^ (set(data.to_dict()) - set(_SKIP))
        if missing:
            raise DataError(
                f"graph {i}: attribute '{min(missing)}' is present in some graphs and absent in others",
                where=name or None,
            )
    layouts = {
        "node": Layout.from_sizes(torch.tensor([_num_nodes(data, i, name) for i, data in enumerate(data_list)])),
        "graph": Layout.from_sizes(torch.ones(len(data_list), dtype=torch.long)),
    }
    if "edge_index" in keys:
        layouts["edge"] = Layout.from_sizes(torch.tensor([data.edge_index.size(1) for data in data_list]))
    columns: dict[str, Column] = {}
    extras: dict[str, list[Any]] = {}
    for key in keys:
        values = [data[key] for data in data_list]
        if all(isinstance(value, (int, float, bool)) for value in values):
            values = [torch.tensor([value]) for value in values]
        if not all(isinstance(value, Tensor) and value.layout == torch.strided for value in values):
            extras[key] = values
            continue
        columns[key] = _join(key, values, data_list, layouts, name)
    return columns, layouts, extras


def columns_from_union(data: Data, keys: Sequence[str], layouts: dict[str, Layout]) -> dict[str, Column]:
    """Columns of the attributes ``keys`` of a union, by the attribute contract; may add levels to ``layouts``.

    Index columns come back with ids local to their graph and every level's rows grouped by graph.
    """
    ptr, edge_order = layouts["node"].ptr.to(data.batch.device), None
    if "edge_index" in keys:
        owner = data.batch[data.edge_index[0]] if data.num_edges else data.edge_index[0]
        layouts["edge"] = Layout.from_sizes(torch.bincount(owner, minlength=layouts["node"].sizes.numel()))
        edge_order = _grouping(owner)
    columns: dict[str, Column] = {}
    for key in keys:
        value, indexes, cat_dim = data[key], None, 0
        path = _path(key)
        if path is not None and path[0] != key:
            columns[key] = _beside_paths(data, key, *path, layouts, edge_order)
            continue
        level = _level_of(key, value, layouts)
        if level is None or key == "edge_index":
            level = level or key.removesuffix("_index")
            cat_dim, indexes = int(key.endswith("index") and value.dim() > 1), "node"
            rows = value.movedim(cat_dim, 0)
            owner = data.batch[rows if rows.dim() == 1 else rows[:, 0]] if rows.numel() else rows.new_zeros(0)
            if key != "edge_index":
                counts = torch.bincount(owner, minlength=layouts["node"].sizes.numel())
                layouts[level] = Layout.from_sizes(counts)
            value = _ordered(rows - ptr[owner].view(-1, *[1] * (rows.dim() - 1)), _grouping(owner))
        elif level == "edge" and "edge_index" in keys:
            value = _ordered(value, edge_order)
        columns[key] = Column(value, level, value.dtype, indexes, cat_dim=cat_dim)
    return columns


def _path(key: str) -> tuple[str, str | None] | None:
    """Level ``path_<l>`` of a column of paths, and the level its values count; ``None`` for other columns."""
    match = _PATH.fullmatch(key)
    return match and (match[1], {None: "node", "edge": "edge"}.get(match[2]))


def _beside_paths(
    data: Data, key: str, level: str, indexes: str | None, layouts: dict[str, Layout], edge_order: Tensor | None
) -> Column:
    """A column with a row for every path of ``level``: ``path_<l>_edge`` counts edges, others hold plain values."""
    owner = data.batch[data[level][:, 0]]
    order = _grouping(owner)
    layouts[level] = Layout.from_sizes(torch.bincount(owner, minlength=layouts["node"].sizes.numel()))
    value = _ordered(data[key], order)
    if indexes == "edge":
        first = layouts["edge"].ptr.to(value.device)[_ordered(owner, order)]
        rank = value if edge_order is None else edge_order.argsort()[value]
        value = rank - first.view(-1, *[1] * (value.dim() - 1))
    return Column(value, level, value.dtype, indexes)


def _grouping(owner: Tensor) -> Tensor | None:
    """Order in which rows are grouped by their owner; ``None`` where they are."""
    if bool((owner[1:] >= owner[:-1]).all()):
        return None
    return torch.argsort(owner, stable=True)


def _ordered(rows: Tensor, order: Tensor | None) -> Tensor:
    return rows if order is None else rows[order]


def _level_of(key: str, value: Tensor, layouts: dict[str, Layout]) -> str | None:
    """Level by name first (the contract), by length where the name says nothing; ``None`` for a new level."""
    if key == "edge_index":
        return "edge"
    if key.startswith("path_") or key.endswith("_index"):
        return None
    prefix = key.split("_")[0]
    preferred = {"edge": ("edge",), "pe": ("node",), "y": ("graph", "node"), "pair": ("pair",), "tuple": ("tuple",)}
    for level in (*preferred.get(prefix, ()), "node", "edge", "graph"):
        if level in layouts and value.dim() and value.size(0) == layouts[level].total:
            return level
    lengths = {level: layout.total for level, layout in layouts.items()}
    raise DataError(
        f"attribute '{key}' of shape {list(value.shape)} belongs to no level (rows per level: {lengths})",
        hint="name new index columns '<level>_index' ([l, P]) or 'path_<l>' ([P, l + 1]); see gnnlab.typing",
    )


def _num_nodes(data: Data, i: int, name: str) -> int:
    if not isinstance(data, Data):
        raise DataError(f"graph {i} is a {type(data).__name__}, not a torch_geometric Data", where=name or None)
    return int(data.num_nodes or 0)


def _join(key: str, values: list[Tensor], data_list: Sequence[Data], layouts: dict[str, Layout], name: str) -> Column:
    cat_dim = data_list[0].__cat_dim__(key, values[0])
    if cat_dim is None:
        values = [value.unsqueeze(0) for value in values]
        cat_dim = 0
    elif values[0].dim() == 0:
        values = [value.view(1) for value in values]
    else:
        cat_dim = cat_dim % values[0].dim()
    moved = [value.movedim(cat_dim, 0) for value in values]
    widths = [tuple(value.shape[1:]) for value in moved]
    odd = next((i for i, width in enumerate(widths) if width != widths[0]), None)
    if odd is not None:
        raise DataError(
            f"graph {odd}: '{key}' has shape {list(values[odd].shape)}, graph 0 has {list(values[0].shape)}",
            where=name or None,
        )
    dtypes = {value.dtype for value in moved}
    if len(dtypes) > 1:
        raise DataError(f"'{key}' has several dtypes: {sorted(map(str, dtypes))}", where=name or None)
    sizes = torch.tensor([value.size(0) for value in moved])
    path = _path(key)
    level = path[0] if path else _level_by_size(key, sizes, layouts)
    layouts.setdefault(level, Layout.from_sizes(sizes))
    indexes, increment = _increments(key, values, data_list, layouts, cat_dim)
    data = torch.cat(moved)
    return Column(data, level, data.dtype, indexes, increment, cat_dim)


def _level_by_size(key: str, sizes: Tensor, layouts: dict[str, Layout]) -> str:
    order = ("edge", "node", "graph") if "edge" in key else ("node", "edge", "graph")
    if key == "y":
        order = ("graph", "node", "edge")
    return next((lv for lv in order if lv in layouts and torch.equal(sizes, layouts[lv].sizes)), key)


def _increments(
    key: str, values: list[Tensor], data_list: Sequence[Data], layouts: dict[str, Layout], cat_dim: int
) -> tuple[str | None, Tensor | None]:
    raw = [data.__inc__(key, value) for data, value in zip(data_list, values, strict=True)]
    if all(isinstance(inc, int) for inc in raw):
        steps = torch.tensor(raw)
        if not steps.any():
            # PyG has no rule for paths, which count nodes and edges by the contract.
            path = _path(key)
            return path and path[1], None
        # Where every graph has as many edges as nodes only the name can tell; '*_index' counts nodes in PyG.
        order = ("edge", "node") if "edge" in key and not key.endswith("index") else ("node", "edge")
        for level in order:
            if level in layouts and torch.equal(steps, layouts[level].sizes):
                return level, None
        return None, steps
    stacked = torch.stack([torch.as_tensor(inc) for inc in raw])
    if stacked.dim() > cat_dim + 1:
        stacked = stacked.squeeze(cat_dim + 1)
    return None, stacked
