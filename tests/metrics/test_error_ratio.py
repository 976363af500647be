"""Error ratios of QM9: their definition, and the published column they have to reproduce."""

from __future__ import annotations

import math

import pytest
import torch

from gnnlab.errors import ConfigError, GraphError
from gnnlab.metrics import CHEMICAL_ACCURACY, ErrorRatio, build_metric


def test_a_ratio_per_target_and_their_mean():
    pred, target = torch.randn(60, 13), torch.randn(60, 13)
    target[torch.rand(60, 13) < 0.2] = torch.nan
    metric = build_metric("error_ratio@qm9-13")
    for part in torch.arange(60).chunk(4):
        metric.update(pred[part], target[part])
    expected = []
    for column, accuracy in enumerate(CHEMICAL_ACCURACY.values()):
        known = ~target[:, column].isnan()
        expected.append(float((pred - target)[known, column].abs().mean()) / accuracy.value)
    assert metric.per_target().tolist() == pytest.approx(expected, rel=1e-5)
    assert metric.compute().item() == pytest.approx(sum(expected) / 13, rel=1e-5)
    single = build_metric("error_ratio@gap")
    single.update(pred[:, 4], target[:, 4])
    assert single.compute().item() == pytest.approx(expected[4], rel=1e-5)


def test_a_target_without_labels_is_left_out():
    metric = ErrorRatio([0.5, 1.0])
    metric.update(torch.zeros(2, 2), torch.tensor([[1.0, torch.nan], [2.0, torch.nan]]))
    assert metric.compute().item() == 3.0
    assert math.isnan(metric.per_target()[1].item())


def test_twelve_and_thirteen_targets_are_different_metrics():
    assert build_metric("error_ratio@qm9").accuracies == build_metric("error_ratio@qm9-13").accuracies[:12]
    assert len(build_metric("error_ratio@qm9-film").accuracies) == 13
    metric = build_metric("error_ratio@qm9")
    metric.update(torch.zeros(1, 13), torch.zeros(1, 13))
    with pytest.raises(GraphError, match="13 targets, but 12 accuracies"):
        metric.compute()
    for wrong in ([], [0.1, 0.0]):
        with pytest.raises(ConfigError, match="accuracies must be positive"):
            ErrorRatio(wrong)


def test_what_was_not_looked_up_is_marked():
    assert {name for name, accuracy in CHEMICAL_ACCURACY.items() if accuracy.verified} == {"mu", "gap"}
