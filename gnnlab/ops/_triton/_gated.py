"""Sums of gated messages and of the gates themselves."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._triton._rows import assign, edge_of, fold, launch, put
from gnnlab.ops._triton._tile import tiled


def gated(x: Tensor, gate: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    width = x.size(1)
    num, den = x.new_empty(layout.num_rows, width), x.new_empty(layout.num_rows, width)
    tile = tiled(layout.num_rows, layout.num_edges, 1, width, x)
    part_num, part_den = tile.partial(width, x), tile.partial(width, x)
    launch(
        _gated, tile.grid, x,
        layout.ptr, layout.idx, layout.eid, x.contiguous(), gate.contiguous(), num, den, part_num, part_den,
        layout.num_rows, layout.num_edges, width, **tile.meta,
    )  # fmt: skip
    fold(tile, layout, part_num, num)
    fold(tile, layout, part_den, den)
    return num, den


def gated_backward(
    grad_num: Tensor, grad_den: Tensor, x: Tensor, gate: Tensor, layout: Layout
) -> tuple[Tensor, Tensor]:
    width = x.size(1)
    grad_x, grad_gate = x.new_empty(x.shape), gate.new_empty(gate.shape)
    tile = tiled(x.size(0), layout.num_edges, 1, width, x)
    part = tile.partial(width, x)
    launch(
        _gated_backward, tile.grid, x,
        layout.ptr_t, layout.idx_t, layout.eid_t, grad_num.contiguous(), grad_den.contiguous(), x.contiguous(),
        gate.contiguous(), grad_x, grad_gate, part, x.size(0), layout.num_edges, width, **tile.meta,
    )  # fmt: skip
    fold(tile, layout.t, part, grad_x)
    return grad_x, grad_gate


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _gated(
    ptr, idx, eid, x, gate, num, den, part_num, part_den, n_rows, n_edges, width,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    messages = tl.zeros((LANES, WIDTH), ACC)
    gates = tl.zeros((LANES, WIDTH), ACC)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        mask = live[:, None] & (channel < width)[None, :]
        at = tl.load(idx + slot, mask=live, other=0).to(tl.int64)[:, None] * width + channel[None, :]
        value = tl.load(x + at, mask=mask, other=0.0).to(ACC)
        at = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
        opened = tl.load(gate + at, mask=mask, other=0.0).to(ACC)
        messages += opened * value
        gates += opened
    put(messages, num, part_num, row, channel, width, whole, piece)
    put(gates, den, part_den, row, channel, width, whole, piece)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _gated_backward(
    ptr, idx, eid, grad_num, grad_den, x, gate, grad_x, grad_gate, part, n_rows, n_edges, width,
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
        mask = live[:, None] & inside
        at = tl.load(idx + slot, mask=live, other=0).to(tl.int64)[:, None] * width + channel[None, :]
        from_num = tl.load(grad_num + at, mask=mask, other=0.0).to(ACC)
        from_den = tl.load(grad_den + at, mask=mask, other=0.0).to(ACC)
        at = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
        acc += from_num * tl.load(gate + at, mask=mask, other=0.0).to(ACC)
        tl.store(grad_gate + at, (from_num * own + from_den).to(grad_gate.dtype.element_ty), mask=mask)
    put(acc, grad_x, part, row, channel, width, whole, piece)
