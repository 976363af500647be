"""Attention over incoming edges with a running softmax: nothing of the size of the edges is written."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._scoring import Scoring
from gnnlab.ops._triton._rows import assign, edge_of, fold_tile, launch, long_row, piece_of, put, put_piece
from gnnlab.ops._triton._softmax import grow
from gnnlab.ops._triton._tile import tiled, wide


def attention(
    x: Tensor,
    scoring: Scoring,
    layout: Layout,
) -> tuple[Tensor, Tensor]:
    *terms, slope, skip_loops = scoring
    (rows, heads, channels), num_edges = x.shape, layout.num_edges
    out, lse = x.new_empty(x.shape), x.new_empty(rows, heads, dtype=wide(x))
    tile = tiled(rows, num_edges, heads, channels, x)
    part, tops, sums = (tile.partial(width, x) for width in (channels, 1, 1))
    launch(
        _attention, tile.grid, x,
        layout.ptr, layout.idx, layout.eid, x.contiguous(), *contiguous(*terms), out, lse,
        part, tops, sums, rows, num_edges, heads, channels, SLOPE=slope, SKIP=skip_loops, **tile.meta,
    )  # fmt: skip
    if part is not None:
        grid, meta = fold_tile(tile, channels, x)
        launch(
            _fold_attention, grid, x,
            layout.ptr, part, tops, sums, out, lse, rows, num_edges, heads, channels, **meta,
        )  # fmt: skip
    return out, lse


def contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [tensor if tensor is None else tensor.contiguous() for tensor in tensors]


@triton.jit
def scores(
    source, target, edge, row, head, column, number, live, heads,
    SLOPE: tl.constexpr, SKIP: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The score of every lane's edge, before and after the leaky rectifier; -inf where there is no edge."""
    raw = tl.zeros(row.shape, ACC)
    if source is not None:
        raw += tl.load(source + column * heads + head, mask=live, other=0.0).to(ACC)
    if target is not None:
        raw += tl.load(target + row * heads + head, mask=live, other=0.0).to(ACC)
    if edge is not None:
        raw += tl.load(edge + number * heads + head, mask=live, other=0.0).to(ACC)
    score = tl.where(raw > 0.0, raw, raw * SLOPE)
    if SKIP:
        live = live & (column != row)
    return raw, tl.where(live, score, float("-inf"))


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _attention(
    ptr, idx, eid, x, source, target, edge, weight, out, lse, part, tops, sums, n_rows, n_edges, heads, width,
    SLOPE: tl.constexpr, SKIP: tl.constexpr,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, head, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, heads, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    top = tl.full((LANES,), float("-inf"), ACC)
    powers = tl.zeros((LANES,), ACC)
    acc = tl.zeros((LANES, WIDTH), ACC)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        column = tl.load(idx + slot, mask=live, other=0).to(tl.int64)
        mask = live[:, None] & (channel < width)[None, :]
        value = tl.load(x + ((column * heads + head) * width)[:, None] + channel[None, :], mask=mask, other=0.0).to(ACC)
        number = edge_of(slot, live, eid)
        _, score = scores(source, target, edge, row, head, column, number, live, heads, SLOPE, SKIP, ACC)
        top, powers, scale, power = grow(top, powers, score)
        if weight is not None:
            power *= tl.load(weight + number * heads + head, mask=live, other=0.0).to(ACC)
        acc = acc * scale[:, None] + power[:, None] * value
    place = row * heads + head
    once = tl.program_id(1) + tl.arange(0, 1)  # the first block of channels writes what all of them have
    if part is not None:
        put_piece(acc, part, channel, width, piece)
        put_piece(top[:, None], tops, once, 1, piece)
        put_piece(powers[:, None], sums, once, 1, piece)
    put((top + tl.log(powers))[:, None], lse, None, place, once, 1, whole, piece)
    powers = tl.where(powers == 0.0, 1.0, powers)
    put(acc / powers[:, None], out, None, place, channel, width, whole, piece)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _fold_attention(
    ptr, part, tops, sums, out, lse, n_rows, n_edges, heads, width,
    CHUNK: tl.constexpr, ACC: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    chunk, head = tl.program_id(0) // heads, tl.program_id(0) % heads
    row, _, count = long_row(chunk, ptr, n_rows, n_edges, CHUNK)
    if count > 0:
        channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
        parts = tl.arange(0, PARTS)
        highest = tl.full((PARTS,), float("-inf"), ACC)
        for begin in range(0, count, PARTS):
            at = piece_of(chunk, begin + parts, head, heads)
            found = tl.load(tops + at, mask=begin + parts < count, other=float("-inf"))
            highest = tl.maximum(highest, found)
        top = tl.max(highest, 0)
        base = tl.where(top == float("-inf"), 0.0, top)
        powers = tl.zeros((PARTS,), ACC)
        acc = tl.zeros((WIDTH,), ACC)
        for begin in range(0, count, PARTS):
            at = piece_of(chunk, begin + parts, head, heads)
            mask = begin + parts < count
            scale = tl.exp(tl.load(tops + at, mask=mask, other=float("-inf")) - base)
            powers += scale * tl.load(sums + at, mask=mask, other=0.0)
            inside = mask[:, None] & (channel < width)[None, :]
            value = tl.load(part + at[:, None] * width + channel[None, :], mask=inside, other=0.0)
            acc += tl.sum(scale[:, None] * value, 0)
        summed = tl.sum(powers, 0)
        place = row * heads + head
        acc /= tl.where(summed == 0.0, 1.0, summed)
        tl.store(out + place * width + channel, acc.to(out.dtype.element_ty), mask=channel < width)
        tl.store(lse + place, base + tl.log(summed), mask=tl.program_id(1) == 0)
