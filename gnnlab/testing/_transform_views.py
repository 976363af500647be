"""What a graph says independently of the order of its edges, paths and pairs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch_geometric.data import Data

__all__ = ["View", "batch_views", "renumber", "view"]

_STRUCTURE = ("batch", "ptr", "adj")


@dataclass(frozen=True)
class View:
    """Node attributes by row; everything else in a canonical order of rows."""

    nodes: dict[str, Tensor]
    others: dict[str, Tensor]


def view(data: Data) -> View:
    """The attributes of one graph."""
    return batch_views(data)[0]


def batch_views(data: Data) -> list[View]:
    """The attributes of every graph of a union, one by one."""
    num_nodes = data.num_nodes
    ptr = data.get("ptr")
    bounds = [0, num_nodes] if ptr is None else ptr.tolist()
    tensors = {key: value for key, value in data.to_dict().items() if isinstance(value, Tensor)}
    tensors = {key: value for key, value in tensors.items() if key not in _STRUCTURE}
    count = len(bounds) - 1
    return [_one(tensors, data, *span, graph, count) for graph, span in enumerate(pairwise(bounds))]


def renumber(data: Data, order: Tensor) -> Data:
    """The same graph, node ``order[i]`` becoming node i."""
    place = order.argsort()
    moved = data.clone()
    for key, value in data.to_dict().items():
        if not isinstance(value, Tensor):
            continue
        if _indexes_nodes(key):
            moved[key] = place[value]
        elif _is_node_attribute(data, key):
            moved[key] = value[order]
    return moved


def _one(tensors: dict[str, Tensor], data: Data, begin: int, end: int, graph: int, count: int) -> View:
    nodes, others = {}, {}
    for level in ("pair", "tuple"):
        name = f"{level}_index"
        beside = [key for key in sorted(tensors) if key.startswith(f"{level}_") and key != name]
        if name in tensors:
            index = tensors[name]
            mine = (index[0] >= begin) & (index[0] < end)
            rows = [(index[:, mine] - begin).t(), *(_as_columns(tensors[key][mine]) for key in beside)]
            others["+".join([name, *beside])] = _sorted_rows(torch.cat([row.double() for row in rows], dim=1))
            tensors = {key: value for key, value in tensors.items() if key not in (name, *beside)}
    inside = (data.edge_index[0] >= begin) & (data.edge_index[0] < end)
    edges = [(data.edge_index[:, inside] - begin).t()]
    names = ["edge_index"]
    for key, value in sorted(tensors.items()):
        if key == "edge_index":
            continue
        if _path(key) not in (None, key):
            continue
        if _indexes_nodes(key):
            rows = value.t() if key.endswith("index") else value
            mine = (rows[:, 0] >= begin) & (rows[:, 0] < end)
            beside = [name for name in sorted(tensors) if _path(name) == key != name]
            parts = [rows[mine] - begin, *(_unnumbered(data, name, begin)[mine] for name in beside)]
            others["+".join([key, *beside])] = _sorted_rows(torch.cat([part.double() for part in parts], 1))
        elif key.startswith("edge_"):
            names.append(key)
            edges.append(_as_columns(value[inside]))
        elif _is_node_attribute(data, key):
            nodes[key] = value[begin:end]
        else:
            others[key] = value[graph] if value.dim() and value.size(0) == count else value
    others["+".join(names)] = _sorted_rows(torch.cat([part.double() for part in edges], dim=1))
    return View(nodes, others)


def _path(key: str) -> str | None:
    """The column of paths a column belongs to."""
    match = re.match(r"path_\d+", key)
    return match and match[0]


def _unnumbered(data: Data, key: str, begin: int) -> Tensor:
    """What is said of every path, with the ends of an edge in place of its number."""
    value = data[key].flatten(1)
    return (data.edge_index.t()[value] - begin).flatten(1) if key.endswith("_edge") else value


def _as_columns(value: Tensor) -> Tensor:
    return value.flatten(1) if value.dim() > 1 else value[:, None]


def _indexes_nodes(key: str) -> bool:
    return key.endswith("index") or _path(key) == key


def _is_node_attribute(data: Data, key: str) -> bool:
    if _path(key) is not None:
        return False
    return key in ("x", "pos") or key.startswith("pe_") or (not key.startswith("edge_") and data.is_node_attr(key))


def _sorted_rows(rows: Tensor) -> Tensor:
    """Rows in lexicographic order, so that two lists of rows can be compared as multisets."""
    for column in reversed(range(rows.size(1))):
        rows = rows[torch.argsort(rows[:, column], stable=True)]
    return rows
