"""Largest and smallest values over the edges of every row, with the edge they came over, and the way back."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._triton._rows import assign, edge_of, fold, fold_tile, launch, long_row, piece_of, put
from gnnlab.ops._triton._tile import tiled


def extremum(x: Tensor, largest: bool, layout: Layout) -> tuple[Tensor, Tensor]:
    rows, width, num_edges = layout.num_rows, x.size(1), layout.num_edges
    out, winner = x.new_empty(rows, width), layout.idx.new_empty(rows, width)
    tile = tiled(rows, num_edges, 1, width, x)
    part = tile.partial(width, x)
    part_winner = None if part is None else winner.new_empty(tile.pieces, width)
    launch(
        _extremum, tile.grid, x,
        layout.ptr, layout.idx, layout.eid, x.contiguous(), out, winner, part, part_winner, rows, num_edges, width,
        LARGEST=largest, **tile.meta,
    )  # fmt: skip
    if part is not None:
        grid, meta = fold_tile(tile, width, x)
        launch(
            _fold_extremum, grid, x,
            layout.ptr, part, part_winner, out, winner, rows, num_edges, width, LARGEST=largest, **meta,
        )  # fmt: skip
    return out, winner


def spread(x: Tensor, winner: Tensor, layout: Layout) -> Tensor:
    """Every source looks along its edges at what they won."""
    columns, width = layout.t.num_rows, x.size(1)
    out = x.new_empty(columns, width)
    tile = tiled(columns, layout.num_edges, 1, width, x)
    part = tile.partial(width, x)
    launch(
        _spread, tile.grid, x,
        layout.ptr_t, layout.idx_t, layout.eid_t, x.contiguous(), winner.contiguous(), out, part,
        columns, layout.num_edges, width, **tile.meta,
    )  # fmt: skip
    fold(tile, layout.t, part, out)
    return out


@triton.jit
def _better(value, edge, best, winner, LARGEST: tl.constexpr):
    """What is seen first stays unless the next is strictly better, or the first that is not a number."""
    wins = value > best if LARGEST else value < best
    wins = (edge >= 0) & (wins | ((value != value) & (best == best)))
    return tl.where(wins, value, best), tl.where(wins, edge, winner)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _extremum(
    ptr, idx, eid, x, out, winners, part, part_winner, n_rows, n_edges, width, LARGEST: tl.constexpr,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, _, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, 1, CHUNK, LANES)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    best = tl.full((LANES, WIDTH), float("-inf") if LARGEST else float("inf"), ACC)
    winner = tl.full((LANES, WIDTH), -1, tl.int32)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        mask = live[:, None] & (channel < width)[None, :]
        at = tl.load(idx + slot, mask=live, other=0).to(tl.int64)[:, None] * width + channel[None, :]
        value = tl.load(x + at, mask=mask, other=0.0).to(ACC)
        edge = tl.where(live, edge_of(slot, live, eid), -1).to(tl.int32)
        best, winner = _better(value, edge[:, None], best, winner, LARGEST)
    best = tl.where((end > start)[:, None], best, 0.0)
    put(best, out, part, row, channel, width, whole, piece)
    put(winner, winners, part_winner, row, channel, width, whole, piece)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _fold_extremum(
    ptr, part, part_winner, out, winners, n_rows, n_edges, width, LARGEST: tl.constexpr,
    CHUNK: tl.constexpr, ACC: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    chunk = tl.program_id(0)
    row, _, count = long_row(chunk, ptr, n_rows, n_edges, CHUNK)
    if count > 0:
        channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
        best = tl.full((WIDTH,), float("-inf") if LARGEST else float("inf"), ACC)
        winner = tl.full((WIDTH,), -1, tl.int32)
        for begin in range(0, count, PARTS):
            for ahead in tl.static_range(PARTS):
                nth = begin + ahead
                mask = channel < tl.where(nth < count, width, 0)
                at = piece_of(chunk, nth, 0, 1) * width + channel
                value = tl.load(part + at, mask=mask, other=0.0)
                edge = tl.load(part_winner + at, mask=mask, other=-1)
                best, winner = _better(value, edge, best, winner, LARGEST)
        at = row * width + channel
        tl.store(out + at, best.to(out.dtype.element_ty), mask=channel < width)
        tl.store(winners + at, winner, mask=channel < width)


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _spread(
    ptr, idx, eid, x, winners, out, part, n_rows, n_edges, width,
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
        won = mask & (tl.load(winners + at, mask=mask, other=-1) == edge_of(slot, live, eid)[:, None])
        acc += tl.load(x + at, mask=won, other=0.0).to(ACC)
    put(acc, out, part, row, channel, width, whole, piece)
