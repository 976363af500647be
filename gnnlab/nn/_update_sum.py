"""The ends of several perceptrons on the same rows, added up: what lies between their layers is not kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnlab.nn.dropout import Dropout
from gnnlab.nn.linear import Linear
from gnnlab.nn.mlp import MLP
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops._batch_norm import normalise, normalise_backward
from gnnlab.ops._higher import differentiated
from gnnlab.ops._linear import linear

__all__ = ["Hidden", "split_update", "summed"]


class Hidden(NamedTuple):
    """A perceptron after its first Linear.

    Args:
        x: [P, F], what is normalised next.
        norm: The normalisation.
        last: The Linear after normalisation and ReLU.
    """

    x: Tensor
    norm: BatchNorm
    last: Linear


def split_update(update: nn.Module, z: Tensor) -> Hidden | None:
    """The first layer of a perceptron Linear, BatchNorm, ReLU, Linear in training, applied; ``None`` for others, for
    those whose layers somebody watches by hooks, and where fused normalisation does not suit."""
    if type(update) is not MLP or [type(layer) for layer in update] != _LAYERS:
        return None
    first, norm, _, inner_dropout, last, outer_dropout = update
    watched = any(module._forward_hooks or module._forward_pre_hooks for module in update.modules())
    if watched or inner_dropout.p or outer_dropout.p or not norm.fuses(z):
        return None
    return Hidden(first(z), norm, last)


def summed(parts: Sequence[Hidden]) -> Tensor:
    r"""[P, O] :math:`\sum_a W_a \mathrm{ReLU}(\mathrm{norm}_a(x_a)) + b_a`; running statistics follow.

    Rectified states are computed again for the gradient of W, in one pass over x, instead of being kept.
    """
    tensors = [tensor for x, norm, last in parts for tensor in (x, norm.weight, norm.bias, last.weight, last.bias)]
    out, *statistics = _Summed.apply(tuple(norm.eps for _, norm, _ in parts), *tensors)
    for (x, norm, _), mean, variance in zip(parts, statistics[::2], statistics[1::2], strict=True):
        norm.follow(mean, variance, x.size(0))
    return out


_LAYERS = [Linear, BatchNorm, nn.ReLU, Dropout, Linear, Dropout]


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, eps: tuple[float, ...], *tensors: Tensor) -> tuple[Tensor, ...]:
        out, statistics = None, []
        bias = sum(tensors[9::5], start=tensors[4])
        for (x, scale, shift, weight, _), each in zip(_groups(tensors), eps, strict=True):
            active, mean, variance = normalise(x, scale, shift, each, True)
            out = linear(active, weight, bias) if out is None else out.addmm_(active, weight.t())
            statistics += [mean, variance]
        ctx.eps = eps
        ctx.save_for_backward(*tensors, *statistics)
        ctx.mark_non_differentiable(*statistics)
        return out, *statistics

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        count = 5 * len(ctx.eps)
        tensors, statistics = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        if torch.is_grad_enabled():
            return tuple(differentiated(_composed, (ctx.eps, *tensors), (grad,)))
        grads: list[Tensor] = []
        bias = grad.sum(0)
        parts = zip(_groups(tensors), ctx.eps, statistics[::2], statistics[1::2], strict=True)
        for (x, scale, shift, weight, _), eps, mean, variance in parts:
            active = F.batch_norm(x, mean, variance, scale, shift, eps=eps).relu_()
            grad_weight = grad.t() @ active
            del active
            outer = linear(grad, weight.t())
            inner = normalise_backward(outer, x, scale, shift, mean, variance, eps, True)
            grads += [*inner, grad_weight, bias.clone()]
        return None, *grads


def _composed(eps: tuple[float, ...], *tensors: Tensor) -> tuple[Tensor]:
    out = 0
    for (x, scale, shift, weight, bias), each in zip(_groups(tensors), eps, strict=True):
        centred = x - x.mean(0)
        normal = centred * (centred.square().mean(0) + each).rsqrt() * scale + shift
        out = out + F.linear(normal.relu(), weight, bias)
    return (out,)


def _groups(tensors: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
    return (tensors[start : start + 5] for start in range(0, len(tensors), 5))
