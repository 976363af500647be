"""The backend that is always there: embedding bags over compressed rows, on any device and dtype.

A bag is a row: ``embedding_bag`` reads the sources of a row and adds them up in one pass, in a fixed order,
with no array of size E x F. Every kernel of edge data reads it through such bags, too.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnlab.ops._hash import hashed_mask
from gnnlab.ops._layout import GATE_EPS, Layout, grouped
from gnnlab.ops._ragged import iota
from gnnlab.ops._scoring import Scoring

PURPOSE = "embedding bags over compressed rows; any device"
DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})

_WIDE_HEAD = 8  # channels from which one bag per head is faster than forming all messages

with warnings.catch_warnings():
    # Torch says once per process that sparse rows are in beta; a user of aggregate(..., "max") cannot act on it.
    warnings.simplefilter("ignore")
    _empty = torch.zeros(0, dtype=torch.int32, device="cpu")
    torch.sparse_csr_tensor(_empty.new_zeros(1), _empty, _empty.float(), (0, 0), check_invariants=False)


def unavailable(device: str) -> str | None:
    return None


def spmm(x: Tensor, weight: Tensor | None, mean: bool, layout: Layout) -> Tensor:
    if mean:
        # Half-precision sums may overflow, or round, where the mean does not.
        wide = torch.promote_types(x.dtype, torch.float32)
        total = spmm(x.to(wide), None if weight is None else weight.to(wide), False, layout)
        return total.div_(layout.degree.view(-1, 1, 1)).to(x.dtype)
    _, heads, channels = x.shape
    if weight is None:
        return _bag(layout.ptr, layout.idx, x.flatten(1)).view(-1, heads, channels)
    if heads > 1 and channels < _WIDE_HEAD:
        messages = x.index_select(0, layout.source).mul_(weight.unsqueeze(-1))
        return _bag(layout.ptr, layout.slots, messages.flatten(1)).view(-1, heads, channels)
    weight = weight if layout.eid is None else weight.index_select(0, layout.eid)
    by_head = zip(x.transpose(0, 1).contiguous(), weight.t().contiguous(), strict=True)
    return _by_head([_bag(layout.ptr, layout.idx, part, factor) for part, factor in by_head])


def sddmm(a: Tensor, b: Tensor, layout: Layout) -> Tensor:
    source, target = layout.source, layout.target
    if a.size(-1) < _WIDE_HEAD:
        return a.index_select(0, target).mul_(b.index_select(0, source)).sum(-1, dtype=a.dtype)
    by_head = zip(a.transpose(0, 1).contiguous(), b.transpose(0, 1).contiguous(), strict=True)
    return _by_head([_dot(left, right, layout.ptr, source, target) for left, right in by_head])


def extremum(x: Tensor, largest: bool, layout: Layout) -> tuple[Tensor, Tensor]:
    find = _extremum_sparse if x.device.type == "cpu" else _extremum_bag
    return find(x, largest, layout)


def spread(x: Tensor, winner: Tensor, layout: Layout) -> Tensor:
    width, num_sources = x.size(1), layout.t.num_rows
    source = layout.source.index_select(0, winner.clamp(min=0).flatten()).view(winner.shape)
    # One more row takes what comes from nowhere.
    place = torch.where(winner < 0, num_sources, source).long().mul_(width).add_(iota(width, source)).flatten()
    out = x.new_zeros((num_sources + 1) * width)
    if x.device.type == "cpu":
        out.scatter_add_(0, place, x.flatten())
    else:
        out.index_put_((place,), x.flatten(), accumulate=True)  # sorts: the same bits every run, unlike scatter_add_
    return out[: num_sources * width].view(num_sources, width)


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    out, mean, inverse = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
    variance = inverse.square().reciprocal_().sub_(eps).clamp_(min=0)
    return out.relu_() if relu else out, mean.to(x.dtype), variance.to(x.dtype)


def batch_norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    wide = torch.promote_types(x.dtype, torch.float32)
    mean, inverse = mean.to(wide), (variance.to(wide) + eps).rsqrt_()
    if relu:
        out = (x - mean) * (inverse * weight) + bias
        grad = grad.masked_fill(out <= 0, 0)
    return torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, None, None, mean, inverse, True, eps, [True, True, True]
    )


def dropout(x: Tensor, seed: Tensor, p: float, residual: Tensor | None) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    scale = 0.0 if p == 1 else 1 / (1 - p)
    out = torch.where(hashed_mask(x.size(0), seed, p), x.to(wide) * scale, 0)
    return (out if residual is None else out.add_(residual)).to(x.dtype)


def gine(x: Tensor, edge: Tensor, kind: Tensor | None, layout: Layout) -> Tensor:
    messages = x.index_select(0, layout.source).add_(_of_edges(edge, kind)).relu_()
    return _bag(layout.ptr, layout.slots, messages)


def gine_backward(grad: Tensor, x: Tensor, edge: Tensor, kind: Tensor | None, layout: Layout) -> tuple[Tensor, Tensor]:
    messages = x.index_select(0, layout.source).add_(_of_edges(edge, kind))
    grad_edge = torch.ops.aten.threshold_backward(grad.index_select(0, layout.target), messages, 0)
    grad_x = _bag(layout.ptr_t, layout.t.slots, grad_edge)
    if kind is None:
        return grad_x, grad_edge
    by_kind = grouped(kind, edge.size(0))
    return grad_x, _bag(by_kind.ptr, by_kind.idx, grad_edge)


def gated(x: Tensor, gate: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    messages = x.index_select(0, layout.source).mul_(gate)
    return _bag(layout.ptr, layout.slots, messages), _bag(layout.ptr, layout.slots, gate)


def gated_backward(
    grad_num: Tensor, grad_den: Tensor, x: Tensor, gate: Tensor, layout: Layout
) -> tuple[Tensor, Tensor]:
    target = layout.target
    passed = grad_num.index_select(0, target)
    grad_x = _bag(layout.ptr_t, layout.t.slots, passed * gate)
    grad_gate = passed.mul_(x.index_select(0, layout.source)).add_(grad_den.index_select(0, target))
    return grad_x, grad_gate


def gated_gcn(
    value: Tensor, source: Tensor, target: Tensor, edge: Tensor | None, layout: Layout
) -> tuple[Tensor, Tensor, Tensor]:
    pre = source.index_select(0, layout.source).add_(target.index_select(0, layout.target))
    pre = pre if edge is None else pre.add_(edge)
    num, den = gated(value, pre.sigmoid(), layout)
    den.add_(GATE_EPS)
    return num.div_(den), pre, den


def gated_gcn_backward(
    grad_out: Tensor, grad_pre: Tensor, value: Tensor, out: Tensor, pre: Tensor, den: Tensor, layout: Layout
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    gate, scaled = pre.sigmoid(), grad_out / den
    passed = scaled.index_select(0, layout.target)
    grad_value = _bag(layout.ptr_t, layout.t.slots, passed * gate)
    through = value.index_select(0, layout.source).sub_(out.index_select(0, layout.target)).mul_(passed)
    grad_edge = torch.ops.aten.sigmoid_backward(through, gate).add_(grad_pre)
    grad_source = _bag(layout.ptr_t, layout.t.slots, grad_edge)
    return grad_value, grad_source, _bag(layout.ptr, layout.slots, grad_edge), grad_edge


def attention(
    x: Tensor,
    scoring: Scoring,
    layout: Layout,
) -> tuple[Tensor, Tensor]:
    _, logits = _logits(x, scoring, layout)
    ends, slots = layout.target, layout.slots
    top, _ = extremum(logits, True, layout.edges)
    top.masked_fill_(top == -torch.inf, 0)
    powers = logits.sub_(top.index_select(0, ends)).exp_()
    total = _bag(layout.ptr, slots, powers)
    lse = total.log().add_(top)
    total.masked_fill_(total == 0, 1)
    share = powers.div_(total.index_select(0, ends))
    share = share if scoring.weight is None else share.mul_(scoring.weight)
    return spmm(x, share.to(x.dtype), False, layout), lse


def attention_backward(
    grad_out: Tensor,
    grad_lse: Tensor,
    x: Tensor,
    scoring: Scoring,
    out: Tensor,
    lse: Tensor,
    layout: Layout,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    raw, logits = _logits(x, scoring, layout)
    ends, slots = layout.target, layout.slots
    share = logits.sub_(lse.masked_fill(lse == -torch.inf, 0).index_select(0, ends)).exp_()
    dot = sddmm(grad_out, x, layout).to(lse.dtype)
    factor = share if scoring.weight is None else share * scoring.weight
    grad_x = spmm(grad_out, factor.to(x.dtype), False, layout.t)
    grad_weight = share * dot
    along = (grad_out.to(lse.dtype) * out.to(lse.dtype)).sum(-1).sub_(grad_lse)
    grad_logits = (
        (dot if scoring.weight is None else dot.mul_(scoring.weight)).sub_(along.index_select(0, ends)).mul_(share)
    )
    grad_edge = torch.where(raw > 0, grad_logits, grad_logits * scoring.slope)
    grads = _bag(layout.ptr_t, layout.t.slots, grad_edge), _bag(layout.ptr, slots, grad_edge), grad_edge, grad_weight
    return grad_x, *(grad.to(x.dtype) for grad in grads)


def softmax(logits: Tensor, layout: Layout) -> Tensor:
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    target, slots = layout.target, layout.slots
    top, _ = extremum(wide, True, layout.edges)
    top.masked_fill_(top == -torch.inf, 0)
    powers = wide.sub(top.index_select(0, target)).exp_()
    total = _bag(layout.ptr, slots, powers)
    total.masked_fill_(total == 0, 1)
    return powers.div_(total.index_select(0, target)).to(logits.dtype)


def softmax_backward(p: Tensor, grad: Tensor, layout: Layout) -> Tensor:
    wide = torch.promote_types(p.dtype, torch.float32)
    p_wide, grad_wide = p.to(wide), grad.to(wide)
    dot = _bag(layout.ptr, layout.slots, p_wide * grad_wide)
    return grad_wide.sub(dot.index_select(0, layout.target)).mul_(p_wide).to(p.dtype)


def _logits(
    x: Tensor,
    scoring: Scoring,
    layout: Layout,
) -> tuple[Tensor, Tensor]:
    """[E, H] scores before and after the leaky rectifier, in at least single precision."""
    wide = torch.promote_types(x.dtype, torch.float32)
    start, end = layout.source, layout.target
    raw = (
        x.new_zeros(layout.num_edges, x.size(1), dtype=wide)
        if scoring.edge is None
        else scoring.edge.to(wide, copy=True)
    )
    if scoring.source is not None:
        raw.add_(scoring.source.index_select(0, start))
    if scoring.target is not None:
        raw.add_(scoring.target.index_select(0, end))
    logits = F.leaky_relu(raw, scoring.slope)
    if scoring.skip_loops:
        logits.masked_fill_((start == end).unsqueeze(-1), -torch.inf)
    return raw, logits


def _of_edges(edge: Tensor, kind: Tensor | None) -> Tensor:
    return edge if kind is None else edge.index_select(0, kind)


def _by_head(parts: list[Tensor]) -> Tensor:
    return parts[0].unsqueeze(1) if len(parts) == 1 else torch.stack(parts, dim=1)


def _bag(ptr: Tensor, idx: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
    """[M, F] -> [R, F], sums of rows."""
    if weight is None and x.dtype == torch.float64 and x.device.type == "cpu":
        weight = x.new_ones(idx.size(0))  # only the weighted double-precision bag is vectorised
    return torch.embedding_bag(x.contiguous(), idx, ptr, per_sample_weights=weight, include_last_offset=True)[0]


def _dot(a: Tensor, b: Tensor, ptr: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """[E], <a[target], b[source]>: the gradient embedding_bag has for its weights."""
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(a, b, source, ptr, target, 0)


def _extremum_sparse(x: Tensor, largest: bool, layout: Layout) -> tuple[Tensor, Tensor]:
    shape, ones = (layout.num_rows, x.size(0)), x.new_ones(layout.num_edges)
    with torch.enable_grad():  # the winning slots come back only if a gradient is wanted
        matrix = torch.sparse_csr_tensor(layout.ptr, layout.idx, ones, shape, check_invariants=False).requires_grad_()
        out, slot = torch.ops.aten._sparse_mm_reduce_impl(
            matrix, x.detach().contiguous(), "amax" if largest else "amin"
        )
    # The slot behind the last one stands for "none".
    edge = torch.cat([layout.slots, layout.idx.new_full((1,), -1)]).index_select(0, slot.flatten())
    return out.detach(), edge.view(slot.shape)


def _extremum_bag(x: Tensor, largest: bool, layout: Layout) -> tuple[Tensor, Tensor]:
    # Of a bag's maximum only the element is known, so every edge is one.
    messages = x.index_select(0, layout.source)
    signed = messages if largest else messages.neg_()
    ptr, slots = layout.ptr, layout.slots
    top, _, _, edge = torch.embedding_bag(signed, slots, ptr, mode=2, include_last_offset=True)
    out = top.clone() if largest else -top
    # The bag passes over NaN, torch.max does not: a row that holds one becomes one.
    has_nan = _bag(ptr, slots, signed.isnan().to(x.dtype)) > 0
    empty = (ptr.diff() == 0).unsqueeze(1)
    edge = edge.int().masked_fill_(empty | (top == -torch.inf), -1)
    return out.masked_fill_(has_nan, torch.nan).masked_fill_(empty, 0), edge
