"""Gradients of states that are defined by an equation, without a record of how they were found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["implicit_state", "jacobian_product"]


def implicit_state(state: Tensor, residual: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
    r"""The state with the gradient the implicit function theorem gives it.

    Where :math:`r(h, \theta) = 0` defines h, a change of :math:`\theta` moves h by
    :math:`-(\partial_h r)^{-1} \partial_\theta r`. So h is returned as if it were :math:`M r` with the constant
    matrix :math:`M = -(\partial_h r)^{-1}`: the backward pass turns the gradient g of h into
    :math:`M^\top g`, and lets r carry it on to parameters and features.

    Args:
        state: h, found in any way.
        residual: r at h as a function of everything but h, with its graph.
        solve: g to :math:`M^\top g`; called in the backward pass.

    Shapes:
        state, residual [N, d] -> [N, d]

    Example:
        >>> a = torch.tensor([[2.0]], requires_grad=True)
        >>> h = implicit_state(torch.tensor([[0.5]]), 1 - a * 0.5, lambda g: g / a.detach())  # a h = 1
        >>> h.backward()
        >>> a.grad.item()
        -0.25
    """
    return _ImplicitState.apply(residual, state, solve)


def jacobian_product(output: Tensor, h: Tensor) -> Callable[[Tensor], Tensor]:
    r"""v to :math:`(\partial_h \, \mathrm{output})^\top v`, by a backward pass; of a gradient, the Hessian's product.

    Args:
        output: Computed from ``h``, with its graph, which stays.
        h: A leaf.
    """

    def product(v: Tensor) -> Tensor:
        (image,) = torch.autograd.grad(output, h, v, retain_graph=True, materialize_grads=True)
        return image

    return product


class _ImplicitState(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, state: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.solve = solve
        return state.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.solve(grad), None, None
