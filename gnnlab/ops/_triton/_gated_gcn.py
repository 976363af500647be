"""Gated graph convolution: the gates are formed, used and kept as logits in one pass over the edges."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import GATE_EPS, Layout
from gnnlab.ops._triton._rows import assign, edge_of, fold, fold_tile, launch, long_row, put, put_piece, total
from gnnlab.ops._triton._tile import tiled, wide


def gated_gcn(
    value: Tensor, source: Tensor, target: Tensor, edge: Tensor | None, layout: Layout
) -> tuple[Tensor, Tensor, Tensor]:
    rows, width, num_edges = layout.num_rows, value.size(1), layout.num_edges
    out, den, pre = value.new_empty(rows, width), value.new_empty(rows, width), value.new_empty(num_edges, width)
    tile = tiled(rows, num_edges, 1, width, value)
    part_num, part_den = tile.partial(width, value), tile.partial(width, value)
    launch(
        _gated_gcn, tile.grid, value,
        layout.ptr, layout.idx, layout.eid, value.contiguous(), source.contiguous(), target.contiguous(),
        edge if edge is None else edge.contiguous(), out, pre, den, part_num, part_den, rows, num_edges, width,
        EPS=GATE_EPS, **tile.meta,
    )  # fmt: skip
    if part_num is not None:
        grid, meta = fold_tile(tile, width, value)
        launch(
            _fold_ratio, grid, value,
            layout.ptr, part_num, part_den, out, den, rows, num_edges, width, EPS=GATE_EPS, **meta,
        )  # fmt: skip
    return out, pre, den


def gated_gcn_backward(
    grad_out: Tensor, grad_pre: Tensor, value: Tensor, out: Tensor, pre: Tensor, den: Tensor, layout: Layout
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, width, num_edges = layout.num_rows, value.size(1), layout.num_edges
    grad_value, grad_source, grad_target = (value.new_empty(value.shape) for _ in range(3))
    grad_edge, pre = pre.new_empty(pre.shape), pre.contiguous()
    scaled = value.new_empty(rows, width, dtype=wide(value))  # grad_out / den: one row to read per edge, not two
    tile = tiled(rows, num_edges, 1, width, value)
    part = tile.partial(width, value)
    launch(
        _to_targets, tile.grid, value,
        layout.ptr, layout.idx, layout.eid, grad_out.contiguous(), grad_pre.contiguous(), value.contiguous(),
        out.contiguous(), pre, den.contiguous(), scaled, grad_target, grad_edge, part, rows, num_edges, width,
        **tile.meta,
    )  # fmt: skip
    fold(tile, layout, part, grad_target)
    part_value, part_source = tile.partial(width, value), tile.partial(width, value)
    launch(
        _to_sources, tile.grid, value,
        layout.ptr_t, layout.idx_t, layout.eid_t, scaled, pre, grad_edge, grad_value, grad_source,
        part_value, part_source, rows, num_edges, width, **tile.meta,
    )  # fmt: skip
    fold(tile, layout.t, part_value, grad_value)
    fold(tile, layout.t, part_source, grad_source)
    return grad_value, grad_source, grad_target, grad_edge


@triton.jit
def _sigmoid(value):
    return 1.0 / (1.0 + tl.exp(-value))


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _gated_gcn(
    ptr, idx, eid, value, source, target, edge, out, pre, den, part_num, part_den, n_rows, n_edges, width,
    EPS: tl.constexpr, CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = (channel < width)[None, :]
    own = row[:, None] * width + channel[None, :]
    base = tl.load(target + own, mask=(start < end)[:, None] & inside, other=0.0).to(ACC)
    messages = tl.zeros((LANES, WIDTH), ACC)
    gates = tl.zeros((LANES, WIDTH), ACC)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        mask = live[:, None] & inside
        there = tl.load(idx + slot, mask=live, other=0).to(tl.int64)[:, None] * width + channel[None, :]
        here = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
        logit = base + tl.load(source + there, mask=mask, other=0.0).to(ACC)
        if edge is not None:
            logit += tl.load(edge + here, mask=mask, other=0.0).to(ACC)
        sent = tl.load(value + there, mask=mask, other=0.0).to(ACC)
        tl.store(pre + here, logit.to(pre.dtype.element_ty), mask=mask)
        gate = tl.where(mask, _sigmoid(logit), 0.0)
        messages += gate * sent
        gates += gate
    if part_num is not None:
        put_piece(messages, part_num, channel, width, piece)
        put_piece(gates, part_den, channel, width, piece)
    gates += EPS
    put(messages / gates, out, None, row, channel, width, whole, piece)
    put(gates, den, None, row, channel, width, whole, piece)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _fold_ratio(
    ptr, part_num, part_den, out, den, n_rows, n_edges, width,
    EPS: tl.constexpr, CHUNK: tl.constexpr, ACC: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    chunk = tl.program_id(0)
    row, _, count = long_row(chunk, ptr, n_rows, n_edges, CHUNK)
    if count > 0:
        channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
        gates = total(part_den, chunk, count, 0, 1, channel, width, ACC, WIDTH, PARTS) + EPS
        messages = total(part_num, chunk, count, 0, 1, channel, width, ACC, WIDTH, PARTS)
        at = row * width + channel
        tl.store(out + at, (messages / gates).to(out.dtype.element_ty), mask=channel < width)
        tl.store(den + at, gates.to(den.dtype.element_ty), mask=channel < width)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _to_targets(
    ptr, idx, eid, grad_out, grad_pre, value, out, pre, den, scaled, grad_target, grad_edge, part,
    n_rows, n_edges, width,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = (channel < width)[None, :]
    own = row[:, None] * width + channel[None, :]
    used = (start < end)[:, None] & inside
    above = tl.load(grad_out + own, mask=used, other=0.0).to(ACC) / tl.load(den + own, mask=used, other=1.0).to(ACC)
    result = tl.load(out + own, mask=used, other=0.0).to(ACC)
    begins = start == tl.load(ptr + row, mask=start < end, other=-1)  # the first piece writes for all of its row
    tl.store(scaled + own, above, mask=used & begins[:, None])
    acc = tl.zeros((LANES, WIDTH), ACC)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        mask = live[:, None] & inside
        there = tl.load(idx + slot, mask=live, other=0).to(tl.int64)[:, None] * width + channel[None, :]
        here = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
        sent = tl.load(value + there, mask=mask, other=0.0).to(ACC)
        gate = _sigmoid(tl.load(pre + here, mask=mask, other=0.0).to(ACC))
        grad = tl.load(grad_pre + here, mask=mask, other=0.0).to(ACC)
        grad += tl.where(mask, gate * (1.0 - gate) * above * (sent - result), 0.0)
        tl.store(grad_edge + here, grad.to(grad_edge.dtype.element_ty), mask=mask)
        acc += grad
    put(acc, grad_target, part, row, channel, width, whole, piece)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _to_sources(
    ptr, idx, eid, scaled, pre, grad_edge, grad_value, grad_source, part_value, part_source, n_rows, n_edges, width,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    for_value = tl.zeros((LANES, WIDTH), ACC)
    for_source = tl.zeros((LANES, WIDTH), ACC)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        mask = live[:, None] & (channel < width)[None, :]
        there = tl.load(idx + slot, mask=live, other=0).to(tl.int64)[:, None] * width + channel[None, :]
        here = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
        gate = _sigmoid(tl.load(pre + here, mask=mask, other=0.0).to(ACC))
        for_value += gate * tl.load(scaled + there, mask=mask, other=0.0)
        for_source += tl.load(grad_edge + here, mask=mask, other=0.0).to(ACC)
    put(for_value, grad_value, part_value, row, channel, width, whole, piece)
    put(for_source, grad_source, part_source, row, channel, width, whole, piece)
