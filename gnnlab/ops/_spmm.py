"""The linear pair every gradient comes back to: weighted sums over edges, and products per edge.

``spmm`` and ``sddmm`` are each other's gradients, so both can be differentiated any number of times.
Tensors are [rows, H, C] and weights [E, H]: one weight per edge and head, shared by C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnlab.ops._dispatch import kernel
from gnnlab.ops._layout import SCHEMA, Layout
from gnnlab.ops._operator import operator

__all__ = ["divide_by_degree", "sddmm", "spmm"]


@operator("spmm", f"(Tensor x, Tensor? weight, bool mean, {SCHEMA}) -> Tensor")
def spmm(x: Tensor, weight: Tensor | None, mean: bool, *layout: Tensor | None) -> Tensor:
    """out[r] = sum over the edges e of row r of weight[e] * x[source of e]; divided by the degree if ``mean``."""
    rows = Layout(*layout)
    if rows.num_edges == 0 or x.numel() == 0:
        return x.new_zeros(rows.num_rows, *x.shape[1:])
    return kernel("spmm", x)(x, weight, mean, rows)


@operator("sddmm", f"(Tensor a, Tensor b, {SCHEMA}) -> Tensor")
def sddmm(a: Tensor, b: Tensor, *layout: Tensor | None) -> Tensor:
    """out[e] = <a[target of e], b[source of e]> over the channels."""
    rows = Layout(*layout)
    if rows.num_edges == 0 or a.numel() == 0:
        return a.new_zeros(rows.num_edges, a.size(1))
    return kernel("sddmm", a)(a, b, rows)


def divide_by_degree(x: Tensor, layout: Layout) -> Tensor:
    """Rows of ``x`` divided by their number of edges, in at least single precision."""
    degree = layout.degree.to(torch.promote_types(x.dtype, torch.float32))
    return (x / degree.view(-1, *[1] * (x.dim() - 1))).to(x.dtype)


@spmm.register_fake
def _(x: Tensor, weight: Tensor | None, mean: bool, *layout: Tensor | None) -> Tensor:
    return x.new_empty(Layout(*layout).num_rows, *x.shape[1:])


@sddmm.register_fake
def _(a: Tensor, b: Tensor, *layout: Tensor | None) -> Tensor:
    return a.new_empty(Layout(*layout).num_edges, a.size(1))


@spmm.register_vmap
def _(info: Any, dims: tuple, x: Tensor, weight: Tensor | None, mean: bool, *layout: Tensor | None) -> tuple:
    """A batch of features rides along as channels, a batch of weights as heads (vectorised Jacobians)."""
    size, heads, channels = info.batch_size, *_sizes_without(x, dims[0])
    if dims[1] is None:
        wide = x.movedim(dims[0], 1).transpose(1, 2)
        out = spmm(wide.reshape(wide.size(0), heads, size * channels), weight, mean, *layout)
        return out.view(out.size(0), heads, size, channels), 2
    wide = x.unsqueeze(1).expand(-1, size, -1, -1) if dims[0] is None else x.movedim(dims[0], 1)
    factors = weight.movedim(dims[1], 1).flatten(1)
    out = spmm(wide.reshape(wide.size(0), size * heads, channels), factors, mean, *layout)
    return out.view(out.size(0), size, heads, channels), 1


def _sizes_without(x: Tensor, batch_dim: int | None) -> tuple[int, int]:
    """H and C of an x that may carry a batch dimension."""
    sizes = [size for dim, size in enumerate(x.shape) if dim != batch_dim]
    return sizes[1], sizes[2]


def _keep_spmm(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, ctx.mean, *layout = inputs
    ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight, *layout)


def _spmm_backward(ctx: Any, grad: Tensor) -> tuple:
    x, weight, *layout = ctx.saved_tensors
    rows = Layout(*layout)
    grad = divide_by_degree(grad, rows) if ctx.mean else grad
    grad_x = spmm(grad, weight, False, *rows.t) if ctx.needs_input_grad[0] else None
    grad_weight = sddmm(grad, x, *rows) if ctx.needs_input_grad[1] else None
    return grad_x, grad_weight, None, *[None] * len(rows)


def _keep_sddmm(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _sddmm_backward(ctx: Any, grad: Tensor) -> tuple:
    a, b, *layout = ctx.saved_tensors
    rows = Layout(*layout)
    grad_a = spmm(b, grad, False, *rows) if ctx.needs_input_grad[0] else None
    grad_b = spmm(a, grad, False, *rows.t) if ctx.needs_input_grad[1] else None
    return grad_a, grad_b, *[None] * len(rows)


spmm.register_autograd(_spmm_backward, setup_context=_keep_spmm)
sddmm.register_autograd(_sddmm_backward, setup_context=_keep_sddmm)
