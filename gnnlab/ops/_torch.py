"""The backend that is always there: embedding bags over compressed rows, on any device and dtype.

A bag is a row: ``embedding_bag`` reads the sources of a row and adds them up in one pass, in a fixed order,
with no array of size E x F. Every kernel of edge data reads it through such bags, too.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnlab.ops._layout import Layout
from gnnlab.ops._ragged import iota

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


def extremum(x: Tensor, largest: bool, ptr: Tensor, idx: Tensor) -> tuple[Tensor, Tensor]:
    find = _extremum_sparse if x.device.type == "cpu" else _extremum_bag
    return find(x, largest, ptr, idx)


def spread(x: Tensor, source: Tensor, num_sources: int) -> Tensor:
    width = x.size(1)
    # One more row takes what comes from nowhere.
    place = torch.where(source < 0, num_sources, source).long().mul_(width).add_(iota(width, source)).flatten()
    out = x.new_zeros((num_sources + 1) * width)
    if x.device.type == "cpu":
        out.scatter_add_(0, place, x.flatten())
    else:
        out.index_put_((place,), x.flatten(), accumulate=True)  # sorts: the same bits every run, unlike scatter_add_
    return out[: num_sources * width].view(num_sources, width)


def gine(x: Tensor, edge: Tensor, layout: Layout) -> Tensor:
    messages = x.index_select(0, layout.source).add_(edge).relu_()
    return _bag(layout.ptr, layout.slots, messages)


def gine_backward(grad: Tensor, x: Tensor, edge: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    messages = x.index_select(0, layout.source).add_(edge)
    grad_edge = torch.ops.aten.threshold_backward(grad.index_select(0, layout.target), messages, 0)
    return _bag(layout.ptr_t, layout.t.slots, grad_edge), grad_edge


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


def softmax(logits: Tensor, layout: Layout) -> Tensor:
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    target, slots = layout.target, layout.slots
    top, _ = extremum(wide, True, layout.ptr, slots)
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


def _by_head(parts: list[Tensor]) -> Tensor:
    return parts[0].unsqueeze(1) if len(parts) == 1 else torch.stack(parts, dim=1)


def _bag(ptr: Tensor, idx: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
    """[M, F] -> [R, F], sums of rows."""
    if weight is None and x.dtype == torch.float64 and x.device.type == "cpu":
        weight = x.new_ones(idx.size(0))  # only the weighted double-precision bag is vectorised
    return F.embedding_bag(idx, x.contiguous(), ptr, mode="sum", include_last_offset=True, per_sample_weights=weight)


def _dot(a: Tensor, b: Tensor, ptr: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """[E], <a[target], b[source]>: the gradient embedding_bag has for its weights."""
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(a, b, source, ptr, target, 0)


def _extremum_sparse(x: Tensor, largest: bool, ptr: Tensor, idx: Tensor) -> tuple[Tensor, Tensor]:
    shape, ones = (ptr.size(0) - 1, x.size(0)), x.new_ones(idx.size(0))
    with torch.enable_grad():  # the winning slots come back only if a gradient is wanted
        matrix = torch.sparse_csr_tensor(ptr, idx, ones, shape, check_invariants=False).requires_grad_()
        out, slot = torch.ops.aten._sparse_mm_reduce_impl(matrix, x.contiguous(), "amax" if largest else "amin")
    # The slot behind the last one stands for "none".
    source = torch.cat([idx, idx.new_full((1,), -1)]).index_select(0, slot.flatten())
    return out.detach(), source.view(slot.shape)


def _extremum_bag(x: Tensor, largest: bool, ptr: Tensor, idx: Tensor) -> tuple[Tensor, Tensor]:
    signed = x.contiguous() if largest else -x
    top, _, _, source = torch.embedding_bag(signed, idx, ptr, mode=2, include_last_offset=True)
    out = top.clone() if largest else -top
    # The bag passes over NaN, torch.max does not: a row that holds one becomes one.
    has_nan = _bag(ptr, idx, x.isnan().to(x.dtype)) > 0
    empty = (ptr.diff() == 0).unsqueeze(1)
    source = source.int().masked_fill_(empty | (top == -torch.inf), -1)
    return out.masked_fill_(has_nan, torch.nan).masked_fill_(empty, 0), source
