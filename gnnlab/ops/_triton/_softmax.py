"""Softmax over the edges of every row. Split rows take two launches: one for their sums, one to divide by them."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._triton._rows import assign, edge_of, launch, piece_of, put_piece
from gnnlab.ops._triton._tile import tiled


def softmax(logits: Tensor, layout: Layout) -> Tensor:
    heads, rows, num_edges = logits.size(1), layout.num_rows, layout.num_edges
    out, logits = logits.new_empty(logits.shape), logits.contiguous()
    tile = tiled(rows, num_edges, 1, heads, logits)
    tops, sums = tile.partial(heads, logits), tile.partial(heads, logits)
    args = (layout.ptr, layout.eid, logits, out, tops, sums, rows, num_edges, heads)
    launch(_softmax, tile.grid, logits, *args, SHARE=False, **tile.meta)
    if tile.pieces:
        launch(_softmax, tile.only_pieces, logits, *args, SHARE=True, **tile.meta)
    return out


def softmax_backward(p: Tensor, grad: Tensor, layout: Layout) -> Tensor:
    heads, rows, num_edges = p.size(1), layout.num_rows, layout.num_edges
    out, p = p.new_empty(p.shape), p.contiguous()
    tile = tiled(rows, num_edges, 1, heads, p)
    args = (layout.ptr, layout.eid, p, grad.contiguous(), out, tile.partial(heads, p), rows, num_edges, heads)
    launch(_softmax_backward, tile.grid, p, *args, SHARE=False, **tile.meta)
    if tile.pieces:
        launch(_softmax_backward, tile.only_pieces, p, *args, SHARE=True, **tile.meta)
    return out


@triton.jit
def grow(top, powers, value):
    """Take a value into a running maximum and sum of exponentials: both, and what the old sum was scaled by."""
    new = tl.maximum(top, value)
    base = tl.where(new == float("-inf"), 0.0, new)  # nothing but masked values so far
    scale = tl.exp(top - base)
    power = tl.exp(value - base)
    return new, powers * scale + power, scale, power


@triton.jit
def pieces_of(row, live, ptr, CHUNK: tl.constexpr):
    """Chunk in which the row of each lane starts, and the number of its pieces."""
    chunk = tl.load(ptr + row, mask=live, other=0) // CHUNK
    last = tl.load(ptr + row + 1, mask=live, other=0) - 1
    return chunk, tl.where(live, last // CHUNK - chunk + 1, 0)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _softmax(
    ptr, eid, logits, out, tops, sums, n_rows, n_edges, width, SHARE: tl.constexpr,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = (channel < width)[None, :]
    top = tl.full((LANES, WIDTH), float("-inf"), ACC)
    powers = tl.zeros((LANES, WIDTH), ACC)
    longest = tl.max(end - start, 0)
    if SHARE:
        chunk, count = pieces_of(row, piece >= 0, ptr, CHUNK)
        for nth in range(0, tl.max(count, 0)):
            mask = (nth < count)[:, None] & inside
            at = piece_of(chunk, nth, 0, 1)[:, None] * width + channel[None, :]
            next_top = tl.load(tops + at, mask=mask, other=float("-inf"))
            new = tl.maximum(top, next_top)
            base = tl.where(new == float("-inf"), 0.0, new)
            powers *= tl.exp(top - base)
            powers += tl.load(sums + at, mask=mask, other=0.0) * tl.exp(next_top - base)
            top = new
    else:
        for step in range(0, longest):
            slot = start + step
            live = slot < end
            mask = live[:, None] & inside
            at = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
            value = tl.load(logits + at, mask=mask, other=float("-inf")).to(ACC)
            top, powers, _scale, _power = grow(top, powers, value)
        if tops is not None:
            put_piece(top, tops, channel, width, piece)
            put_piece(powers, sums, channel, width, piece)
            longest = tl.max(tl.where(whole, end - start, 0), 0)
    top = tl.where(top == float("-inf"), 0.0, top)
    powers = tl.where(powers == 0.0, 1.0, powers)
    for step in range(0, longest):
        slot = start + step
        live = (slot < end) & ((piece >= 0) if SHARE else whole)
        mask = live[:, None] & inside
        at = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
        value = tl.load(logits + at, mask=mask, other=0.0).to(ACC)
        tl.store(out + at, (tl.exp(value - top) / powers).to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _softmax_backward(
    ptr, eid, p, grad, out, dots, n_rows, n_edges, width, SHARE: tl.constexpr,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = (channel < width)[None, :]
    dot = tl.zeros((LANES, WIDTH), ACC)
    longest = tl.max(end - start, 0)
    if SHARE:
        chunk, count = pieces_of(row, piece >= 0, ptr, CHUNK)
        for nth in range(0, tl.max(count, 0)):
            at = piece_of(chunk, nth, 0, 1)[:, None] * width + channel[None, :]
            dot += tl.load(dots + at, mask=(nth < count)[:, None] & inside, other=0.0)
    else:
        for step in range(0, longest):
            slot = start + step
            live = slot < end
            mask = live[:, None] & inside
            at = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
            dot += tl.load(p + at, mask=mask, other=0.0).to(ACC) * tl.load(grad + at, mask=mask, other=0.0).to(ACC)
        if dots is not None:
            put_piece(dot, dots, channel, width, piece)
            longest = tl.max(tl.where(whole, end - start, 0), 0)
    for step in range(0, longest):
        slot = start + step
        live = (slot < end) & ((piece >= 0) if SHARE else whole)
        mask = live[:, None] & inside
        at = edge_of(slot, live, eid)[:, None] * width + channel[None, :]
        share = tl.load(p + at, mask=mask, other=0.0).to(ACC)
        above = tl.load(grad + at, mask=mask, other=0.0).to(ACC)
        tl.store(out + at, (share * (above - dot)).to(out.dtype.element_ty), mask=mask)
