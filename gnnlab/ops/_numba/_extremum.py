"""Largest or smallest source of every row with the edge it came over, and the way back to it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._numba._jit import bound, claim, compiled, flat, index, inlined
from gnnlab.ops._numba._threads import run

__all__ = ["extremum", "spread"]

_ZERO, _INF, _NOWHERE = np.float32(0), np.float32(np.inf), np.int32(-1)
_SPARSE = 6  # edges per row up to which reading every edge beats writing wherever a winner points
_LINE = 16  # columns that a thread needs for itself, lest two write to one cache line


def extremum(x: Tensor, largest: bool, layout: Layout) -> tuple[Tensor, Tensor]:
    shape = (layout.num_rows, x.size(1))
    out, winner = x.new_empty(shape), layout.idx.new_empty(shape)
    size = (layout.num_edges + 2 * shape[0]) * shape[1]
    values, rows = flat(x), (flat(layout.ptr), flat(layout.idx), flat(layout.eid))
    sign = values.dtype.type(1 if largest else -1)
    run(_extreme, size, shape[1], sign, *rows, values, flat(out), flat(winner))
    return out, winner


def spread(x: Tensor, winner: Tensor, layout: Layout) -> Tensor:
    num_sources, width = layout.t.num_rows, x.size(1)
    size = 2 * layout.num_edges * width
    if layout.num_edges <= _SPARSE * layout.num_rows:
        out = x.new_empty(num_sources, width)
        rows = flat(layout.ptr_t), flat(layout.idx_t), flat(layout.eid_t)
        run(_gather_won, size, width, *rows, flat(x), flat(winner), flat(out))
        return out
    out = x.new_zeros(num_sources, width)
    # Threads share out the columns, so that each column is added up in row order.
    blocks = min(-(-width // _LINE), torch.get_num_threads())
    run(_scatter_won, size, width, blocks, flat(layout.source), flat(x), flat(winner), flat(out))
    return out


@compiled
def _extreme(counter, chunks, width, sign, ptr, idx, eid, x, out, winner):
    width = index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for v in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            first, last, to = index(ptr[v]), index(ptr[v + 1]), index(v) * width
            if first == last:
                _clear(out, winner, to, width)
            else:
                u, name = index(idx[first]), _name(eid, first)
                for f in range(width):
                    value = x[u * width + f]
                    out[to + f] = value
                    winner[to + f] = _NOWHERE if sign * value == -_INF else name
                for slot in range(first + index(1), last):
                    _keep_best(out, winner, to, x, index(idx[slot]) * width, _name(eid, slot), sign, width)
        chunk = claim(counter, 1)


@inlined
def _name(eid, slot):
    return eid[slot] if eid.size else np.int32(slot)


@inlined
def _clear(out, winner, to, width):
    for f in range(width):
        out[to + f] = _ZERO
        winner[to + f] = _NOWHERE


@inlined
def _keep_best(out, winner, to, x, u, name, sign, width):
    # The first of equals stays, and the first NaN. A sign of -1 turns the smallest into the largest.
    for f in range(width):
        value, best = x[u + f], out[to + f]
        wins = (not sign * value <= sign * best) and best == best
        out[to + f] = value if wins else best
        winner[to + f] = name if wins else winner[to + f]


@compiled
def _gather_won(counter, chunks, width, ptr, idx, eid, x, winner, out):
    width = index(width)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for u in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            to = index(u) * width
            for f in range(width):
                out[to + f] = _ZERO
            for slot in range(index(ptr[u]), index(ptr[u + 1])):
                _add_won(out, to, x, winner, index(idx[slot]) * width, _name(eid, slot), width)
        chunk = claim(counter, 1)


@inlined
def _add_won(out, to, x, winner, v, name, width):
    for f in range(width):
        given = x[v + f]  # read in any case: the choice is then one instruction, not a branch
        out[to + f] += given if winner[v + f] == name else _ZERO


@compiled
def _scatter_won(counter, chunks, width, blocks, source, x, winner, out):
    columns = -(-width // (blocks * _LINE)) * _LINE
    chunk = claim(counter, 0)
    while chunk < chunks:
        for block in range(blocks * chunk // chunks, blocks * (chunk + 1) // chunks):
            first, last = index(min(width, block * columns)), index(min(width, (block + 1) * columns))
            for row in range(index(x.size // width)):
                for f in range(first, last):
                    place = row * index(width) + f
                    edge = winner[place]
                    if edge >= 0:
                        out[index(source[edge]) * index(width) + f] += x[place]
        chunk = claim(counter, 1)
