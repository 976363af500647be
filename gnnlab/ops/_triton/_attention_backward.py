"""Gradients of attention: one pass over incoming edges recomputes the softmax, one over outgoing edges adds up."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._scoring import Scoring
from gnnlab.ops._triton._attention import contiguous, scores
from gnnlab.ops._triton._linear import row_part, weighted_sum
from gnnlab.ops._triton._rows import assign, edge_of, fold, launch, put
from gnnlab.ops._triton._tile import tiled, wide


def attention_backward(
    grad_out: Tensor,
    grad_lse: Tensor,
    x: Tensor,
    scoring: Scoring,
    out: Tensor,
    lse: Tensor,
    layout: Layout,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    *terms, slope, skip_loops = scoring
    (rows, heads, channels), num_edges = x.shape, layout.num_edges
    grad_target, grad_out = x.new_empty(rows, heads), grad_out.contiguous()
    grad_edge, grad_weight = x.new_empty(num_edges, heads), x.new_empty(num_edges, heads)
    share = x.new_empty(num_edges, heads, dtype=wide(x))
    tile = tiled(rows, num_edges, heads, channels, x)
    part = tile.partial(1, x)
    launch(
        _to_targets, (tile.grid[0], 1), x,
        layout.ptr, layout.idx, layout.eid, grad_out, grad_lse.contiguous(), x.contiguous(),
        *contiguous(*terms), out.contiguous(), lse.contiguous(),
        grad_target, grad_edge, grad_weight, share, part, rows, num_edges, heads, channels,
        SLOPE=slope, SKIP=skip_loops, ONE=tile.grid[1] == 1, **tile.meta,
    )  # fmt: skip
    fold(tile, layout, part, grad_target)
    grad_x, grad_source = weighted_sum(grad_out, share, layout.t, also=grad_edge)
    return grad_x, grad_source, grad_target, grad_edge, grad_weight


@triton.jit(do_not_specialize=["n_rows", "n_edges"])
def _to_targets(
    ptr, idx, eid, grad_out, grad_lse, x, source, target, edge, weight, out, lse,
    grad_target, grad_edge, grad_weight, share, part, n_rows, n_edges, heads, width,
    SLOPE: tl.constexpr, SKIP: tl.constexpr, ONE: tl.constexpr,
    CHUNK: tl.constexpr, ACC: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row, head, start, end, whole, piece = assign(tl.program_id(0), ptr, n_rows, n_edges, heads, CHUNK, LANES)
    place = row * heads + head
    used = start < end
    above = row_part(grad_out, place * width, 0, used, width, ACC, WIDTH)
    along = tl.sum(above * row_part(out, place * width, 0, used, width, ACC, WIDTH), 1)
    if not ONE:
        for begin in range(WIDTH, width, WIDTH):
            more = row_part(grad_out, place * width, begin, used, width, ACC, WIDTH)
            along += tl.sum(more * row_part(out, place * width, begin, used, width, ACC, WIDTH), 1)
    along -= tl.load(grad_lse + place, mask=used, other=0.0).to(ACC)
    norm = tl.load(lse + place, mask=used, other=0.0).to(ACC)
    norm = tl.where(norm == float("-inf"), 0.0, norm)
    acc = tl.zeros((LANES,), ACC)
    for step in range(0, tl.max(end - start, 0)):
        slot = start + step
        live = slot < end
        column = tl.load(idx + slot, mask=live, other=0).to(tl.int64)
        number = edge_of(slot, live, eid)
        at = (column * heads + head) * width
        dot = tl.sum(above * row_part(x, at, 0, live, width, ACC, WIDTH), 1)
        if not ONE:
            for begin in range(WIDTH, width, WIDTH):
                more = row_part(grad_out, place * width, begin, live, width, ACC, WIDTH)
                dot += tl.sum(more * row_part(x, at, begin, live, width, ACC, WIDTH), 1)
        raw, score = scores(source, target, edge, row, head, column, number, live, heads, SLOPE, SKIP, ACC)
        power = tl.exp(score - norm)
        at = number * heads + head
        tl.store(grad_weight + at, (power * dot).to(grad_weight.dtype.element_ty), mask=live)
        factor = power
        if weight is not None:
            value = tl.load(weight + at, mask=live, other=0.0).to(ACC)
            dot *= value
            factor *= value
        tl.store(share + at, factor, mask=live)
        grad = power * (dot - along)
        grad = tl.where(raw > 0.0, grad, grad * SLOPE)
        tl.store(grad_edge + at, grad.to(grad_edge.dtype.element_ty), mask=live)
        acc += tl.where(live, grad, 0.0)
    put(acc[:, None], grad_target, part, place, tl.arange(0, 1), 1, whole, piece)
