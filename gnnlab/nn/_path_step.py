"""One step of an LSTM whose inputs were projected before they were gathered, and the runs of equal histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from gnnlab.ops import expand_ptr, scatter_reduce, segment_reduce

__all__ = ["Runs", "lstm_step", "runs_of"]


class Runs(NamedTuple):
    """Consecutive sequences that agree in all they have read so far, and so have one state.

    Args:
        first: [R] long, first sequence of every run.
        ptr: [R' + 1] long, first run inside every run of the step before; ``None`` at the first step.
        parent: [R] long, the run of the step before that a run is part of; likewise.
    """

    first: Tensor
    ptr: Tensor | None
    parent: Tensor | None


def runs_of(read: Sequence[Sequence[Tensor]]) -> list[Runs]:
    """The runs at every step; at the last one every sequence is alone.

    Args:
        read: Per step, the [P] integers that tell apart what a sequence reads.

    Example:
        >>> for runs in runs_of([[torch.tensor([4, 4, 4, 5])], [torch.tensor([1, 1, 2, 2])], [torch.arange(4)]]):
        ...     print(runs.first.tolist(), runs.parent)
        [0, 3] None
        [0, 2, 3] tensor([0, 0, 1])
        [0, 1, 2, 3] tensor([0, 0, 1, 2])
    """
    count = read[0][0].numel()
    begins = torch.zeros(count, dtype=torch.bool, device=read[0][0].device)
    begins[:1] = True
    result: list[Runs] = []
    for step, keys in enumerate(read):
        if step == len(read) - 1:
            begins = torch.ones_like(begins)
        for key in keys:
            begins[1:] |= key[1:] != key[:-1]
        first = begins.nonzero().flatten()
        if not result:
            result.append(Runs(first, None, None))
            continue
        ends = first.new_tensor([first.numel()])
        ptr = torch.cat([torch.searchsorted(first, result[-1].first), ends])
        result.append(Runs(first, ptr, expand_ptr(ptr, first.numel())))
    return result


def lstm_step(
    inputs: Sequence[tuple[Tensor, Tensor | None]],
    state: tuple[Tensor, Tensor] | None,
    runs: Runs | None,
    weight: Tensor,
) -> tuple[Tensor, Tensor]:
    r"""Hidden and cell states after one more step.

    .. math:: (i, f, g, o) = \sum_t T_t[\mathrm{index}_t] + W h, \quad c' = \sigma(f) c + \sigma(i) \tanh(g), \quad
        h' = \sigma(o) \tanh(c')

    Of each row four gates and two states are kept for the gradient; nothing that was gathered is.

    Args:
        inputs: One or two tables [., 4 d] of projected inputs, biases included, with the row [R] each sequence reads
            (``None``: the table has one row for each).
        state: (h, c) [R', d] before the step; ``None`` at the first one.
        runs: Whose state each row continues; ``None``: its own.
        weight: [4 d, d], W.
    """
    (table, index), (other, other_index) = (*inputs, (None, None))[:2]
    h, c = (None, None) if state is None else state
    ptr, parent = (None, None) if runs is None else (runs.ptr, runs.parent)
    return _Step.apply(table, index, other, other_index, h, c, ptr, parent, weight)


class _Step(Function):
    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        index: Tensor | None,
        other: Tensor | None,
        other_index: Tensor | None,
        h: Tensor | None,
        c: Tensor | None,
        ptr: Tensor | None,
        parent: Tensor | None,
        weight: Tensor,
    ) -> tuple[Tensor, Tensor]:
        gates = table.clone() if index is None else table.index_select(0, index)
        if other is not None:
            gates += other.index_select(0, other_index)
        if h is not None:
            gates.addmm_(_of_parent(h, parent), weight.t())
        i, f, g, o = gates.chunk(4, 1)
        i.sigmoid_()
        f.sigmoid_()
        g.tanh_()
        o.sigmoid_()
        new_c = i * g
        if c is not None:
            new_c.addcmul_(f, _of_parent(c, parent))
        ctx.save_for_backward(table, index, other, other_index, h, c, ptr, parent, weight, gates, new_c)
        ctx.set_materialize_grads(False)
        return o * new_c.tanh(), new_c

    @staticmethod
    def backward(ctx: Any, grad_h: Tensor | None, grad_c: Tensor | None) -> tuple[Tensor | None, ...]:
        *saved, gates, new_c = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of this derivative will be asked for
            return _differentiable_backward(saved, grad_h, grad_c)
        table, index, other, other_index, h, c, ptr, parent, weight = saved
        i, f, g, o = gates.chunk(4, 1)
        grad_gates = torch.empty_like(gates)
        to_i, to_f, to_g, to_o = grad_gates.chunk(4, 1)
        through_c = torch.zeros_like(new_c) if grad_c is None else grad_c
        if grad_h is None:
            to_o.zero_()
        else:
            tanh_c = new_c.tanh()
            torch.mul(grad_h * tanh_c, o, out=to_o).mul_(1 - o)
            through_c = torch.addcmul(through_c, grad_h * o, tanh_c.square_().neg_().add_(1))
        torch.mul(through_c * g, i, out=to_i).mul_(1 - i)
        torch.mul(through_c * i, g.square().neg_().add_(1), out=to_g)
        before = None, None, None
        if c is None:
            to_f.zero_()
        else:
            own = _of_parent(c, parent)
            torch.mul(through_c * own, f, out=to_f).mul_(1 - f)
            to_h = grad_gates @ weight
            to_weight = grad_gates.t() @ _of_parent(h, parent)
            before = _to_parent(to_h, ptr), _to_parent(through_c * f, ptr), to_weight
        to_table = grad_gates if index is None else scatter_reduce(grad_gates, index, table.size(0))
        to_other = None if other is None else scatter_reduce(grad_gates, other_index, other.size(0))
        return to_table, None, to_other, None, *before[:2], None, None, before[2]


def _differentiable_backward(
    saved: Sequence[Tensor | None], grad_h: Tensor | None, grad_c: Tensor | None
) -> tuple[Tensor | None, ...]:
    """The same gradients from plain operations, which can be differentiated again."""
    table, index, other, other_index, h, c, _, parent, weight = saved
    gates = table if index is None else table[index]
    gates = gates if other is None else gates + other[other_index]
    gates = gates if h is None else gates + _of_parent(h, parent) @ weight.t()
    i, f, g, o = gates.chunk(4, 1)
    new_c = i.sigmoid() * g.tanh()
    new_c = new_c if c is None else new_c + f.sigmoid() * _of_parent(c, parent)
    pairs = [(o.sigmoid() * new_c.tanh(), grad_h), (new_c, grad_c)]
    outputs, grads = zip(*(pair for pair in pairs if pair[1] is not None), strict=True)
    places = [place for place in (0, 2, 4, 5, 8) if saved[place] is not None and saved[place].requires_grad]
    found = torch.autograd.grad(
        outputs, [saved[place] for place in places], grads, create_graph=True, allow_unused=True
    )
    result: list[Tensor | None] = [None] * len(saved)
    for place, grad in zip(places, found, strict=True):
        result[place] = grad
    return tuple(result)


def _of_parent(state: Tensor, parent: Tensor | None) -> Tensor:
    return state if parent is None else state.index_select(0, parent)


def _to_parent(grad: Tensor, ptr: Tensor | None) -> Tensor:
    return grad if ptr is None else segment_reduce(grad, ptr)
