"""Batch normalisation of rows, with the rectifier that mostly follows it in the same pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._check import same_kind
from gnnlab.ops._dispatch import kernel
from gnnlab.ops._higher import differentiated
from gnnlab.ops._operator import operator

__all__ = ["batch_norm"]


def batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5, relu: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Normalise every column by its mean and variance over the rows (Ioffe and Szegedy, ICML 2015).

    .. math:: \mathrm{out} = \phi\Big(\gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta\Big),
        \qquad \phi = \mathrm{relu} \text{ or the identity}

    Args:
        x: Rows, at least one.
        weight: :math:`\gamma`.
        bias: :math:`\beta`.
        eps: :math:`\epsilon`.
        relu: Whether negative results become 0.

    Shapes:
        x [N, F], weight, bias [F] -> out [N, F], mean [F], biased variance [F] (without gradients)

    Raises:
        GraphError: shapes, dtypes or devices that do not fit together.

    Example:
        >>> out, mean, variance = batch_norm(torch.tensor([[1.0], [3.0]]), torch.ones(1), torch.zeros(1), relu=True)
        >>> out.round().tolist(), mean.tolist(), variance.tolist()
        ([[0.0], [1.0]], [2.0], [1.0])
    """
    x, weight, bias = same_kind(x=x, weight=weight, bias=bias)
    if x.dim() != 2 or x.size(0) == 0 or not (weight.shape == bias.shape == x.shape[1:]):
        shapes = f"x {list(x.shape)}, weight {list(weight.shape)}, bias {list(bias.shape)}"
        raise GraphError(f"batch_norm takes x [N, F] of at least one row, weight [F] and bias [F], got {shapes}")
    return normalise(x, weight, bias, eps, relu)


@operator("batch_norm", "(Tensor x, Tensor weight, Tensor bias, float eps, bool relu) -> (Tensor, Tensor, Tensor)")
def normalise(x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    return kernel("batch_norm", x)(x, weight, bias, eps, relu)


@operator(
    "batch_norm_backward",
    "(Tensor grad, Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor variance, float eps, bool relu)"
    " -> (Tensor, Tensor, Tensor)",
)
def normalise_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x [N, F], weight and bias [F].

    With y the normalised x and g the gradient where the rectifier is open: sum of g y, sum of g, and
    weight (g - mean of g - y mean of g y) / sqrt(variance + eps).
    """
    return kernel("batch_norm_backward", x)(grad, x, weight, bias, mean, variance, eps, relu)


@normalise.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(x.size(1)), x.new_empty(x.size(1))


@normalise_backward.register_fake
def _(grad: Tensor, x: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(x.size(1)), x.new_empty(x.size(1))


def _composed(x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool) -> tuple[Tensor]:
    centred = x - x.mean(0)
    out = centred * (centred.square().mean(0) + eps).rsqrt() * weight + bias
    return (out.relu() if relu else out,)


def _keep(ctx: Any, inputs: tuple, output: tuple) -> None:
    *tensors, ctx.eps, ctx.relu = inputs
    ctx.save_for_backward(*tensors, *output[1:])
    ctx.mark_non_differentiable(*output[1:])


def _normalise_backward(ctx: Any, grad: Tensor, *_: Tensor | None) -> tuple:
    x, weight, bias, mean, variance = ctx.saved_tensors
    if torch.is_grad_enabled():
        return *differentiated(_composed, (x, weight, bias, ctx.eps, ctx.relu), (grad,))[:3], None, None
    return *normalise_backward(grad, x, weight, bias, mean, variance, ctx.eps, ctx.relu), None, None


normalise.register_autograd(_normalise_backward, setup_context=_keep)
