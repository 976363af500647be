"""Maximum and minimum over the edges of a row, with the winner, and the way back to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from gnnlab.ops._dispatch import kernel

__all__ = ["extremum"]


@custom_op(
    "gnnlab::extremum",
    mutates_args=(),
    schema="(Tensor x, bool largest, Tensor ptr, Tensor idx) -> (Tensor, Tensor)",
)
def extremum(x: Tensor, largest: bool, ptr: Tensor, idx: Tensor) -> tuple[Tensor, Tensor]:
    """[R, F] extreme of x over every row's sources and [R, F] int32 the source it came from.

    The first slot wins a tie, NaN wins over everything, an empty row gives 0. The source is -1 (and no
    gradient flows) in an empty row, and where everything is infinitely far from the wanted end.
    """
    if idx.size(0) == 0 or x.numel() == 0:
        shape = (ptr.size(0) - 1, x.size(1))
        return x.new_zeros(shape), idx.new_full(shape, -1)
    return kernel("extremum", x)(x, largest, ptr, idx)


@custom_op("gnnlab::spread", mutates_args=(), schema="(Tensor x, Tensor source, SymInt num_sources) -> Tensor")
def spread(x: Tensor, source: Tensor, num_sources: int) -> Tensor:
    """out[source[r, f], f] += x[r, f], skipping negative sources; the transpose of :func:`pick`."""
    if num_sources == 0 or x.numel() == 0:
        return x.new_zeros(num_sources, x.size(1))
    return kernel("spread", x)(x, source, num_sources)


def pick(x: Tensor, source: Tensor) -> Tensor:
    """out[r, f] = x[source[r, f], f], 0 where the source is negative."""
    if x.size(0) == 0:
        return x.new_zeros(source.shape)
    return torch.where(source < 0, 0, x.gather(0, source.clamp(min=0).long()))


@extremum.register_fake
def _(x: Tensor, largest: bool, ptr: Tensor, idx: Tensor) -> tuple[Tensor, Tensor]:
    shape = (ptr.size(0) - 1, x.size(1))
    return x.new_empty(shape), idx.new_empty(shape)


@spread.register_fake
def _(x: Tensor, source: Tensor, num_sources: int) -> Tensor:
    return x.new_empty(num_sources, x.size(1))


def _keep_extremum(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.num_sources = inputs[0].size(0)
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _extremum_backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple:
    return spread(grad, *ctx.saved_tensors, ctx.num_sources), None, None, None


def _keep_spread(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _spread_backward(ctx: Any, grad: Tensor) -> tuple:
    return pick(grad, *ctx.saved_tensors), None, None


extremum.register_autograd(_extremum_backward, setup_context=_keep_extremum)
spread.register_autograd(_spread_backward, setup_context=_keep_spread)
