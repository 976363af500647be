"""The message step of GatedGCN in one pass: gates from both ends and the edge, gated mean of the sources."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnlab.errors import GraphError
from gnnlab.ops._check import edge_layout, node_layout, same_kind
from gnnlab.ops._dispatch import kernel
from gnnlab.ops._gated import gated
from gnnlab.ops._higher import differentiated
from gnnlab.ops._layout import GATE_EPS, SCHEMA, Layout
from gnnlab.ops._operator import operator
from gnnlab.ops._reduce import read_rows
from gnnlab.ops.csr import CSR

__all__ = ["gated_gcn_aggregate"]


def gated_gcn_aggregate(
    value: Tensor, source: Tensor, target: Tensor, edge_attr: Tensor | None, adj: CSR | Tensor
) -> tuple[Tensor, Tensor]:
    r"""Normalised gated aggregation (Bresson and Laurent, Residual Gated Graph ConvNets, 2017), and its gates' logits.

    .. math::
        \hat e_{uv} = t_v + s_u + e_{uv}, \qquad
        \mathrm{out}_v =
        \frac{\sum_{u \to v} \sigma(\hat e_{uv}) \odot x_u}{\sum_{u \to v} \sigma(\hat e_{uv}) + 10^{-6}}

    One pass over the edges writes both results; the backward pass reads the logits again, so that no gate
    and no message is ever stored.

    Args:
        value: x, what the gates let through.
        source: s, the sources' part of the logits.
        target: t, the targets' part.
        edge_attr: e, the edges' part in the caller's edge order; ``None`` for 0.
        adj: The graph.

    Shapes:
        value, source, target [N, F], edge_attr [E, F] -> out [N, F], logits [E, F]

    Raises:
        GraphError: widths, lengths, devices or dtypes that do not fit together.

    Example:
        >>> value, zero = torch.tensor([[2.0], [4.0]]), torch.zeros(2, 1)
        >>> out, logits = gated_gcn_aggregate(value, zero, zero, None, torch.tensor([[0, 1], [1, 1]]))
        >>> out.round(decimals=3).tolist(), logits.tolist()
        ([[0.0], [3.0]], [[0.0], [0.0]])
    """
    nodes = {"value": value, "source": source, "target": target}
    edges = {} if edge_attr is None else {"edge_attr": edge_attr}
    value, source, target, *rest = same_kind(**nodes, **edges)
    layout = edge_layout(node_layout(adj, value=value, source=source, target=target), **edges)
    for name, tensor in {**nodes, **edges}.items():
        if tensor.dim() != 2 or tensor.size(1) != value.size(-1):
            raise GraphError(f"{name} {list(tensor.shape)} and value {list(value.shape)} must have the same width F")
    out, pre, _ = gated_gcn(value, source, target, *(rest or [None]), *layout)
    return out, pre


@operator(
    "gated_gcn",
    f"(Tensor value, Tensor source, Tensor target, Tensor? edge, {SCHEMA}) -> (Tensor, Tensor, Tensor)",
)
def gated_gcn(
    value: Tensor, source: Tensor, target: Tensor, edge: Tensor | None, *layout: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """[N, F] result, [E, F] logits, [N, F] sum of the gates + eps."""
    rows = Layout(*layout)
    if rows.num_edges == 0 or value.numel() == 0:
        logits = value.new_zeros(rows.num_edges, value.size(1))
        return value.new_zeros(value.shape), logits, value.new_full(value.shape, GATE_EPS)
    return kernel("gated_gcn", value)(value, source, target, edge, rows)


@operator(
    "gated_gcn_backward",
    "(Tensor grad_out, Tensor grad_pre, Tensor value, Tensor out, Tensor pre, Tensor den, "
    f"{SCHEMA}) -> (Tensor, Tensor, Tensor, Tensor)",
)
def gated_gcn_backward(
    grad_out: Tensor,
    grad_pre: Tensor,
    value: Tensor,
    out: Tensor,
    pre: Tensor,
    den: Tensor,
    *layout: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of value, source, target [N, F] and edge [E, F].

    With s the gate: of an edge grad_pre + s (1 - s) grad_out[v] (value[u] - out[v]) / den[v]; of source and
    target its sums over outgoing and incoming edges; of value the sum of s grad_out[v] / den[v].
    """
    rows = Layout(*layout)
    if rows.num_edges == 0 or value.numel() == 0:
        zero = torch.zeros_like(value)
        return zero, zero.clone(), zero.clone(), torch.zeros_like(pre)
    return kernel("gated_gcn_backward", value)(grad_out, grad_pre, value, out, pre, den, rows)


@gated_gcn.register_fake
def _(
    value: Tensor, source: Tensor, target: Tensor, edge: Tensor | None, *layout: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    logits = value.new_empty(Layout(*layout).num_edges, value.size(1))
    return value.new_empty(value.shape), logits, value.new_empty(value.shape)


@gated_gcn_backward.register_fake
def _(
    grad_out: Tensor,
    grad_pre: Tensor,
    value: Tensor,
    out: Tensor,
    pre: Tensor,
    den: Tensor,
    *layout: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return *(value.new_empty(value.shape) for _ in range(3)), pre.new_empty(pre.shape)


def _composed(
    value: Tensor, source: Tensor, target: Tensor, edge: Tensor | None, *layout: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The same result out of operations that can be differentiated any number of times."""
    rows = Layout(*layout)
    pre = read_rows(target, rows) + read_rows(source, rows.t)
    pre = pre if edge is None else pre + edge
    num, den = gated(value, pre.sigmoid(), *rows)
    return num / (den + GATE_EPS), pre


def _keep(ctx: Any, inputs: tuple, output: tuple) -> None:
    ctx.mark_non_differentiable(output[2])
    ctx.save_for_backward(*inputs, *output)


def _gated_gcn_backward(ctx: Any, grad_out: Tensor, grad_pre: Tensor, grad_den: Tensor | None) -> tuple:
    *inputs, out, pre, den = ctx.saved_tensors
    value, _, _, edge, *layout = inputs
    if torch.is_grad_enabled():
        grads = differentiated(_composed, inputs, (grad_out, grad_pre))
    else:
        grads = gated_gcn_backward(grad_out, grad_pre, value, out, pre, den, *layout)
    return *grads[:3], None if edge is None else grads[3], *[None] * len(layout)


gated_gcn.register_autograd(_gated_gcn_backward, setup_context=_keep)
