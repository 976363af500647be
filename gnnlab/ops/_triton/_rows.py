"""Which rows a program works on and where their sums go: the frame every kernel is written in.

A lane is one row of the matrix and one head. Rows of more than CHUNK edges are passed over and taken in pieces
by other programs of the same launch: the slots are cut every CHUNK, and between two cuts there are at most two
such rows, one that comes in from the left (piece 2c) and one that starts inside (piece 2c + 1). Every piece is
found by a search in ``ptr``, so there is no plan to build, keep or wait for. Pieces leave partial sums, which
a second launch adds up in their order.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._triton._tile import Tile, accumulator


@triton.jit
def row_of(slot, ptr, n_rows, LANES: tl.constexpr):
    """The last row that starts at or before the slot of each lane; fewer lanes look at more rows in every step."""
    ways: tl.constexpr = 256 // LANES
    low = slot * 0
    span = n_rows
    while span > 1:
        stride = (span + ways - 1) // ways
        row = low[:, None] + (tl.arange(0, ways) * stride)[None, :]
        reached = tl.load(ptr + row, mask=row < n_rows, other=2147483647) <= slot[:, None]
        low += (tl.sum(reached.to(tl.int32), 1) - 1) * stride
        span = stride
    return low


@triton.jit
def assign(block, ptr, n_rows, n_edges, heads, CHUNK: tl.constexpr, LANES: tl.constexpr):
    """The lanes of a block of rows: row, head, first slot, end, whether it is a whole row, its piece or -1."""
    lane = tl.full((LANES,), LANES, tl.int64) * block + tl.arange(0, LANES)
    piece = tl.full((LANES,), -1, tl.int64)
    if CHUNK == 0:
        row = lane // heads
        whole = row < n_rows
        start = tl.load(ptr + row, mask=whole, other=0)
        end = tl.load(ptr + row + 1, mask=whole, other=0)
    else:
        pieces = 2 * ((n_edges - 1) // CHUNK + 1) * heads
        row_block = (pieces + LANES - 1) // LANES
        if block < row_block:
            side = lane // heads % 2
            low = lane // (2 * heads) * CHUNK
            high = tl.minimum(low + CHUNK, n_edges)
            row = row_of(tl.where(side == 0, low, high - 1), ptr, n_rows, LANES)
            first = tl.load(ptr + row)
            last = tl.load(ptr + row + 1)
            mine = (lane < pieces) & (last - first > CHUNK) & ((first < low) == (side == 0))
            start = tl.where(mine, tl.maximum(first, low), 0).to(tl.int32)
            end = tl.where(mine, tl.minimum(last, high), 0).to(tl.int32)
            piece = tl.where(mine, lane, piece)
            whole = lane < 0
        else:
            lane -= row_block * LANES
            row = lane // heads
            whole = row < n_rows
            start = tl.load(ptr + row, mask=whole, other=0)
            end = tl.load(ptr + row + 1, mask=whole, other=0)
            whole = whole & (end - start <= CHUNK)
            end = tl.where(whole, end, start)
    return row, lane % heads, start, end, whole, piece


@triton.jit
def edge_of(slot, live, eid):
    """The edge of every slot."""
    number = slot.to(tl.int64)
    if eid is not None:
        number = tl.load(eid + slot, mask=live, other=0).to(tl.int64)
    return number


@triton.jit
def put(value, out, part, place, channel, width, whole, piece):
    """Whole rows go to their place, pieces to the partial sums."""
    at = place[:, None] * width + channel[None, :]
    tl.store(out + at, value.to(out.dtype.element_ty), mask=whole[:, None] & (channel < width)[None, :])
    if part is not None:
        put_piece(value, part, channel, width, piece)


@triton.jit
def put_piece(value, part, channel, width, piece):
    at = piece[:, None] * width + channel[None, :]
    tl.store(part + at, value, mask=(piece >= 0)[:, None] & (channel < width)[None, :])


@triton.jit
def long_row(chunk, ptr, n_rows, n_edges, CHUNK: tl.constexpr):
    """The split row that starts in a chunk, its edges, and the number of its pieces: 0 if none starts there."""
    inner = tl.full((1,), CHUNK, tl.int64) * chunk + (CHUNK - 1)
    row = tl.sum(row_of(tl.minimum(inner, n_edges - 1), ptr, n_rows, 1), 0)
    first = tl.load(ptr + row)
    degree = tl.load(ptr + row + 1) - first
    starts = (degree > CHUNK) & (first >= chunk * CHUNK)
    return row, degree, tl.where(starts, (first + degree - 1) // CHUNK - chunk + 1, 0)


@triton.jit
def piece_of(chunk, nth, head, heads):
    """The nth piece of the row that starts in a chunk."""
    return (2 * (chunk + nth) + (nth == 0)).to(tl.int64) * heads + head


@triton.jit
def total(
    part, chunk, count, head, heads, channel, width,
    ACC: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """[WIDTH], the sum of the pieces of a row."""
    acc = tl.zeros((WIDTH,), ACC)
    for begin in range(0, count, PARTS):
        nth = begin + tl.arange(0, PARTS)
        at = piece_of(chunk, nth, head, heads)[:, None] * width + channel[None, :]
        acc += tl.sum(tl.load(part + at, mask=(nth < count)[:, None] & (channel < width)[None, :], other=0.0), 0)
    return acc


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _fold(
    ptr, part, out, n_rows, n_edges, heads, width,
    MEAN: tl.constexpr, CHUNK: tl.constexpr, ACC: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    chunk, head = tl.program_id(0) // heads, tl.program_id(0) % heads
    row, degree, count = long_row(chunk, ptr, n_rows, n_edges, CHUNK)
    if count > 0:
        channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
        acc = total(part, chunk, count, head, heads, channel, width, ACC, WIDTH, PARTS)
        if MEAN:
            acc /= degree.to(ACC)
        at = (row * heads + head) * width + channel
        tl.store(out + at, acc.to(out.dtype.element_ty), mask=channel < width)


def fold(tile: Tile, layout: Layout, part: Tensor | None, out: Tensor, mean: bool = False) -> None:
    """Fill the split rows of ``out`` [R, (heads,) F] with the sums of their pieces."""
    if part is None:
        return
    width = part.size(1)
    grid, meta = fold_tile(tile, width, out)
    launch(_fold, grid, out, layout.ptr, part, out, layout.num_rows, layout.num_edges, tile.heads, width, mean, **meta)


def fold_tile(tile: Tile, width: int, like: Tensor) -> tuple[tuple[int, int], dict[str, Any]]:
    """The launch that visits every chunk and head, where a split row may start."""
    columns = min(128, triton.next_power_of_2(width))
    meta = {"CHUNK": tile.meta["CHUNK"], "ACC": accumulator(like), "WIDTH": columns, "PARTS": 16}
    return (tile.pieces // 2, triton.cdiv(width, columns)), {**meta, "num_warps": 4 if columns >= 32 else 1}


def launch(kernel: Any, grid: tuple[int, int], like: Tensor, *args: Any, **meta: Any) -> None:
    """Run a kernel on the device of ``like``."""
    with torch.cuda.device_of(like):
        kernel[grid](*args, **meta)
