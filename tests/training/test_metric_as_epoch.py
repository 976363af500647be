"""The schedule of released code: the metric is the epoch."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from gnnlab.errors import ConfigError
from gnnlab.training import MetricAsEpoch


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_rates_are_those_of_a_torch_schedule_stepped_with_the_metric():
    ours, theirs = optimizer(), optimizer()
    schedule = MetricAsEpoch(ours, max_epochs=100, warmup_epochs=5)
    misused = LambdaLR(theirs, lambda epoch: max(1e-6, epoch / 5))
    assert isinstance(schedule, ReduceLROnPlateau)  # GraphTask passes the metric to those alone
    assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"] == 0.5e-6
    for metric in (0.2, 0.68, 0.5):
        schedule.step(torch.tensor(metric))
        misused.step(metric)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"]) == pytest.approx(0.1 * metric)
    assert not schedule.finished


def test_resumes():
    schedule = MetricAsEpoch(optimizer(), 100)
    schedule.step(0.4)
    other = MetricAsEpoch(optimizer(), 100)
    other.load_state_dict(schedule.state_dict())
    other.step(0.6)
    assert other.get_last_lr() == pytest.approx([0.06])
    with pytest.raises(ConfigError, match="warmup_epochs"):
        MetricAsEpoch(optimizer(), 100, warmup_epochs=0)
