"""Messages with gates, as in GatedGCN: gated sum of the sources and sum of the gates, in one pass."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._check import edge_layout, node_layout, same_kind
from gnnlab.ops._dispatch import kernel
from gnnlab.ops._layout import SCHEMA, Layout
from gnnlab.ops._operator import operator
from gnnlab.ops.csr import CSR

__all__ = ["gated_aggregate"]


def gated_aggregate(x: Tensor, gate: Tensor, adj: CSR | Tensor) -> tuple[Tensor, Tensor]:
    r"""Numerator and denominator of gated aggregation (Bresson and Laurent, Residual Gated Graph ConvNets, 2017).

    .. math:: \mathrm{num}_v = \sum_{u \to v} g_{uv} \odot x_u, \qquad \mathrm{den}_v = \sum_{u \to v} g_{uv}

    Args:
        x: Node features.
        gate: Gate of every edge and channel, in the caller's edge order.
        adj: The graph.

    Shapes:
        x [N, ...], gate [E, ...] -> two tensors as x

    Raises:
        GraphError: widths, lengths, devices or dtypes that do not fit together.

    Example:
        >>> x, gate = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [0.25]])
        >>> num, den = gated_aggregate(x, gate, torch.tensor([[0, 1], [1, 0]]))
        >>> num.tolist(), den.tolist()
        ([[0.5], [0.5]], [[0.25], [0.5]])
    """
    x, gate = same_kind(x=x, gate=gate)
    layout = edge_layout(node_layout(adj, x=x), gate=gate)
    if x.shape[1:] != gate.shape[1:]:
        raise GraphError(f"gate {list(gate.shape)} and x {list(x.shape)} differ in width")
    width = prod(x.shape[1:])
    num, den = gated(x.reshape(x.size(0), width), gate.reshape(gate.size(0), width), *layout)
    return num.view(x.shape), den.view(x.shape)


@operator("gated", f"(Tensor x, Tensor gate, {SCHEMA}) -> (Tensor, Tensor)")
def gated(x: Tensor, gate: Tensor, *layout: Tensor | None) -> tuple[Tensor, Tensor]:
    """[N, F], [E, F] -> [N, F], [N, F]."""
    if gate.numel() == 0:
        return x.new_zeros(x.shape), x.new_zeros(x.shape)
    return kernel("gated", x)(x, gate, Layout(*layout))


@operator(
    "gated_backward",
    f"(Tensor grad_num, Tensor grad_den, Tensor x, Tensor gate, {SCHEMA}) -> (Tensor, Tensor)",
)
def gated_backward(
    grad_num: Tensor, grad_den: Tensor, x: Tensor, gate: Tensor, *layout: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients [N, F] of x and [E, F] of gate.

    Of x: the sum of gate * grad_num[target] over the outgoing edges. Of gate: grad_num[target] * x[source]
    + grad_den[target].
    """
    if gate.numel() == 0:
        return x.new_zeros(x.shape), gate.new_zeros(gate.shape)
    return kernel("gated_backward", x)(grad_num, grad_den, x, gate, Layout(*layout))


@gated.register_fake
def _(x: Tensor, gate: Tensor, *layout: Tensor | None) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape)


@gated_backward.register_fake
def _(grad_num: Tensor, grad_den: Tensor, x: Tensor, gate: Tensor, *layout: Tensor | None) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), gate.new_empty(gate.shape)


def _keep(ctx: Any, inputs: tuple, output: tuple) -> None:
    ctx.save_for_backward(*inputs)


def _gated_backward(ctx: Any, grad_num: Tensor, grad_den: Tensor) -> tuple:
    return *gated_backward(grad_num, grad_den, *ctx.saved_tensors), *[None] * 6


def _gated_backward_backward(ctx: Any, grad_x: Tensor, grad_gate: Tensor) -> tuple:
    grad_num, _, x, gate, *layout = ctx.saved_tensors
    rows = Layout(*layout)
    from_gate, of_den = gated(x, grad_gate, *rows)
    of_x, _ = gated(grad_num, grad_gate, *rows.t)
    of_num, _ = gated(grad_x, gate, *rows)
    _, of_gate = gated_backward(grad_num, torch.zeros_like(grad_num), grad_x, gate, *rows)
    return of_num + from_gate, of_den, of_x, of_gate, *[None] * 6


gated.register_autograd(_gated_backward, setup_context=_keep)
gated_backward.register_autograd(_gated_backward_backward, setup_context=_keep)
