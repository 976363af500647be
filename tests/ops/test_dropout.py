"""Dropout: the share it drops, its independence, and that the mask depends on seed and place alone."""

from __future__ import annotations

import pytest
import torch

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import dropout, use_backend

_SIZE = 2**20


def mask(first: int, second: int, p: float = 0.5, size: int = _SIZE) -> torch.Tensor:
    return (dropout(torch.ones(size), p, seed=torch.tensor([first, second])) > 0).double()


def deviations(values: torch.Tensor, p: float) -> float:
    """Distance of the mean of 0/1 values from 1 - p, in standard deviations."""
    return float((values.mean() - (1 - p)).abs() / (p * (1 - p) / values.numel()) ** 0.5)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_share_and_scale(p):
    kept = mask(3, 4, p)
    assert deviations(kept, p) < 5
    out = dropout(torch.full((_SIZE,), 2.0), p, seed=torch.tensor([3, 4]))
    torch.testing.assert_close(out.unique(), torch.tensor([0.0, 2 / (1 - p)]))


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 235, 1024, 65536])
def test_neighbours_are_independent(lag):
    kept = mask(7, 8)
    assert deviations((kept[lag:] == kept[:-lag]).double(), 0.5) < 5


@pytest.mark.parametrize("seed", [(8, 8), (7, 9), (9, 7), (7 + 2**31, 8), (7, 8 + 2**16), (0, 0)])
def test_seeds_are_independent(seed):
    assert deviations((mask(7, 8) == mask(*seed)).double(), 0.5) < 5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_every_backend_drops_the_same(dtype):
    seed = torch.randint(2**32, (2,))
    x, residual = torch.randn(57, 33, dtype=dtype), torch.randn(57, 33, dtype=dtype)
    found = []
    for backend in ("reference", "torch", None):
        with use_backend(backend):
            found += [dropout(x, 0.3, residual=residual, seed=seed), dropout(x, 0.3, seed=seed)]
    for ours, expected in zip(found[2:], found[:2] * 2, strict=True):
        torch.testing.assert_close(ours, expected)
        assert torch.equal(ours == 0, expected == 0)


def test_rows_behind_change_nothing():
    x, seed = torch.randn(40, 7), torch.tensor([1, 2])
    longer = torch.cat([x, torch.randn(9, 7)])
    assert torch.equal(dropout(longer, 0.5, seed=seed)[:40], dropout(x, 0.5, seed=seed))


def test_memory_layout_does_not_matter():
    x, seed = torch.randn(6, 40).t(), torch.tensor([1, 2])
    assert torch.equal(dropout(x, 0.5, seed=seed), dropout(x.contiguous(), 0.5, seed=seed))


def test_the_generator_decides_when_no_seed_is_given():
    x = torch.ones(1000)
    torch.manual_seed(1)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)


def test_nothing_is_dropped_outside_training():
    x = torch.randn(5)
    assert dropout(x, 0.5, training=False) is x
    assert torch.equal(dropout(x, 0.0, residual=x), x + x)
    assert torch.equal(dropout(x, 0.5, training=False, residual=x), x + x)


@pytest.mark.parametrize("backend", ["reference", "torch", None])
def test_everything_is_dropped(backend):
    x = torch.randn(5, 2)
    with use_backend(backend):
        assert torch.equal(dropout(x, 1.0), torch.zeros(5, 2))
        assert torch.equal(dropout(x, 1.0, residual=x), x)
        assert dropout(x[:0], 0.5).shape == (0, 2)


def test_errors():
    with pytest.raises(ConfigError, match="between 0 and 1"):
        dropout(torch.ones(2), 1.5)
    with pytest.raises(GraphError, match="differ in shape"):
        dropout(torch.ones(2), 0.5, residual=torch.ones(3))
