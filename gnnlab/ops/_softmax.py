"""Softmax over the incoming edges of every node."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._check import edge_layout, same_kind
from gnnlab.ops._dispatch import kernel
from gnnlab.ops._layout import SCHEMA, Layout, layout_of
from gnnlab.ops._operator import operator
from gnnlab.ops._reduce import read_rows, reduce_edges
from gnnlab.ops.csr import CSR

__all__ = ["edge_softmax"]


def edge_softmax(logits: Tensor, adj: CSR | Tensor, num_nodes: int | None = None) -> Tensor:
    r"""Normalise edge scores over the incoming edges of every node; stable for logits of any size.

    .. math:: p_{uv} = \exp(l_{uv} - m_v) \Big/ \sum_{u' \to v} \exp(l_{u'v} - m_v), \quad m_v = \max_{u'} l_{u'v}

    An edge of logit ``-inf`` is masked; a node whose incoming edges are all masked gives them 0. Half
    precision is computed in float32.

    Args:
        logits: Scores, in the caller's edge order.
        adj: The graph.
        num_nodes: N, for a plain ``edge_index``; by default its largest node + 1.

    Shapes:
        logits [E] or [E, H] -> as logits

    Raises:
        GraphError: lengths or devices that do not fit together, or logits that are not floating.

    Example:
        >>> edge_softmax(torch.tensor([0.0, 0.0, 7.0]), torch.tensor([[0, 1, 0], [2, 2, 1]])).tolist()
        [0.5, 0.5, 1.0]
    """
    (logits,) = same_kind(logits=logits)
    layout = edge_layout(layout_of(_graph(adj, num_nodes)), logits=logits)
    rows = logits.reshape(logits.size(0), prod(logits.shape[1:]))
    return softmax(rows, *layout).view(logits.shape)


def _graph(adj: CSR | Tensor, num_nodes: int | None) -> CSR:
    if isinstance(adj, CSR):
        if num_nodes not in (None, adj.num_nodes):
            raise GraphError(f"num_nodes is {num_nodes}, but the graph has {adj.num_nodes} nodes")
        return adj
    if num_nodes is None:
        num_nodes = int(adj.max()) + 1 if adj.numel() else 0
    return CSR.from_edge_index(adj, num_nodes)


@operator("softmax", f"(Tensor logits, {SCHEMA}) -> Tensor")
def softmax(logits: Tensor, *layout: Tensor | None) -> Tensor:
    """[E, H] -> [E, H]."""
    if logits.numel() == 0:
        return logits.new_zeros(logits.shape)
    return kernel("softmax", logits)(logits, Layout(*layout))


@operator("softmax_backward", f"(Tensor p, Tensor grad, {SCHEMA}) -> Tensor")
def softmax_backward(p: Tensor, grad: Tensor, *layout: Tensor | None) -> Tensor:
    """p * (grad - sum of p * grad over the row), [E, H]."""
    if p.numel() == 0:
        return p.new_zeros(p.shape)
    return kernel("softmax_backward", p)(p, grad, Layout(*layout))


@softmax.register_fake
def _(logits: Tensor, *layout: Tensor | None) -> Tensor:
    return logits.new_empty(logits.shape)


@softmax_backward.register_fake
def _(p: Tensor, grad: Tensor, *layout: Tensor | None) -> Tensor:
    return p.new_empty(p.shape)


def _keep_softmax(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(output, *inputs[1:])


def _softmax_backward(ctx: Any, grad: Tensor) -> tuple:
    p, *layout = ctx.saved_tensors
    return softmax_backward(p, grad, *layout), *[None] * len(layout)


def _keep_backward(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _softmax_backward_backward(ctx: Any, tangent: Tensor) -> tuple:
    p, grad, *layout = ctx.saved_tensors
    rows = Layout(*layout)
    along = read_rows(reduce_edges(p * grad, rows), rows)
    across = read_rows(reduce_edges(p * tangent, rows), rows)
    of_p = tangent * (grad - along) - grad * across
    return of_p, softmax_backward(p, tangent, *layout), *[None] * len(layout)


softmax.register_autograd(_softmax_backward, setup_context=_keep_softmax)
softmax_backward.register_autograd(_softmax_backward_backward, setup_context=_keep_backward)
