"""The backend to compare with: every formula written out in float64, one message per edge, slowly."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.ops._hash import hashed_mask
from gnnlab.ops._layout import GATE_EPS, Layout
from gnnlab.ops._ragged import expand_ptr
from gnnlab.ops._scoring import Scoring

PURPOSE = "float64 formulas, one message per edge; any device, slow"
DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


def unavailable(device: str) -> str | None:
    return None


def spmm(x: Tensor, weight: Tensor | None, mean: bool, layout: Layout) -> Tensor:
    row, source, edge = _entries(layout)
    messages = x.double()[source]
    if weight is not None:
        messages = messages * weight.double()[edge].unsqueeze(-1)
    out = _sum(messages, row, layout.num_rows)
    if mean:
        out = out / _sum(torch.ones_like(row).double(), row, layout.num_rows).clamp(min=1).view(-1, 1, 1)
    return out.to(x.dtype)


def sddmm(a: Tensor, b: Tensor, layout: Layout) -> Tensor:
    row, source, edge = _entries(layout)
    return _in_edge_order((a.double()[row] * b.double()[source]).sum(-1), edge).to(a.dtype)


def extremum(x: Tensor, largest: bool, layout: Layout) -> tuple[Tensor, Tensor]:
    row, source, order = _entries(layout)
    num_rows, num_edges = layout.num_rows, layout.num_edges
    messages = x.double()[source]
    out = _extreme(messages, row, num_rows, "amax" if largest else "amin")
    wins = (messages == out[row]) & (messages != (-torch.inf if largest else torch.inf)) | messages.isnan()
    slot = torch.arange(num_edges, device=x.device).unsqueeze(1).expand_as(messages)
    first = _extreme(torch.where(wins, slot, num_edges), row, num_rows, "amin")
    none = (first == num_edges) | (layout.ptr.diff() == 0).unsqueeze(1)
    return out.to(x.dtype), order[first.masked_fill(none, 0)].masked_fill(none, -1).int()


def spread(x: Tensor, winner: Tensor, layout: Layout) -> Tensor:
    out = x.new_zeros(layout.t.num_rows, x.size(1), dtype=torch.float64)
    kept = torch.where(winner < 0, 0, x.double())
    return out.scatter_add(0, layout.source.long()[winner.clamp(min=0)], kept).to(x.dtype)


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    wide = x.double()
    mean, variance = wide.mean(0), wide.var(0, correction=0)
    out = (wide - mean) / (variance + eps).sqrt() * weight.double() + bias.double()
    return tuple(each.to(x.dtype) for each in (out.relu() if relu else out, mean, variance))


def batch_norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    deviation = (variance.double() + eps).sqrt()
    y, g = (x.double() - mean.double()) / deviation, grad.double()
    if relu:
        g = g.masked_fill(y * weight.double() + bias.double() <= 0, 0)
    grad_x = weight.double() / deviation * (g - g.mean(0) - y * (g * y).mean(0))
    return tuple(each.to(x.dtype) for each in (grad_x, (g * y).sum(0), g.sum(0)))


def dropout(x: Tensor, seed: Tensor, p: float, residual: Tensor | None) -> Tensor:
    scale = 0.0 if p == 1 else 1 / (1 - p)
    kept = torch.where(hashed_mask(x.size(0), seed, p), x.double() * scale, 0)
    return (kept if residual is None else kept + residual.double()).to(x.dtype)


def gine(x: Tensor, edge: Tensor, kind: Tensor | None, layout: Layout) -> Tensor:
    row, source, order = _entries(layout)
    messages = (x.double()[source] + edge.double()[_place(kind, order)]).relu()
    return _sum(messages, row, layout.num_rows).to(x.dtype)


def gine_backward(grad: Tensor, x: Tensor, edge: Tensor, kind: Tensor | None, layout: Layout) -> tuple[Tensor, Tensor]:
    row, source, order = _entries(layout)
    place = _place(kind, order)
    passed = grad.double()[row].masked_fill(x.double()[source] + edge.double()[place] <= 0, 0)
    return _sum(passed, source, x.size(0)).to(x.dtype), _sum(passed, place, edge.size(0)).to(x.dtype)


def gated(x: Tensor, gate: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    row, source, order = _entries(layout)
    gates = gate.double()[order]
    num, den = _sum(gates * x.double()[source], row, layout.num_rows), _sum(gates, row, layout.num_rows)
    return num.to(x.dtype), den.to(x.dtype)


def gated_backward(
    grad_num: Tensor, grad_den: Tensor, x: Tensor, gate: Tensor, layout: Layout
) -> tuple[Tensor, Tensor]:
    row, source, order = _entries(layout)
    passed = grad_num.double()[row]
    grad_x = _sum(passed * gate.double()[order], source, x.size(0))
    grad_gate = _in_edge_order(passed * x.double()[source] + grad_den.double()[row], order)
    return grad_x.to(x.dtype), grad_gate.to(x.dtype)


def gated_gcn(
    value: Tensor, source: Tensor, target: Tensor, edge: Tensor | None, layout: Layout
) -> tuple[Tensor, Tensor, Tensor]:
    row, start, order = _entries(layout)
    pre = target.double()[row] + source.double()[start]
    pre = pre if edge is None else pre + edge.double()[order]
    gates = pre.sigmoid()
    den = _sum(gates, row, layout.num_rows) + GATE_EPS
    out = _sum(gates * value.double()[start], row, layout.num_rows) / den
    return out.to(value.dtype), _in_edge_order(pre, order).to(value.dtype), den.to(value.dtype)


def gated_gcn_backward(
    grad_out: Tensor, grad_pre: Tensor, value: Tensor, out: Tensor, pre: Tensor, den: Tensor, layout: Layout
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    row, start, order = _entries(layout)
    gates, passed = pre.double()[order].sigmoid(), (grad_out.double() / den.double())[row]
    through = gates * (1 - gates) * passed * (value.double()[start] - out.double()[row])
    grad_edge = grad_pre.double()[order] + through
    grads = (
        _sum(gates * passed, start, value.size(0)),
        _sum(grad_edge, start, value.size(0)),
        _sum(grad_edge, row, layout.num_rows),
        _in_edge_order(grad_edge, order),
    )
    return tuple(grad.to(value.dtype) for grad in grads)


def attention(
    x: Tensor,
    scoring: Scoring,
    layout: Layout,
) -> tuple[Tensor, Tensor]:
    row, start, order = _entries(layout)
    _, scores = _scores(x, scoring, layout)
    top = _extreme(scores, row, layout.num_rows, "amax").nan_to_num(neginf=0.0, nan=torch.nan)
    total = _sum((scores - top[row]).exp(), row, layout.num_rows)
    lse = total.log() + top
    share = (scores - torch.where(total == 0, 0, lse)[row]).exp()
    factor = share if scoring.weight is None else share * scoring.weight.double()[order]
    out = _sum(factor.unsqueeze(-1) * x.double()[start], row, layout.num_rows)
    return out.to(x.dtype), lse.to(torch.promote_types(x.dtype, torch.float32))


def attention_backward(
    grad_out: Tensor,
    grad_lse: Tensor,
    x: Tensor,
    scoring: Scoring,
    out: Tensor,
    lse: Tensor,
    layout: Layout,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    row, start, order = _entries(layout)
    raw, scores = _scores(x, scoring, layout)
    share = (scores - lse.double().nan_to_num(neginf=0.0, nan=torch.nan)[row]).exp()
    factor = torch.ones_like(share) if scoring.weight is None else scoring.weight.double()[order]
    passed = grad_out.double()[row]
    dot = (passed * x.double()[start]).sum(-1)
    along = (grad_out.double() * out.double()).sum(-1) - grad_lse.double()
    grad_scores = share * (factor * dot - along[row])
    grad_edge = torch.where(raw > 0, grad_scores, grad_scores * scoring.slope)
    grads = (
        _sum((share * factor).unsqueeze(-1) * passed, start, x.size(0)),
        _sum(grad_edge, start, x.size(0)),
        _sum(grad_edge, row, layout.num_rows),
        _in_edge_order(grad_edge, order),
        _in_edge_order(share * dot, order),
    )
    return tuple(grad.to(x.dtype) for grad in grads)


def softmax(logits: Tensor, layout: Layout) -> Tensor:
    row, _, order = _entries(layout)
    scores = logits.double()[order]
    top = _extreme(scores, row, layout.num_rows, "amax").nan_to_num(neginf=0.0, nan=torch.nan)
    powers = (scores - top[row]).exp()
    total = _sum(powers, row, layout.num_rows)
    share = powers / torch.where(total == 0, 1, total)[row]
    return _in_edge_order(share, order).to(logits.dtype)


def softmax_backward(p: Tensor, grad: Tensor, layout: Layout) -> Tensor:
    row, _, order = _entries(layout)
    share, incoming = p.double()[order], grad.double()[order]
    dot = _sum(share * incoming, row, layout.num_rows)
    return _in_edge_order(share * (incoming - dot[row]), order).to(p.dtype)


def _entries(layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    """Row, source and edge of every slot."""
    return expand_ptr(layout.ptr, layout.num_edges), layout.idx.long(), layout.slots.long()


def _scores(
    x: Tensor,
    scoring: Scoring,
    layout: Layout,
) -> tuple[Tensor, Tensor]:
    """[E, H] of every slot, before and after the leaky rectifier; skipped edges get -inf."""
    row, start, order = _entries(layout)
    raw = x.new_zeros(layout.num_edges, x.size(1), dtype=torch.float64)
    for part, place in ((scoring.source, start), (scoring.target, row), (scoring.edge, order)):
        if part is not None:
            raw = raw + part.double()[place]
    scores = torch.where(raw > 0, raw, raw * scoring.slope)
    return raw, scores.masked_fill((start == row).unsqueeze(-1), -torch.inf) if scoring.skip_loops else scores


def _place(kind: Tensor | None, order: Tensor) -> Tensor:
    """Row of the edge features that every slot reads."""
    return order if kind is None else kind.long()[order]


def _sum(values: Tensor, index: Tensor, num_rows: int) -> Tensor:
    return values.new_zeros(num_rows, *values.shape[1:]).index_add(0, index, values)


def _extreme(values: Tensor, row: Tensor, num_rows: int, reduce: str) -> Tensor:
    index = row.unsqueeze(1).expand_as(values)
    return values.new_zeros(num_rows, values.size(1)).scatter_reduce(0, index, values, reduce, include_self=False)


def _in_edge_order(values: Tensor, edge: Tensor) -> Tensor:
    return torch.empty_like(values).index_copy(0, edge, values)
