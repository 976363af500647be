"""The table behind exactly-k subsets: how many items are chosen among the first i, for every row at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.linalg import vecdot

from gnnlab.errors import BudgetError, GraphError

__all__ = ["Subsets", "completions", "count_table", "subsets"]

_BISECTIONS, _MAX_BYTES = 20, 1 << 33


class Subsets(NamedTuple):
    r"""Rows of independent items that are subsets of size ``k`` when conditioned on their number.

    ``chosen`` and ``spared`` are :math:`\sigma(\pm(s\theta_i - c))`, which conditioned on k have the law
    :math:`p_{s\theta, k}` whatever c; c makes k their expected number, so that no probability of a count that
    matters is small. Of k and n - k the smaller is drawn: rows with ``flipped`` choose what is left out, s = -1.

    Args:
        chosen: [n, B], 0 for padding.
        spared: [n, B], 1 for padding.
        k: [B] long, at most half of the items of a row.
        flipped: [B] bool.
        shift: [B], the c of every row.
        mask: [B, n] bool, real items.
        width: Largest entry of ``k``.
    """

    chosen: Tensor
    spared: Tensor
    k: Tensor
    flipped: Tensor
    shift: Tensor
    mask: Tensor
    width: int


def subsets(logits: Tensor, k: int | Tensor, mask: Tensor | None) -> Subsets:
    """Check the input, and tilt every row; differentiable in ``logits``."""
    if logits.dim() != 2 or not logits.is_floating_point():
        raise GraphError(f"logits must be a floating tensor [B, n], got {list(logits.shape)} of {logits.dtype}")
    mask = torch.ones_like(logits, dtype=torch.bool) if mask is None else mask
    count = mask.sum(1)
    k = torch.as_tensor(k, device=logits.device).long().expand_as(count)
    if k.device.type == "cpu" and bool(((k < 0) | (k > count)).any()):
        row = int(((k < 0) | (k > count)).nonzero()[0])
        raise GraphError(f"row {row} has {int(count[row])} items, of which {int(k[row])} shall be chosen")
    flipped = 2 * k > count
    fewer = torch.where(flipped, count - k, k)
    width = int(fewer.max()) if fewer.numel() else 0
    size = 2 * (logits.size(1) + 1) * logits.size(0) * (width + 1) * logits.element_size()
    if size > _MAX_BYTES:
        raise BudgetError(
            f"a table for {width} of {logits.size(1)} items in {logits.size(0)} rows takes {size / 2**30:.0f} GiB",
            hint="use fewer candidates, a smaller k, or smaller batches",
        )
    signed = torch.where(flipped[:, None], -logits, logits)
    shift = _balance(signed.detach(), fewer, mask, count)
    relative = signed - shift[:, None]
    chosen = relative.sigmoid().masked_fill(~mask, 0).t()
    spared = (-relative).sigmoid().masked_fill(~mask, 1).t()
    return Subsets(chosen, spared, fewer, flipped, shift, mask, width)


def count_table(items: Subsets, both: bool = False) -> Tensor:
    """Probabilities of counts, [n + 1, B, width + 1]: entry (i, b, j) is that j of the first i items are chosen.

    With ``both``, B more rows: entry (i, B + b, width - j) is the probability to reach k from a count of j with
    the last i items.
    """
    num_items, rows = items.chosen.shape
    chosen, spared = items.chosen, items.spared
    start = chosen.new_zeros(num_items + 1, (1 + both) * rows, items.width + 1)
    start[0, :rows, 0] = 1
    if both:
        start[0, rows:].scatter_(1, (items.width - items.k)[:, None], 1)
        chosen, spared = (torch.cat([value, value.flip(0)], 1) for value in (chosen, spared))
    return _Recurrence.apply(spared, chosen, start, False)


def completions(table: Tensor) -> tuple[Tensor, Tensor]:
    """From a table of both directions: probability that the others make k - 1, [n, B], and of all counts of all."""
    return _Meeting.apply(table)


class _Recurrence(torch.autograd.Function):
    """In place, for i = 0, 1, ...: ``state[i + 1, :, j] += stay[i] * state[i, :, j] + move[i] * state[i, :, j - 1]``.

    Linear in the state: its adjoint is the same with all directions reversed, hence differentiable as often as wanted.
    """

    @staticmethod
    def forward(ctx: Any, stay: Tensor, move: Tensor, state: Tensor, reverse: bool) -> Tensor:
        whole, upper, lower = (part.unbind(0) for part in (state, state[..., 1:], state[..., :-1]))
        stays, moves = (part.unsqueeze(-1).unbind(0) for part in (stay, move))
        if reverse:
            for i in reversed(range(len(stays))):
                whole[i].addcmul_(whole[i + 1], stays[i])
                lower[i].addcmul_(upper[i + 1], moves[i])
        else:
            for i in range(len(stays)):
                whole[i + 1].addcmul_(whole[i], stays[i])
                upper[i + 1].addcmul_(lower[i], moves[i])
        ctx.reverse = reverse
        ctx.mark_dirty(state)
        ctx.save_for_backward(stay, move, state)
        return state

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        stay, move, state = ctx.saved_tensors
        adjoint = _Recurrence.apply(stay, move, grad.clone(), not ctx.reverse)
        before, after = (adjoint, state) if ctx.reverse else (state, adjoint)
        grad_stay = vecdot(after[1:], before[:-1])
        grad_move = vecdot(after[1:, :, 1:], before[:-1, :, :-1])
        return grad_stay, grad_move, adjoint if ctx.needs_input_grad[2] else None, None


class _Meeting(torch.autograd.Function):
    """Both halves of a table multiplied where they meet, before and after every item, and the last row of the first.

    One function, so that the gradient of the table, the largest tensor of all, is written once.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(table)
        return vecdot(*_halves(table)), table[-1, : table.size(1) // 2].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_last: Tensor) -> Tensor:
        (table,) = ctx.saved_tensors
        before, after = _halves(table)
        result, rows = torch.zeros_like(table), grad.size(1)
        result[:-1, :rows, :-1] = grad[..., None] * after
        result[:-1, rows:, :-1] = (grad[..., None] * before).flip(0, 2)
        result[-1, :rows] = grad_last
        return result


def _halves(table: Tensor) -> tuple[Tensor, Tensor]:
    """[n, B, width] twice: j of the items before i, and what completes them to k if i is one more."""
    rows = table.size(1) // 2
    return table[:-1, :rows, :-1], table[:-1, rows:, :-1].flip(0, 2)


def _balance(logits: Tensor, k: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    """[B], c with k items expected: between the k-th and the next logit, give or take log 2n."""
    if logits.size(1) == 0:
        return logits.new_zeros(logits.size(0))
    ordered = logits.masked_fill(~mask, -torch.inf).sort(1, descending=True).values
    margin = (2 * count.clamp(min=1)).to(logits.dtype).log()
    high = ordered.gather(1, (k - 1).clamp(min=0)[:, None]).squeeze(1) + margin
    low = ordered.gather(1, k.clamp(max=logits.size(1) - 1)[:, None]).squeeze(1) - margin
    for _ in range(_BISECTIONS):
        middle = low / 2 + high / 2
        many = (logits - middle[:, None]).sigmoid().masked_fill(~mask, 0).sum(1) > k
        low, high = torch.where(many, middle, low), torch.where(many, high, middle)
    return torch.where(count > 0, low / 2 + high / 2, 0)
