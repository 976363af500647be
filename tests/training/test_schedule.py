"""Schedules: closed forms, the end of a plateau, and the position they keep."""

from __future__ import annotations

import math

import pytest
import torch

from gnnlab.errors import ConfigError
from gnnlab.training import CosineWithWarmup, LinearDecay, ReduceOnPlateau, StepDecay


def _optimizer(lr=1.0):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def _rates(schedule, steps):
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return rates


def test_cosine_with_warmup():
    rates = _rates(CosineWithWarmup(_optimizer(), max_epochs=250, warmup_epochs=5), 250)
    assert rates[:6] == pytest.approx([1e-6, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == pytest.approx([0.5 * (1 + math.cos(math.pi * t / 245)) for t in range(245)])


def test_linear_decay_falls_after_a_share_of_training():
    rates = _rates(LinearDecay(_optimizer(2.0), max_epochs=101, start=0.3, factor=0.05), 101)
    assert rates[:31] == [2.0] * 31
    assert rates[30:] == pytest.approx([2 * (1 - 0.95 * t / 70) for t in range(71)])
    assert _rates(LinearDecay(_optimizer(), max_epochs=1), 1) == [1.0]
    for wrong in ({"start": 1.0}, {"factor": 1.5}, {"start": -0.1}):
        with pytest.raises(ConfigError, match=r"start must be in \[0, 1\)"):
            LinearDecay(_optimizer(), 10, **wrong)


def test_cosine_without_warmup_ends_at_min_lr():
    schedule = CosineWithWarmup(_optimizer(2.0), max_epochs=10, min_lr=0.5)
    assert _rates(schedule, 12)[0] == 2.0
    assert schedule.get_last_lr()[0] == pytest.approx(0.5)


def test_cosine_per_step_passes_through_the_epochs_values():
    each = _rates(CosineWithWarmup(_optimizer(), max_epochs=6, warmup_epochs=2), 6)
    schedule = CosineWithWarmup(_optimizer(), max_epochs=6, warmup_epochs=2, per_step=True)
    schedule.steps_per_epoch = 7
    assert schedule.interval == "step"
    assert _rates(schedule, 42)[::7] == pytest.approx(each)


def test_a_negative_warmup_is_refused():
    with pytest.raises(ConfigError, match="warmup_epochs"):
        CosineWithWarmup(_optimizer(), max_epochs=5, warmup_epochs=-1)


def test_a_run_cut_short_ends_within_its_warmup():
    full = _rates(CosineWithWarmup(_optimizer(), max_epochs=250, warmup_epochs=5), 3)
    assert _rates(CosineWithWarmup(_optimizer(), max_epochs=2, warmup_epochs=5), 3) == full


def test_step_decay():
    rates = _rates(StepDecay(_optimizer(), 350, step_size=50, gamma=0.5), 101)
    assert [rates[0], rates[49], rates[50], rates[99], rates[100]] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_plateau_reduces_and_finishes():
    schedule = ReduceOnPlateau(_optimizer(1e-3), 1000, factor=0.5, patience=1, min_lr=4e-4)
    seen = []
    for value in [1.0, 0.9, 0.9, 0.9, 0.9, 0.9]:
        schedule.step(value)
        seen.append((schedule.get_last_lr()[0], schedule.finished))
    assert seen == [(1e-3, False)] * 3 + [(5e-4, False)] * 2 + [(2.5e-4, True)]


@pytest.mark.parametrize("make", [CosineWithWarmup, StepDecay])
def test_the_state_is_the_position_only(make):
    first = make(_optimizer(), 20)
    _rates(first, 4)
    second = make(_optimizer(), 40)
    second.load_state_dict(first.state_dict())
    reference = make(_optimizer(), 40)
    assert _rates(second, 5)[1:] == pytest.approx(_rates(reference, 9)[5:])
