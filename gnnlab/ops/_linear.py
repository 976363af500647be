"""Linear maps of tall, narrow matrices: on the CPU through oneDNN, which beats the default BLAS at odd widths."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnlab.ops._operator import operator

__all__ = ["linear"]

_SMALLEST = 2**27  # multiplications below which the call costs more than it saves


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""``torch.nn.functional.linear``, faster on the CPU for node and edge states in single precision.

    .. math:: \mathrm{out} = x W^\top + b

    The products :math:`x W^\top` and :math:`\nabla W`\ 's counterpart for x go to oneDNN, whose kernels do not
    depend on rows being aligned to the vector width as the default BLAS's do. Everything else (other
    devices, precisions, autocast, small inputs) is ``F.linear``.

    Args:
        x: Rows.
        weight: W.
        bias: b.

    Shapes:
        x [..., I], weight [O, I], bias [O] -> [..., O]

    Example:
        >>> linear(torch.ones(2, 3), torch.ones(4, 3)).tolist()
        [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]]
    """
    if not _suits(x, weight, bias):
        return F.linear(x, weight, bias)
    return product(x, weight, bias)


@operator("linear", "(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """[M, I], [O, I], [O] -> [M, O]."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@product.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.size(0), weight.size(0))


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, _ = inputs
    ctx.save_for_backward(x, weight)


def _product_backward(ctx: Any, grad: Tensor) -> tuple:
    x, weight = ctx.saved_tensors
    grad_x = linear(grad, weight.t()) if ctx.needs_input_grad[0] else None
    # A product with a long inner dimension, which the default BLAS does better.
    grad_weight = grad.t() @ x if ctx.needs_input_grad[1] else None
    return grad_x, grad_weight, grad.sum(0) if ctx.needs_input_grad[2] else None


product.register_autograd(_product_backward, setup_context=_keep)


def _suits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return (
        x.device.type == "cpu"
        and x.dim() == 2
        and x.dtype == weight.dtype == torch.float32
        and x.numel() * weight.size(0) >= _SMALLEST
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )
