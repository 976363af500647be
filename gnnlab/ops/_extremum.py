"""Maximum and minimum over the edges of a row, with the winner, and the way back to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnlab.ops._dispatch import kernel
from gnnlab.ops._layout import SCHEMA, Layout
from gnnlab.ops._operator import operator

__all__ = ["extremum"]


@operator("extremum", f"(Tensor x, bool largest, {SCHEMA}) -> (Tensor, Tensor)")
def extremum(x: Tensor, largest: bool, *layout: Tensor | None) -> tuple[Tensor, Tensor]:
    """[R, F] extreme of x over every row's sources and [R, F] int32 the edge it came over.

    The first slot wins a tie, NaN wins over everything, an empty row gives 0. The edge is -1 (and no
    gradient flows) in an empty row, and where everything is infinitely far from the wanted end.
    """
    rows = Layout(*layout)
    if rows.num_edges == 0 or x.numel() == 0:
        shape = (rows.num_rows, x.size(1))
        return x.new_zeros(shape), rows.idx.new_full(shape, -1)
    return kernel("extremum", x)(x, largest, rows)


@operator("spread", f"(Tensor x, Tensor winner, {SCHEMA}) -> Tensor")
def spread(x: Tensor, winner: Tensor, *layout: Tensor | None) -> Tensor:
    """out[source of winner[r, f], f] += x[r, f], skipping negative winners; the transpose of :func:`pick`."""
    rows = Layout(*layout)
    if rows.num_edges == 0 or x.numel() == 0:
        return x.new_zeros(rows.t.num_rows, x.size(1))
    return kernel("spread", x)(x, winner, rows)


def pick(x: Tensor, winner: Tensor, rows: Layout) -> Tensor:
    """out[r, f] = x[source of winner[r, f], f], 0 where the winner is negative."""
    if x.size(0) == 0 or rows.num_edges == 0:
        return x.new_zeros(winner.shape)
    source = rows.source.index_select(0, winner.clamp(min=0).flatten()).view(winner.shape)
    return torch.where(winner < 0, 0, x.gather(0, source.long()))


@extremum.register_fake
def _(x: Tensor, largest: bool, *layout: Tensor | None) -> tuple[Tensor, Tensor]:
    rows = Layout(*layout)
    shape = (rows.num_rows, x.size(1))
    return x.new_empty(shape), rows.idx.new_empty(shape)


@spread.register_fake
def _(x: Tensor, winner: Tensor, *layout: Tensor | None) -> Tensor:
    return x.new_empty(Layout(*layout).t.num_rows, x.size(1))


def _keep_extremum(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], *inputs[2:])
    ctx.mark_non_differentiable(output[1])


def _extremum_backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple:
    return spread(grad, *ctx.saved_tensors), *[None] * 7


def _keep_spread(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])


def _spread_backward(ctx: Any, grad: Tensor) -> tuple:
    winner, *layout = ctx.saved_tensors
    return pick(grad, winner, Layout(*layout)), *[None] * 7


extremum.register_autograd(_extremum_backward, setup_context=_keep_extremum)
spread.register_autograd(_spread_backward, setup_context=_keep_spread)
