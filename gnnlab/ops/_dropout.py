"""Dropout whose mask is a function of a seed and the place: never stored, the same on every backend and device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops._check import same_kind
from gnnlab.ops._dispatch import kernel
from gnnlab.ops._operator import operator

__all__ = ["dropout"]


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, residual: Tensor | None = None, seed: Tensor | None = None
) -> Tensor:
    r"""Zero every element with probability p and scale the rest (Srivastava et al., JMLR 2014), in one pass.

    .. math:: \mathrm{out}_i = r_i + \frac{x_i}{1 - p} \, [h(\mathrm{seed}, i) \ge p]

    h hashes the place i of an element, in row-major order, to a uniform number. The backward pass hashes
    again instead of reading a mask, rows appended to x change nothing for the rows before them, and a seed
    drops the same elements on every backend and device.

    Args:
        x: Input.
        p: Probability, between 0 and 1.
        training: Whether anything is dropped.
        residual: r, added to the result in the same pass.
        seed: [2] integers; drawn from torch's generator of the device by default.

    Shapes:
        x, residual [...] -> as x

    Raises:
        ConfigError: p outside 0 to 1.
        GraphError: x and residual of different shapes, devices or dtypes.

    Example:
        >>> out = dropout(torch.ones(10_000), 0.2)
        >>> out.unique().tolist(), bool(0.18 < (out == 0).float().mean() < 0.22)
        ([0.0, 1.25], True)
    """
    if not 0 <= p <= 1:
        raise ConfigError(f"dropout probability must be between 0 and 1, got {p}")
    if residual is not None:
        x, residual = same_kind(x=x, residual=residual)
        if residual.shape != x.shape:
            raise GraphError(f"residual {list(residual.shape)} and x {list(x.shape)} differ in shape")
    if not training or p == 0:
        return x if residual is None else x + residual
    if seed is None:
        seed = torch.randint(2**32, (2,), device=x.device)
    return hashed_dropout(x, seed, float(p), residual)


@operator("dropout", "(Tensor x, Tensor seed, float p, Tensor? residual) -> Tensor")
def hashed_dropout(x: Tensor, seed: Tensor, p: float, residual: Tensor | None) -> Tensor:
    """Linear and symmetric in x: its transpose is itself."""
    if x.numel() == 0:
        return torch.empty_like(x, memory_format=torch.contiguous_format)
    out = kernel("dropout", x)(
        x.contiguous().view(-1), seed, p, None if residual is None else residual.contiguous().view(-1)
    )
    return out.view(x.shape)


@hashed_dropout.register_fake
def _(x: Tensor, seed: Tensor, p: float, residual: Tensor | None) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, seed, ctx.p, _ = inputs
    ctx.save_for_backward(seed)


def _dropout_backward(ctx: Any, grad: Tensor) -> tuple:
    (seed,) = ctx.saved_tensors
    grad_x = hashed_dropout(grad, seed, ctx.p, None) if ctx.needs_input_grad[0] else None
    return grad_x, None, None, grad if ctx.needs_input_grad[3] else None


hashed_dropout.register_autograd(_dropout_backward, setup_context=_keep)
