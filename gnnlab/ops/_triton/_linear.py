"""Weighted sums over the edges of every row, and products per edge."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._triton._rows import assign, edge_of, fold, launch, put
from gnnlab.ops._triton._tile import Tile, tiled


def spmm(x: Tensor, weight: Tensor | None, mean: bool, layout: Layout) -> Tensor:
    out, _ = weighted_sum(x, weight, layout, mean=mean)
    return out


def weighted_sum(
    x: Tensor, weight: Tensor | None, layout: Layout, mean: bool = False, also: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """[R, H, K] sums of ``weight * x``, and with ``also`` [E, H] in the same pass its sums [R, H]."""
    rows, (_, heads, channels) = layout.num_rows, x.shape
    out = x.new_empty(rows, heads, channels)
    lanes, width = (1, heads * channels) if weight is None and also is None else (heads, channels)
    tile = tiled(rows, layout.num_edges, lanes, width, x)
    part = tile.partial(width, x)
    sums = None if also is None else also.new_empty(rows, heads)
    part_sums = None if also is None else tile.partial(1, x)
    launch(
        _spmm, tile.grid, x,
        layout.ptr, layout.idx, layout.eid, x.contiguous(), weight if weight is None else weight.contiguous(), also,
        out, sums, part, part_sums, rows, layout.num_edges, lanes, width,
        MEAN=mean, UNROLL=_unroll(tile, weight), **tile.meta,
    )  # fmt: skip
    fold(tile, layout, part, out, mean)
    if also is not None:
        fold(tile, layout, part_sums, sums)
    return out, sums


def sddmm(a: Tensor, b: Tensor, layout: Layout) -> Tensor:
    rows, (_, heads, channels) = layout.num_rows, a.shape
    out = a.new_empty(layout.num_edges, heads)
    tile = tiled(rows, layout.num_edges, heads, channels, a)
    launch(
        _sddmm, (tile.grid[0], 1), a,
        layout.ptr, layout.idx, layout.eid, a.contiguous(), b.contiguous(), out,
        rows, layout.num_edges, heads, channels, ONE=tile.grid[1] == 1, **tile.meta,
    )  # fmt: skip
    return out


def _unroll(tile: Tile, weight: Tensor | None) -> int:
    """Edges of a lane that are read before the first is used: more, the fewer lanes there are."""
    if tile.meta["LANES"] == 1:
        return 4
    return 2 if weight is None else 1


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _spmm(
    ptr, idx, eid, x, weight, also, out, sums, part, part_sums, n_rows, n_edges, heads, width,
    MEAN: tl.constexpr, UNROLL: tl.constexpr,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, head, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, heads, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    acc = tl.zeros((LANES, WIDTH), ACC)
    side = tl.zeros((LANES,), ACC)
    for step in range(0, tl.max(end - start, 0), UNROLL):
        for ahead in tl.static_range(UNROLL):
            slot = start + step + ahead
            live = slot < end
            at = tl.load(idx + slot, mask=live, other=0).to(tl.int64) * heads + head
            mask = live[:, None] & (channel < width)[None, :]
            value = tl.load(x + at[:, None] * width + channel[None, :], mask=mask, other=0.0).to(ACC)
            if weight is not None:
                at = edge_of(slot, live, eid) * heads + head
                value *= tl.load(weight + at, mask=live, other=0.0).to(ACC)[:, None]
            if also is not None:
                at = edge_of(slot, live, eid) * heads + head
                side += tl.load(also + at, mask=live, other=0.0).to(ACC)
            acc += value
    place = row * heads + head
    value = acc
    if MEAN:
        value = acc / tl.maximum(end - start, 1).to(ACC)[:, None]
        if part is not None:
            value = tl.where(whole[:, None], value, acc)
    put(value, out, part, place, channel, width, whole, piece)
    if also is not None:
        # Every block of channels has the same sums: the first one writes them.
        put(side[:, None], sums, part_sums, place, tl.program_id(1) + tl.arange(0, 1), 1, whole, piece)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _sddmm(
    ptr, idx, eid, a, b, out, n_rows, n_edges, heads, width,
    ONE: tl.constexpr, CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, head, start, end, _, _ = assign(tl.program_id(0), ptr, n_rows, n_edges, heads, CHUNK, LANES)
    own = (row * heads + head) * width
    live = start < end
    left = row_part(a, own, 0, live, width, ACC, WIDTH)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        at = (tl.load(idx + slot, mask=live, other=0).to(tl.int64) * heads + head) * width
        dot = tl.sum(left * row_part(b, at, 0, live, width, ACC, WIDTH), 1)
        if not ONE:
            for begin in range(WIDTH, width, WIDTH):
                more = row_part(a, own, begin, live, width, ACC, WIDTH)
                dot += tl.sum(more * row_part(b, at, begin, live, width, ACC, WIDTH), 1)
        at = edge_of(slot, live, eid) * heads + head
        tl.store(out + at, dot.to(out.dtype.element_ty), mask=live)


@triton.jit
def row_part(x, at, begin, live, width, ACC: tl.constexpr, WIDTH: tl.constexpr):
    """[LANES, WIDTH] of the rows that start at ``at``, from channel ``begin`` on."""
    channel = begin + tl.arange(0, WIDTH)
    mask = live[:, None] & (channel < width)[None, :]
    return tl.load(x + at[:, None] + channel[None, :], mask=mask, other=0.0).to(ACC)
