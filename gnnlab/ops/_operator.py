"""Operators that torch.compile knows by name, called in eager mode without the cost of a dispatcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.library import custom_op

__all__ = ["Operator", "operator"]

_PLAIN = (Tensor, nn.Parameter)


class Operator:
    """A custom operator and, with the same formulas, a plain autograd function.

    The custom operator is what compilers, function transforms and dispatch modes see. Where none of them
    looks on, a call goes to the kernel directly, at about a fifth of the overhead.

    Args:
        name: Name below ``gnnlab::``.
        schema: Arguments and results, as of ``torch.library.custom_op``.
        function: Computes the results, without gradients.
    """

    def __init__(self, name: str, schema: str, function: Callable[..., Any]) -> None:
        self.__doc__ = function.__doc__
        self.custom = custom_op(f"gnnlab::{name}", function, mutates_args=(), schema=schema)
        self.register_fake, self.register_vmap = self.custom.register_fake, self.custom.register_vmap
        self._function, self._differentiable = function, None

    def register_autograd(self, backward: Callable[..., Any], *, setup_context: Callable[..., None]) -> None:
        """Gradients for both, as of ``torch.library.register_autograd``."""
        function = self._function

        def forward(ctx: Any, *inputs: Any) -> Any:
            output = function(*inputs)
            setup_context(ctx, inputs, output)
            return output

        self.custom.register_autograd(backward, setup_context=setup_context)
        methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        self._differentiable = type(function.__name__, (torch.autograd.Function,), methods)

    def __call__(self, *inputs: Any) -> Any:
        if _observed(inputs[0]):
            return self.custom(*inputs)
        if self._differentiable is not None and torch.is_grad_enabled():
            return self._differentiable.apply(*inputs)
        return self._function(*inputs)


def operator(name: str, schema: str) -> Callable[[Callable[..., Any]], Operator]:
    """Decorator that makes an :class:`Operator` of the function that computes it."""
    return lambda function: Operator(name, schema, function)


def _observed(first: Tensor) -> bool:
    """Whether somebody has to see the operator by its name."""
    return (
        torch.compiler.is_compiling()
        or type(first) not in _PLAIN
        or torch._C._are_functorch_transforms_active()
        or torch._C._functorch.is_legacy_batchedtensor(first)  # gradients of a vectorised Jacobian
        or torch._C._len_torch_dispatch_stack() > 0
    )
