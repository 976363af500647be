"""How many programs a kernel is launched with, and what each of them holds: decided from sizes alone.

Nothing here looks at the data, so no launch waits for the device and all of them can be captured in a graph.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

CHUNK = 256
"""Edges of a row that one program adds up; the rest of a longer row goes to other programs."""

SPLIT_FROM = 2048
"""Edges from which a matrix may have rows worth splitting. Below, the second launch costs more than it saves."""

WIDEST = 256
"""Channels of one program; more of them go to other programs, which read the indices again."""

_HELD = 8192  # bytes of an accumulator: 16 registers for each of 128 threads


class Tile(NamedTuple):
    """One launch over the rows of a matrix.

    Args:
        grid: Programs, by rows and by channels.
        heads: Lanes of a row.
        pieces: Rows of a buffer of partial sums; 0 if no row is split.
        meta: What the kernel is compiled for.
    """

    grid: tuple[int, int]
    heads: int
    pieces: int
    meta: dict[str, Any]

    def partial(self, width: int, like: Tensor) -> Tensor | None:
        """An empty buffer of partial sums, [pieces, width] in at least single precision."""
        return like.new_empty(self.pieces, width, dtype=wide(like)) if self.pieces else None

    @property
    def only_pieces(self) -> tuple[int, int]:
        """The grid without the programs of the short rows."""
        return triton.cdiv(self.pieces, self.meta["LANES"]), self.grid[1]


def tiled(num_rows: int, num_edges: int, heads: int, width: int, like: Tensor, lanes: int = 0) -> Tile:
    """A launch of ``heads`` lanes for every row, ``width`` channels for every lane.

    Few edges per row: many lanes, so that enough loads are in flight although each lane has few. Many edges: one
    row fills the program, of as many warps as read it 16 bytes per thread at a time.
    """
    columns = min(WIDEST, triton.next_power_of_2(width))
    size = wide(like).itemsize
    # Rows that start anywhere are read value by value, with an address for each: half as many fill the registers.
    held = _HELD if width * like.element_size() % 16 == 0 else _HELD // 2
    if not lanes:
        lanes = min(128, max(1, held // (columns * size)) if num_edges <= 8 * num_rows else max(1, 128 // columns))
    read = 512 // like.element_size() if lanes == 1 else held // (4 * size)
    warps = max(1, lanes // 32, min(8, lanes * columns // read))
    chunk = CHUNK if num_edges > SPLIT_FROM else 0
    pieces = 2 * triton.cdiv(num_edges, chunk) * heads if chunk else 0
    blocks = triton.cdiv(pieces, lanes) + triton.cdiv(num_rows * heads, lanes)
    meta = {"CHUNK": chunk, "ACC": accumulator(like), "LANES": lanes, "WIDTH": columns, "num_warps": warps}
    return Tile((blocks, triton.cdiv(width, columns)), heads, pieces, meta)


def wide(like: Tensor) -> torch.dtype:
    """The dtype sums are kept in."""
    return torch.promote_types(like.dtype, torch.float32)


def accumulator(like: Tensor) -> tl.dtype:
    return tl.float64 if like.dtype == torch.float64 else tl.float32
