"""Sums of perceptrons whose inner states are not kept: as one after the other, gradients of gradients included."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from gnnlab.nn import MLP, BatchNorm
from gnnlab.nn import _update_sum as update_sum
from gnnlab.nn import norm as norm_module


@pytest.fixture(autouse=True)
def everything_suits(monkeypatch):
    monkeypatch.setattr(norm_module, "_suits", lambda x: x.size(0) > 1)


def updates(count: int = 3) -> list[MLP]:
    torch.manual_seed(0)
    found = [MLP(4, 5, norm=BatchNorm).double() for _ in range(count)]
    for update in found:
        nn.init.uniform_(update[1].weight, 0.5, 2.0)
        nn.init.uniform_(update[1].bias, -1.0, 1.0)
    return found


def inputs(count: int = 3) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(40, 4, dtype=torch.double, generator=draw).requires_grad_() for _ in range(count)]


def summed(updates: list[MLP], z: list[Tensor]) -> Tensor:
    return update_sum.summed([update_sum.split_update(*pair) for pair in zip(updates, z, strict=True)])


@pytest.mark.parametrize("count", [1, 3])
def test_outputs_gradients_and_statistics_are_those_of_the_perceptrons(count):
    ours, z = updates(count), inputs(count)
    theirs = deepcopy(ours)
    out = summed(ours, z)
    wanted = sum(update(x) for update, x in zip(theirs, z, strict=True))
    torch.testing.assert_close(out, wanted)
    grad = torch.randn_like(out)
    learned = [[*z, *(p for update in each for p in update.parameters())] for each in (ours, theirs)]
    found, expected = (torch.autograd.grad(y, p, grad) for y, p in zip((out, wanted), learned, strict=True))
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other)
    for mine, other in zip(ours, theirs, strict=True):
        for name, buffer in other.named_buffers():
            torch.testing.assert_close(mine.get_buffer(name), buffer, check_dtype=False)


def test_gradients_of_gradients():
    (update,), (z,) = updates(1), inputs(1)
    results = []
    for forward in (lambda: summed([update], [z]), lambda: update(z)):
        (grad,) = torch.autograd.grad(forward().square().sum(), z, create_graph=True)
        results.append(torch.autograd.grad(grad.square().sum(), [z, *update[0].parameters()]))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other)


def test_rectified_states_are_not_kept():
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        summed(updates(), inputs())
    assert sum(t.dim() == 2 and t.size(0) == 40 for t in kept) == 6  # z and what is normalised, of each


@pytest.mark.parametrize(
    "update",
    [
        MLP(4, 4),
        MLP(4, 4, norm=nn.BatchNorm1d),
        MLP(4, 4, norm=BatchNorm, dropout=0.5),
        MLP(4, 4, norm=BatchNorm, activation=nn.GELU),
        MLP(4, 4, num_layers=3, norm=BatchNorm),
        MLP(4, 4, norm=BatchNorm).eval(),
        nn.Linear(4, 4),
    ],
)
def test_others_are_left_alone(update):
    assert update_sum.split_update(update, torch.randn(9, 4)) is None


def test_padding_is_left_to_the_normalisation():
    update = MLP(4, 4, norm=BatchNorm)
    with norm_module.real_rows(update, {9: torch.tensor(5)}):
        assert update_sum.split_update(update, torch.randn(9, 4)) is None
    assert update_sum.split_update(update, torch.randn(9, 4)) is not None


def test_layers_that_are_watched_are_called():
    update, seen = MLP(4, 4, norm=BatchNorm), []
    watch = update[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    assert update_sum.split_update(update, torch.randn(9, 4)) is None
    watch.remove()
    assert update_sum.split_update(update, torch.randn(9, 4)) is not None
