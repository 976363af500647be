"""BatchNorm on padded rows is BatchNorm on the real ones: results, gradients, running statistics."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.nn import GraphNorm

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn.norm import BatchNorm, real_rows


@given(rows=st.integers(0, 20), extra=st.integers(1, 8), width=st.sampled_from([1, 3]), seed=st.integers(0, 99))
def test_padding_does_not_count(rows: int, extra: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    padded, plain = BatchNorm(width).double(), BatchNorm(width).double()
    for norm in (padded, plain):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, 0.5)
    for _ in range(2):
        x = (torch.randn(rows + extra, width, dtype=torch.float64) * 3 + 7).requires_grad_()
        real = x.detach()[:rows].clone().requires_grad_()
        with real_rows(padded, {rows + extra: torch.tensor(rows)}):
            out = padded(x)
        expected = plain(real)
        torch.testing.assert_close(out[:rows], expected)
        grad = torch.randn_like(expected)
        # What arrives at padding is 0: nothing is computed from it.
        out.backward(torch.cat([grad, grad.new_zeros(extra, width)]))
        expected.backward(grad)
        torch.testing.assert_close(x.grad[:rows], real.grad, atol=1e-9, rtol=1e-6)
        assert not x.grad[rows:].any()
        assert out.isfinite().all()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(padded.state_dict()[name], value)
    torch.testing.assert_close(padded.weight.grad, plain.weight.grad, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    x = (torch.randn(5000, 2) + 30).to(dtype)
    norm, exact = BatchNorm(2), BatchNorm(2).double()
    with real_rows(norm, {5000: torch.tensor(4000)}):
        out = norm(x)
    assert out.dtype == dtype
    torch.testing.assert_close(out[:4000].double(), exact(x[:4000].double()), atol=0.02, rtol=0.02)


def test_evaluation_and_unpadded_batches_are_what_they_were() -> None:
    norm, x = BatchNorm(3), torch.randn(6, 3)
    with real_rows(norm, None):
        assert torch.equal(norm(x), BatchNorm(3)(x))
    norm.eval()
    expected = norm(x)
    with real_rows(norm, {6: torch.tensor(2)}):
        assert torch.equal(norm(x), expected)
    norm.train()
    assert torch.equal(norm(x), BatchNorm(3)(x))


def test_a_length_of_no_level_is_an_error() -> None:
    norm = BatchNorm(1)
    with real_rows(norm, {6: torch.tensor(2)}), pytest.raises(GraphError, match=r"x has 5 rows.*\[6\]"):
        norm(torch.ones(5, 1))
    assert norm(torch.ones(5, 1)).shape == (5, 1)


@pytest.mark.parametrize("other", [nn.BatchNorm1d(2), nn.InstanceNorm1d(2), GraphNorm(2)])
def test_other_statistics_are_refused(other: nn.Module) -> None:
    model = nn.Sequential(BatchNorm(2), other)
    with pytest.raises(ConfigError, match=type(other).__name__), real_rows(model, {6: torch.tensor(2)}):
        pass


def test_nothing_waits_for_the_device() -> None:
    class NoWaiting(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert function.overloadpacket.__name__ not in {"_local_scalar_dense", "nonzero", "item", "is_nonzero"}
            return function(*args, **(kwargs or {}))

    norm = BatchNorm(3)
    with real_rows(norm, {6: torch.tensor(4)}), NoWaiting():
        norm(torch.randn(6, 3, requires_grad=True)).sum().backward()


@pytest.mark.parametrize("relu", [False, True])
def test_large_batches_take_our_own_passes(relu: bool) -> None:
    ours, theirs = BatchNorm(64), nn.BatchNorm1d(64)
    x = torch.randn(2**14, 64) * 3 + 5
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 1.5)
    for _ in range(2):
        left, right = (x.clone().requires_grad_() for _ in range(2))
        out, expected = ours(left, relu), theirs(right).relu() if relu else theirs(right)
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
        grad = torch.randn_like(x)
        out.backward(grad)
        expected.backward(grad)
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-3, atol=0.1)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-4, atol=1e-4)
    assert torch.equal(ours.eval()(x, relu), nn.functional.relu(ours(x)) if relu else ours(x))
