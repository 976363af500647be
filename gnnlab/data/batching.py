"""A mini-batch is a handful of gathers: rows by level, plus offsets. Also the adjacency, both ways."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.data import _gather_torch
from gnnlab.data._columns import Column, Span
from gnnlab.graph._engine import engine

if TYPE_CHECKING:
    from gnnlab.data.store import GraphStore

__all__ = ["assemble", "example"]


def assemble(store: GraphStore, index: Tensor) -> Batch:
    """The disjoint union of the graphs ``index`` [B], as the PyG batch of the attribute contract.

    Edges come in destination order with ``adj``, the :class:`gnnlab.ops.CSR` of both directions, so no layer
    ever sorts. Nothing synchronises with the device.
    """
    index = index.cpu()
    gather = _gather_for(store.device)
    spans = _spans(store, index)
    batch = Batch(_base_cls=store.data_class)
    slices: dict[str, Tensor] = {}
    increments: dict[str, Tensor] = {}
    nothing = torch.zeros(index.numel(), dtype=torch.long)
    for key, column in store.columns.items():
        span = spans[column.level]
        if column.indexes is not None and column.cat_dim == 1:
            batch[key] = gather.indices(column, span, spans[column.indexes].ptr[:-1])
        else:
            batch[key] = _shifted(gather.rows(column, span), column, span, _offset(column, spans, index), gather)
        slices[key] = span.ptr_cpu
        increments[key] = nothing if column.indexes is None else spans[column.indexes].ptr_cpu[:-1]
        if column.increment is not None:
            steps = _offset(column, spans, index).cpu()
            increments[key] = steps.unsqueeze(column.cat_dim + 1) if steps.dim() > 1 else steps
    for key, values in store.extras.items():
        batch[key] = [values[i] for i in index.tolist()]
        slices[key], increments[key] = torch.arange(index.numel() + 1), nothing
    batch.batch, batch.ptr = gather.owners(spans["node"]), spans["node"].ptr
    if "edge" in spans:
        batch.adj = gather.adjacency(store.adjacency, batch.edge_index, spans["node"], spans["edge"])
    batch._num_graphs = index.numel()
    batch._slice_dict, batch._inc_dict = slices, increments
    return batch


def example(store: GraphStore, i: int) -> Data:
    """Graph ``i`` alone, with its own node numbering."""
    data = store.data_class()
    for key, column in store.columns.items():
        layout = store.layouts[column.level]
        rows = column.data[int(layout.ptr[i]) : int(layout.ptr[i + 1])].to(column.dtype)
        data[key] = rows.movedim(0, column.cat_dim).contiguous() if column.cat_dim else rows.clone()
    for key, values in store.extras.items():
        data[key] = values[i]
    if "x" not in store.columns:
        data.num_nodes = int(store.layouts["node"].sizes[i])
    return data


def _spans(store: GraphStore, index: Tensor) -> dict[str, Span]:
    levels = list(store.layouts)
    counts = torch.stack([store.layouts[level].sizes[index] for level in levels])
    starts = torch.stack([store.layouts[level].ptr[index] for level in levels])
    ptrs = torch.nn.functional.pad(counts.cumsum(1), (1, 0))
    totals = ptrs[:, -1].tolist()
    moved = counts, starts, ptrs
    if store.device.type != "cpu":
        # One transfer for all levels.
        flat = torch.cat([counts, starts, ptrs], 1).to(store.device, non_blocking=True)
        moved = flat.split([index.numel(), index.numel(), index.numel() + 1], 1)
    return {level: Span(moved[1][k], moved[0][k], moved[2][k], ptrs[k], totals[k]) for k, level in enumerate(levels)}


def _offset(column: Column, spans: dict[str, Span], index: Tensor) -> Tensor | None:
    """[B, ...] what is added to the values of every graph of the batch."""
    if column.indexes is not None:
        return spans[column.indexes].ptr[:-1]
    if column.increment is not None:
        steps = column.increment.index_select(0, index.to(column.increment.device))
        return steps.cumsum(0) - steps
    return None


def _shifted(values: Tensor, column: Column, span: Span, offset: Tensor | None, gather: ModuleType) -> Tensor:
    if offset is not None:
        shift = offset.index_select(0, gather.owners(span))
        values = values + shift.view(*shift.shape, *[1] * (values.dim() - shift.dim()))
    return values.movedim(0, column.cat_dim).contiguous() if column.cat_dim else values


def _gather_for(device: torch.device) -> ModuleType:
    return engine(device, _gather_torch, "gnnlab.data._gather_numba")
