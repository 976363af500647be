"""Attention over incoming edges in one pass: scores, softmax and weighted sum, nothing of size E x F in between."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._check import edge_layout, node_layout, same_kind
from gnnlab.ops._dispatch import kernel
from gnnlab.ops._higher import differentiated
from gnnlab.ops._layout import SCHEMA, Layout
from gnnlab.ops._operator import operator
from gnnlab.ops._reduce import read_rows, reduce_edges, reduce_rows
from gnnlab.ops._scoring import Scoring
from gnnlab.ops._softmax import softmax
from gnnlab.ops._spmm import spmm
from gnnlab.ops.csr import CSR

__all__ = ["attention_aggregate"]


def attention_aggregate(
    x: Tensor,
    adj: CSR | Tensor,
    source: Tensor | None = None,
    target: Tensor | None = None,
    edge: Tensor | None = None,
    weight: Tensor | None = None,
    negative_slope: float = 1.0,
    skip_loops: bool = False,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    r"""Softmax-weighted sum of the neighbours, for scores that are a sum over ends and edge (H heads).

    .. math::
        l_{uv} = \mathrm{LeakyReLU}(s_u + t_v + e_{uv}), \qquad
        \mathrm{out}_v = \sum_{u \to v} w_{uv} \, \mathrm{softmax}_{u \to v}(l_{uv}) \, x_u

    With ``source`` and ``target`` this is graph attention (Veličković et al., ICLR 2018); with ``edge`` alone,
    attention by any scores. A score of ``-inf`` masks an edge; a node without edges gets 0. The weights are
    not normalised: they may hold dropout's factors. ``lse`` lets a caller merge the result with other terms.

    Args:
        x: Values of the nodes.
        adj: The graph.
        source: s, scores of the sources.
        target: t, scores of the targets.
        edge: e, scores of the edges in the caller's edge order.
        weight: w, factors of the edges after the softmax, in the caller's edge order.
        negative_slope: Slope of the LeakyReLU below 0; 1 leaves the sum as it is.
        skip_loops: Ignore edges from a node to itself.
        return_lse: Return :math:`\mathrm{lse}_v = \log \sum_{u \to v} \exp l_{uv}` too, -inf without edges.

    Shapes:
        x [N, H, C]; source, target [N, H]; edge, weight [E, H] -> [N, H, C] (and [N, H], at least float32)

    Raises:
        GraphError: shapes, lengths, devices or dtypes that do not fit together.

    Example:
        >>> x, edge_index = torch.tensor([[[2.0]], [[4.0]], [[0.0]]]), torch.tensor([[0, 1], [2, 2]])
        >>> attention_aggregate(x, edge_index, source=torch.zeros(3, 1)).flatten().tolist()
        [0.0, 0.0, 3.0]
    """
    given = {"source": source, "target": target, "edge": edge, "weight": weight}
    parts = {name: part for name, part in given.items() if part is not None}
    if x.dim() != 3 or any(part.dim() != 2 or part.size(1) != x.size(1) for part in parts.values()):
        shapes = ", ".join(f"{name} {list(part.shape)}" for name, part in {"x": x, **parts}.items())
        raise GraphError(f"attention takes x [N, H, C] and scores of H columns, got {shapes}")
    x, *cast = same_kind(x=x, **parts)
    parts = dict(zip(parts, cast, strict=True))
    nodes, edges = ({k: v for k, v in parts.items() if k in names} for names in (_NODE_PARTS, _EDGE_PARTS))
    layout = edge_layout(node_layout(adj, x=x, **nodes), **edges)
    out, lse = attention(x, *(parts.get(name) for name in given), negative_slope, skip_loops, *layout)
    return (out, lse) if return_lse else out


_NODE_PARTS, _EDGE_PARTS = ("source", "target"), ("edge", "weight")
_PARTS = "Tensor x, Tensor? source, Tensor? target, Tensor? edge, Tensor? weight, float slope, bool skip_loops"


@operator("attention", f"({_PARTS}, {SCHEMA}) -> (Tensor, Tensor)")
def attention(x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    """[N, H, C] result and [N, H] log-sum-exp of the scores."""
    scoring, rows = Scoring(*others[:6]), Layout(*others[6:])
    if rows.num_edges == 0 or x.numel() == 0:
        return x.new_zeros(x.shape), _like_lse(x).fill_(-torch.inf)
    return kernel("attention", x)(x, scoring, rows)


@operator(
    "attention_backward",
    f"(Tensor grad_out, Tensor grad_lse, {_PARTS}, Tensor out, Tensor lse, {SCHEMA})"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def attention_backward(grad_out: Tensor, grad_lse: Tensor, x: Tensor, *others: Any) -> tuple[Tensor, ...]:
    """Gradients of x, source, target, edge and weight, whether or not they were given.

    With p the softmax and q = <grad_out[v], x[u]>: of a score p (w q - <grad_out[v], out[v]> + grad_lse[v]),
    and of a weight p q.
    """
    scoring, (out, lse), rows = Scoring(*others[:6]), others[6:8], Layout(*others[8:])
    if rows.num_edges == 0 or x.numel() == 0:
        return tuple(torch.zeros_like(grad) for grad in _like_grads(x, rows))
    return kernel("attention_backward", x)(grad_out, grad_lse, x, scoring, out, lse, rows)


@attention.register_fake
def _(x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), _like_lse(x)


@attention_backward.register_fake
def _(grad_out: Tensor, grad_lse: Tensor, x: Tensor, *others: Any) -> tuple[Tensor, ...]:
    return _like_grads(x, Layout(*others[-6:]))


def _like_lse(x: Tensor) -> Tensor:
    return x.new_empty(x.shape[:2], dtype=torch.promote_types(x.dtype, torch.float32))


def _like_grads(x: Tensor, rows: Layout) -> tuple[Tensor, ...]:
    lengths = (x.size(0), x.size(0), rows.num_edges, rows.num_edges)
    return x.new_empty(x.shape), *(x.new_empty(length, x.size(1)) for length in lengths)


def _composed(x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    """The same result out of operations that can be differentiated any number of times."""
    source, target, edge, weight, slope, skip_loops = others[:6]
    rows = Layout(*others[6:])
    wide = torch.promote_types(x.dtype, torch.float32)
    logits = x.new_zeros(rows.num_edges, x.size(1), dtype=wide) if edge is None else edge.to(wide)
    if source is not None:
        logits = logits + read_rows(source.to(wide), rows.t)
    if target is not None:
        logits = logits + read_rows(target.to(wide), rows)
    logits = F.leaky_relu(logits, slope)
    if skip_loops:
        logits = logits.masked_fill((rows.source == rows.target).unsqueeze(-1), -torch.inf)
    share = softmax(logits, *rows)
    # The maximum is a constant of the formula: its own gradient cancels.
    top = reduce_rows(logits.detach(), rows.edges, "max")
    top = top.masked_fill(top == -torch.inf, 0)
    total = reduce_edges((logits - read_rows(top, rows)).exp(), rows)
    # The gradient of log(0) must not reach masked edges.
    lse = torch.where(total > 0, torch.where(total > 0, total, 1).log() + top, -torch.inf)
    factor = share if weight is None else share * weight
    return spmm(x, factor.to(x.dtype), False, *rows), lse


def _keep(ctx: Any, inputs: tuple, output: tuple) -> None:
    *tensors, ctx.slope, ctx.skip_loops = inputs[:7]
    ctx.save_for_backward(*tensors, *output, *inputs[7:])


def _attention_backward(ctx: Any, grad_out: Tensor, grad_lse: Tensor) -> tuple:
    *parts, out, lse = ctx.saved_tensors[:7]
    layout = ctx.saved_tensors[7:]
    inputs = (*parts, ctx.slope, ctx.skip_loops)
    if torch.is_grad_enabled():
        grads = differentiated(_composed, (*inputs, *layout), (grad_out, grad_lse))[:5]
    else:
        grads = attention_backward(grad_out, grad_lse, *inputs, out, lse, *layout)
    grads = [None if part is None else grad for part, grad in zip(parts, grads, strict=True)]
    return *grads, None, None, *[None] * len(layout)


attention.register_autograd(_attention_backward, setup_context=_keep)
