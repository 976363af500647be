"""Sums of rectified messages: edge features of their own, or rows of a small table of edge types."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import Layout, grouped
from gnnlab.ops._triton._linear import spmm
from gnnlab.ops._triton._rows import assign, edge_of, fold, launch, put
from gnnlab.ops._triton._tile import Tile, tiled, wide

_TABLE = 64  # edge types whose gradients one program holds
_TABLE_LANES = 16  # the least a matrix product takes
_TABLE_WIDTH = 64
_TABLE_PROGRAMS = 528  # four for each multiprocessor of an H100; each leaves a partial table


def gine(x: Tensor, edge: Tensor, kind: Tensor | None, layout: Layout) -> Tensor:
    kind = kind if kind is None else kind.contiguous()
    out = x.new_empty(x.shape)
    width = x.size(1)
    tile = tiled(x.size(0), layout.num_edges, 1, width, x)
    part = tile.partial(width, x)
    launch(
        _gine, tile.grid, x,
        layout.ptr, layout.idx, layout.eid, x.contiguous(), edge.contiguous(), kind, out, part,
        x.size(0), layout.num_edges, width, **tile.meta,
    )  # fmt: skip
    fold(tile, layout, part, out)
    return out


def gine_backward(grad: Tensor, x: Tensor, edge: Tensor, kind: Tensor | None, layout: Layout) -> tuple[Tensor, Tensor]:
    kind = kind if kind is None else kind.contiguous()
    if kind is not None and edge.size(0) <= _TABLE and x.dtype != torch.float64:
        return _backward_of_table(grad, x, edge, kind, layout)
    grad_x, grad_edge = x.new_empty(x.shape), x.new_empty(layout.num_edges, x.size(1))
    tile = tiled(x.size(0), layout.num_edges, 1, x.size(1), x)
    _transposed(_gine_backward, tile.grid, tile, grad, x, edge, kind, layout, grad_x, grad_edge)
    if kind is None:
        return grad_x, grad_edge
    return grad_x, spmm(grad_edge.unsqueeze(1), None, False, grouped(kind, edge.size(0))).squeeze(1)


def _backward_of_table(grad: Tensor, x: Tensor, edge: Tensor, kind: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """A fixed number of programs take the blocks of rows in turn; each adds up a table of its own."""
    grad_x = x.new_empty(x.shape)
    widest = _TABLE_WIDTH if x.size(1) % 8 == 0 else _TABLE_WIDTH // 2
    columns = max(16, min(widest, triton.next_power_of_2(x.size(1))))
    tile = tiled(x.size(0), layout.num_edges, 1, x.size(1), x, lanes=_TABLE_LANES)
    programs = min(tile.grid[0], _TABLE_PROGRAMS)
    tables = x.new_empty(programs, *edge.shape, dtype=wide(x))
    types = max(16, triton.next_power_of_2(edge.size(0)))
    # What is passed on is a value of grad, or 0: a half-precision value is exact in 19 bits.
    precision = "ieee" if x.dtype == torch.float32 else "tf32"
    meta = {**tile.meta, "WIDTH": columns, "num_warps": 4}
    tile, grid = tile._replace(meta=meta), (programs, triton.cdiv(x.size(1), columns))
    extra = {"n_types": edge.size(0), "n_blocks": tile.grid[0], "TYPES": types, "PRECISION": precision}
    _transposed(_gine_backward_table, grid, tile, grad, x, edge, kind, layout, grad_x, tables, **extra)
    return grad_x, tables.sum(0).to(x.dtype)


def _transposed(
    kernel: Any,
    grid: tuple[int, int],
    tile: Tile,
    grad: Tensor,
    x: Tensor,
    edge: Tensor,
    kind: Tensor | None,
    layout: Layout,
    grad_x: Tensor,
    grad_edge: Tensor,
    **extra: int | str,
) -> None:
    part = tile.partial(x.size(1), x)
    launch(
        kernel, grid, x,
        layout.ptr_t, layout.idx_t, layout.eid_t, grad.contiguous(), x.contiguous(), edge.contiguous(), kind,
        grad_x, grad_edge, part, x.size(0), layout.num_edges, x.size(1), **extra, **tile.meta,
    )  # fmt: skip
    fold(tile, layout.t, part, grad_x)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _gine(
    ptr, idx, eid, x, edge, kind, out, part, n_rows, n_edges, width,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    acc = tl.zeros((LANES, WIDTH), ACC)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        mask = live[:, None] & (channel < width)[None, :]
        at = tl.load(idx + slot, mask=live, other=0).to(tl.int64)[:, None] * width + channel[None, :]
        sent = tl.load(x + at, mask=mask, other=0.0).to(ACC)
        at = feature_of(edge_of(slot, live, eid), live, kind)[:, None] * width + channel[None, :]
        sent += tl.load(edge + at, mask=mask, other=0.0).to(ACC)
        acc += tl.where(sent <= 0.0, 0.0, sent)  # unlike a maximum, lets NaN through
    put(acc, out, part, row, channel, width, whole, piece)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _gine_backward(
    ptr, idx, eid, grad, x, edge, kind, grad_x, grad_edge, part, n_rows, n_edges, width,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = (channel < width)[None, :]
    own = tl.load(x + row[:, None] * width + channel[None, :], mask=(start < end)[:, None] & inside, other=0.0).to(ACC)
    acc = tl.zeros((LANES, WIDTH), ACC)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        number = edge_of(slot, live, eid)
        place = feature_of(number, live, kind)
        passed = _passed(own, grad, idx, edge, slot, place, live, channel, width, ACC)
        at = number[:, None] * width + channel[None, :]
        tl.store(grad_edge + at, passed.to(grad_edge.dtype.element_ty), mask=live[:, None] & inside)
        acc += passed
    put(acc, grad_x, part, row, channel, width, whole, piece)


@triton.jit(do_not_specialize=["n_rows", "n_edges", "n_types", "n_blocks"])
def _gine_backward_table(
    ptr, idx, eid, grad, x, edge, kind, grad_x, tables, part, n_rows, n_edges, width, n_types, n_blocks,
    TYPES: tl.constexpr, PRECISION: tl.constexpr,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = (channel < width)[None, :]
    types = tl.arange(0, TYPES)
    table = tl.zeros((TYPES, WIDTH), ACC)
    for block in range(tl.program_id(0), n_blocks, tl.num_programs(0)):
        row, _, start, end, whole, piece = assign(block, ptr, n_rows, n_edges, 1, CHUNK, LANES)
        mask = (start < end)[:, None] & inside
        own = tl.load(x + row[:, None] * width + channel[None, :], mask=mask, other=0.0).to(ACC)
        acc = tl.zeros((LANES, WIDTH), ACC)
        for step in range(0, tl.max(end - start, 0)):
            slot = start + step
            live = slot < end
            place = feature_of(edge_of(slot, live, eid), live, kind)
            passed = _passed(own, grad, idx, edge, slot, place, live, channel, width, ACC)
            acc += passed
            chosen = (types[:, None] == place[None, :]).to(ACC)
            table = tl.dot(chosen, passed, table, input_precision=PRECISION)
        put(acc, grad_x, part, row, channel, width, whole, piece)
    at = (tl.program_id(0).to(tl.int64) * n_types + types)[:, None] * width + channel[None, :]
    tl.store(tables + at, table, mask=(types < n_types)[:, None] & inside)


@triton.jit
def _passed(own, grad, idx, edge, slot, place, live, channel, width, ACC: tl.constexpr):
    """The gradient of each lane's target, where the message to it is open."""
    mask = live[:, None] & (channel < width)[None, :]
    at = tl.load(idx + slot, mask=live, other=0).to(tl.int64)[:, None] * width + channel[None, :]
    above = tl.load(grad + at, mask=mask, other=0.0).to(ACC)
    sent = own + tl.load(edge + place[:, None] * width + channel[None, :], mask=mask, other=0.0).to(ACC)
    return tl.where(sent <= 0.0, 0.0, above)


@triton.jit
def feature_of(number, live, kind):
    """Row of the edge features of every edge."""
    if kind is not None:
        number = tl.load(kind + number, mask=live, other=0).to(tl.int64)
    return number
