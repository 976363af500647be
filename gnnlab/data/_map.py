"""Stores from stores: a choice of graphs, and a transform applied to all of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from rich.progress import track
from torch import Tensor
from torch_geometric.data import Batch

from gnnlab.data._adjacency import LocalCSR
from gnnlab.data._check import check_columns
from gnnlab.data._collect import columns_from_union
from gnnlab.data._columns import Column, Layout, narrow, ragged_rows
from gnnlab.errors import DataError
from gnnlab.transform import Transform

if TYPE_CHECKING:
    from gnnlab.data.store import GraphStore

__all__ = ["map_store", "take"]

_DERIVED = ("batch", "ptr", "adj", "num_nodes")


def take(store: GraphStore, index: Tensor) -> GraphStore:
    """The graphs ``index`` of a store, as a store."""
    layouts, rows = {}, {}
    for level, layout in store.layouts.items():
        layouts[level] = Layout.from_sizes(layout.sizes[index])
        chosen = layouts[level]
        rows[level] = ragged_rows(layout.ptr[index], chosen.ptr, chosen.sizes, chosen.total)[0].to(store.device)
    columns = {}
    for key, column in store.columns.items():
        increment = None if column.increment is None else column.increment[index]
        columns[key] = column.with_data(column.data.index_select(0, rows[column.level]), increment)
    adjacency = store.adjacency and LocalCSR(
        store.adjacency.row_starts.index_select(0, rows["node"]),
        store.adjacency.transposed.index_select(0, rows["edge"]),
    )
    extras = {key: [values[i] for i in index.tolist()] for key, values in store.extras.items()}
    return store.replace(columns=columns, layouts=layouts, adjacency=adjacency, extras=extras, splits={}, folds={})


def map_store(store: GraphStore, transform: Callable[[Batch], Batch], chunk_nodes: int, progress: bool) -> GraphStore:
    """Transform the union of every chunk; columns the transform did not replace are shared."""
    if isinstance(transform, Transform):
        transform.check_budget(store.layouts["node"].sizes)
    chunks = _chunks(store.layouts["node"], chunk_nodes)
    shown = track(chunks, description=f"{transform!r}", transient=True, disable=not progress)
    parts = [_mapped_chunk(store, transform, chunk) for chunk in shown]
    if not parts:
        return store
    removed = parts[0][2]
    columns = {key: column for key, column in store.columns.items() if key not in removed}
    layouts = dict(store.layouts)
    for level in parts[0][1]:
        layouts[level] = Layout.from_sizes(torch.cat([new_layouts[level].sizes for _, new_layouts, _ in parts]))
    for key, first in parts[0][0].items():
        data = narrow(torch.cat([new_columns[key].data for new_columns, _, _ in parts]))
        columns[key] = Column(data, first.level, first.dtype, first.indexes, cat_dim=first.cat_dim)
    new_nodes = layouts["node"].total != store.num_nodes  # then every column of nodes has to be a new one
    check_columns(store.name, columns if new_nodes else {key: columns[key] for key in parts[0][0]}, layouts)
    # New edges need their adjacency built; otherwise the old one still holds.
    adjacency = None if "edge_index" in parts[0][0] else store.adjacency
    return store.replace(columns=columns, layouts=layouts, adjacency=adjacency)


def _mapped_chunk(
    store: GraphStore, transform: Callable[[Batch], Batch], chunk: Tensor
) -> tuple[dict[str, Column], dict[str, Layout], set[str]]:
    batch = store[chunk]
    before = {key: batch[key] for key in store.columns}
    result = transform(batch)
    kept = [key for key in result.to_dict() if key not in _DERIVED and key not in store.extras]
    changed = [key for key in kept if not (key in before and result[key] is before[key])]
    if "edge_index" in changed:
        moved = [key for key in kept if key in before and store.columns[key].level == "edge"]
        _check_still_valid(store, transform, [key for key in kept if key in before and key not in changed])
        changed = list(dict.fromkeys(["edge_index", *changed, *moved]))
    layouts = {
        "node": _nodes_of(result, store, transform, chunk),
        "graph": Layout.from_sizes(store.layouts["graph"].sizes[chunk]),
    }
    for level, layout in store.layouts.items():
        # Whatever indexes a level that stays as it is counts its rows as before.
        if f"{level}_index" in before and f"{level}_index" not in changed:
            layouts[level] = Layout.from_sizes(layout.sizes[chunk])
    old_levels = set(layouts) - {"node"}
    columns = columns_from_union(result, changed, layouts)
    new_levels = {level for level in layouts if level not in old_levels}
    return columns, {level: layouts[level] for level in new_levels}, set(before) - set(kept)


def _check_still_valid(store: GraphStore, transform: Callable[[Batch], Batch], unchanged: list[str]) -> None:
    """Refuse new edges where something goes on counting the old ones."""
    stale = next((key for key in unchanged if store.columns[key].indexes == "edge"), None)
    if stale is not None:
        raise DataError(
            f"{transform!r} changes the edges that '{stale}' counts",
            where=store.name or None,
            hint="apply what writes it (gnnlab.lifting.Paths) after every transform that changes edges",
        )


def _nodes_of(result: Batch, store: GraphStore, transform: Callable[[Batch], Batch], chunk: Tensor) -> Layout:
    """Rows of the nodes after a transform, which may add some at the end of every graph."""
    sizes, ptr = store.layouts["node"].sizes[chunk], result.ptr.cpu()
    nodes = Layout.from_sizes(ptr.diff())
    if result.num_nodes != nodes.total or result.batch.numel() != nodes.total:
        raise DataError(
            f"{transform!r} gives {result.num_nodes} nodes, but 'ptr' counts {nodes.total} of them and 'batch' "
            f"{result.batch.numel()}",
            where=store.name or None,
            hint="see gnnlab.rewiring.VirtualNode for a transform that adds nodes",
        )
    if bool((nodes.sizes < sizes).any()):
        graph = int(chunk[int((nodes.sizes < sizes).nonzero()[0])])
        raise DataError(
            f"{transform!r} removed nodes from graph {graph}",
            where=store.name or None,
            hint="a transform may change edges, features and higher-order structure, and add nodes, not remove them",
        )
    return nodes


def _chunks(nodes: Layout, chunk_nodes: int) -> list[Tensor]:
    """Runs of consecutive graphs with at most ``chunk_nodes`` nodes each."""
    bounds, total = [0], nodes.sizes.numel()
    while bounds[-1] < total:
        limit = nodes.ptr[bounds[-1]] + chunk_nodes
        end = int(torch.searchsorted(nodes.ptr, limit, right=True)) - 1
        bounds.append(max(end, bounds[-1] + 1))
    return [torch.arange(low, high) for low, high in pairwise(bounds)]
