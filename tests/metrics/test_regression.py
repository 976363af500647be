"""MAE and RMSE against OGB's evaluator and scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import mean_absolute_error

from gnnlab.metrics import MAE, RMSE


def _evaluate(metric, pred, target):
    for part in torch.arange(len(pred)).chunk(3):
        metric.update(pred[part], target[part])
    return metric.compute().item()


def test_mae_equals_scikit_learn():
    pred, target = torch.randn(50, 11), torch.randn(50, 11)
    assert _evaluate(MAE(), pred, target) == pytest.approx(mean_absolute_error(target, pred), abs=1e-7)


def test_rmse_equals_ogb_with_missing_labels():
    from ogb.graphproppred import Evaluator

    evaluator = Evaluator("ogbg-mollipo")
    evaluator.num_tasks = 4
    pred, target = torch.randn(50, 4), torch.randn(50, 4)
    target[torch.rand(50, 4) < 0.3] = torch.nan
    expected = float(evaluator.eval({"y_true": target, "y_pred": pred})["rmse"])
    assert _evaluate(RMSE(), pred, target) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("metric", "expected"), [(MAE, 2.0), (RMSE, math.sqrt(5.0))])
def test_a_target_without_labels_is_left_out(metric, expected):
    target = torch.tensor([[1.0, torch.nan], [3.0, torch.nan]])
    assert _evaluate(metric(), torch.zeros(2, 2), target) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:.*before the ``update`` method.*")
@pytest.mark.parametrize("metric", [MAE, RMSE])
def test_a_nan_prediction_is_not_a_missing_label(metric):
    assert math.isnan(_evaluate(metric(), torch.tensor([torch.nan, 1.0]), torch.tensor([1.0, 1.0])))
    assert math.isnan(metric().compute().item())
