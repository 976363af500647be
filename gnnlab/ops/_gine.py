"""Messages with edge features, as in GINE: rectified sums of source and edge, summed over incoming edges."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._check import check_index, edge_layout, node_layout, same_kind
from gnnlab.ops._dispatch import kernel
from gnnlab.ops._layout import SCHEMA, Layout, grouped
from gnnlab.ops._operator import operator
from gnnlab.ops._reduce import read_rows, reduce_edges, reduce_rows
from gnnlab.ops.csr import CSR

__all__ = ["gine_aggregate"]


def gine_aggregate(x: Tensor, edge_attr: Tensor, adj: CSR | Tensor, edge_type: Tensor | None = None) -> Tensor:
    r"""Sum of rectified messages (Hu et al., Strategies for Pre-training Graph Neural Networks, ICLR 2020).

    .. math:: \mathrm{out}_v = \sum_{u \to v} \mathrm{relu}(x_u + e_{uv})

    Args:
        x: Node features.
        edge_attr: Edge features of the same width, in the caller's edge order; with ``edge_type`` a table of T
            rows, of which every edge reads one: nothing of size E x F is then read or written.
        adj: The graph.
        edge_type: Row of the table of every edge.

    Shapes:
        x [N, ...], edge_attr [E, ...] (or [T, ...] with edge_type [E]) -> as x

    Raises:
        GraphError: widths, lengths, devices or dtypes that do not fit together, or (on the CPU) a type outside
            the table.

    Example:
        >>> x, edge_attr = torch.tensor([[1.0], [2.0]]), torch.tensor([[-3.0], [1.0]])
        >>> gine_aggregate(x, edge_attr, torch.tensor([[0, 1], [1, 0]])).tolist()
        [[3.0], [0.0]]
    """
    x, edge_attr = same_kind(x=x, edge_attr=edge_attr)
    layout = node_layout(adj, x=x)
    if edge_type is None:
        edge_layout(layout, edge_attr=edge_attr)
    else:
        check_index(edge_type, edge_attr.size(0), x, name="edge_type")
        edge_layout(layout, edge_type=edge_type)
        edge_type = edge_type.int()
    if x.shape[1:] != edge_attr.shape[1:]:
        raise GraphError(f"edge_attr {list(edge_attr.shape)} and x {list(x.shape)} differ in width")
    width = prod(x.shape[1:])
    out = gine(x.reshape(x.size(0), width), edge_attr.reshape(edge_attr.size(0), width), edge_type, *layout)
    return out.view(x.shape)


@operator("gine", f"(Tensor x, Tensor edge, Tensor? kind, {SCHEMA}) -> Tensor")
def gine(x: Tensor, edge: Tensor, kind: Tensor | None, *layout: Tensor | None) -> Tensor:
    """[N, F], [E, F] (or a table [T, F] and its row of every edge, [E] int32) -> [N, F]."""
    rows = Layout(*layout)
    if rows.num_edges == 0 or x.numel() == 0:
        return x.new_zeros(x.shape)
    return kernel("gine", x)(x, edge, kind, rows)


@operator(
    "gine_backward",
    f"(Tensor grad, Tensor x, Tensor edge, Tensor? kind, {SCHEMA}) -> (Tensor, Tensor)",
)
def gine_backward(
    grad: Tensor, x: Tensor, edge: Tensor, kind: Tensor | None, *layout: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients of x and edge: every edge passes on grad[target] where its message is open."""
    rows = Layout(*layout)
    if rows.num_edges == 0 or x.numel() == 0:
        return x.new_zeros(x.shape), edge.new_zeros(edge.shape)
    return kernel("gine_backward", x)(grad, x, edge, kind, rows)


@gine.register_fake
def _(x: Tensor, edge: Tensor, kind: Tensor | None, *layout: Tensor | None) -> Tensor:
    return x.new_empty(x.shape)


@gine_backward.register_fake
def _(grad: Tensor, x: Tensor, edge: Tensor, kind: Tensor | None, *layout: Tensor | None) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), edge.new_empty(edge.shape)


def _keep(ctx: Any, inputs: tuple, output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _gine_backward(ctx: Any, grad: Tensor) -> tuple:
    return *gine_backward(grad, *ctx.saved_tensors), *[None] * 7


def _gine_backward_backward(ctx: Any, grad_x: Tensor, grad_edge: Tensor) -> tuple:
    # Linear in grad, and piecewise constant in x and edge: only grad gets a gradient.
    _, x, edge, kind, *layout = ctx.saved_tensors
    rows = Layout(*layout)
    closed = read_rows(x.detach(), rows.t) + _of_edges(edge.detach(), kind) <= 0
    tangent = read_rows(grad_x, rows.t) + _of_edges(grad_edge, kind)
    return reduce_edges(tangent.masked_fill(closed, 0), rows), *[None] * 9


def _of_edges(edge: Tensor, kind: Tensor | None) -> Tensor:
    """[E, F] out of edge features or their table."""
    return edge if kind is None else reduce_rows(edge, grouped(kind, edge.size(0)).t, "sum")


gine.register_autograd(_gine_backward, setup_context=_keep)
gine_backward.register_autograd(_gine_backward_backward, setup_context=_keep)
