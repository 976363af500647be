"""AP, ROC-AUC, accuracy and macro-F1 against OGB's evaluator and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from gnnlab.errors import ConfigError, GraphError
from gnnlab.metrics import METRICS, ROCAUC, Accuracy, AveragePrecision, MacroF1, build_metric


def _evaluate(metric, pred, target, chunks=3):
    for part in torch.arange(len(pred)).chunk(chunks):
        metric.update(pred[part], target[part])
    return metric.compute().item()


def _problem(seed, labels=10, rows=200, missing=0.2, levels=None):
    generator = torch.Generator().manual_seed(seed)
    pred = torch.randn(rows, labels, generator=generator)
    if levels:
        pred = (pred * levels).round() / levels
    target = (torch.rand(rows, labels, generator=generator) < 0.2).float()
    target[torch.rand(rows, labels, generator=generator) < missing] = torch.nan
    return pred, target


def _ogb(name, labels, metric):
    from ogb.graphproppred import Evaluator

    evaluator = Evaluator(name)
    evaluator.num_tasks, evaluator.eval_metric = labels, metric
    return lambda pred, target: evaluator.eval({"y_true": target, "y_pred": pred})[metric]


@pytest.mark.parametrize(("metric", "name"), [(AveragePrecision, "ap"), (ROCAUC, "rocauc")])
@pytest.mark.parametrize("levels", [None, 2], ids=["distinct", "ties"])
def test_equals_ogb(metric, name, levels):
    pred, target = _problem(seed=1, levels=levels)
    target[:, 3] = 0.0  # no positive: left out
    target[:, 4] = torch.where(target[:, 4] == 0, torch.nan, target[:, 4])  # no negative: left out
    expected = _ogb("ogbg-molpcba", 10, name)(pred, target)
    assert _evaluate(metric(), pred, target) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({positive for _, positive in rows}) == 2
    )
)
def test_one_label_equals_scikit_learn_with_any_ties(rows):
    pred, target = (torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True))
    assert _evaluate(AveragePrecision(), pred, target) == pytest.approx(average_precision_score(target, pred))
    assert _evaluate(ROCAUC(), pred, target) == pytest.approx(roc_auc_score(target, pred))


def test_infinite_scores_of_unlabelled_rows_do_not_count():
    pred = torch.tensor([-torch.inf, -torch.inf, 1.0, torch.inf])
    target = torch.tensor([torch.nan, 1.0, 0.0, torch.nan])
    assert _evaluate(AveragePrecision(), pred, target, 1) == 0.5
    assert _evaluate(ROCAUC(), pred, target, 1) == 0.0


def test_constant_predictions_give_prevalence_and_a_half():
    target = torch.tensor([1.0, 0, 0, 0, 1, 0, 0, 0])
    assert _evaluate(AveragePrecision(), torch.zeros(8), target) == pytest.approx(0.25)
    assert _evaluate(ROCAUC(), torch.zeros(8), target) == pytest.approx(0.5)


@pytest.mark.parametrize("metric", [AveragePrecision, ROCAUC])
def test_undefined_is_nan_not_a_number_that_looks_good(metric):
    assert math.isnan(_evaluate(metric(), torch.randn(4, 2), torch.ones(4, 2)))
    assert math.isnan(_evaluate(metric(), torch.randn(0, 2), torch.ones(0, 2)))
    broken = torch.tensor([torch.nan, 0.0, 1.0])
    assert math.isnan(_evaluate(metric(), broken, torch.tensor([1.0, 0.0, 1.0])))


def test_integer_targets_are_unlabelled_where_negative():
    pred, target = torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, -1, 0, 1])
    labelled = target >= 0
    expected = average_precision_score(target[labelled], pred[labelled])
    assert _evaluate(AveragePrecision(), pred, target) == pytest.approx(expected)


def test_the_split_is_not_averaged_over_batches():
    pred, target = _problem(seed=2)
    whole = _evaluate(AveragePrecision(), pred, target, chunks=1)
    assert _evaluate(AveragePrecision(), pred, target, chunks=50) == whole
    metric, shuffle = AveragePrecision(), torch.randperm(len(pred))
    assert _evaluate(metric, pred[shuffle], target[shuffle]) == pytest.approx(whole, abs=1e-12)
    metric.reset()
    assert _evaluate(metric, pred, target) == whole


@pytest.mark.parametrize("classes", [2, 7])
def test_macro_f1_and_accuracy_equal_scikit_learn(classes):
    pred, target = (
        torch.randn(100, classes),
        torch.randint(-1, classes - 1, (100,)),
    )  # the last class: predicted only
    kept = target >= 0
    truth, guess = target[kept].numpy(), pred[kept].argmax(1).numpy()
    expected = f1_score(truth, guess, average="macro", zero_division=0)
    assert _evaluate(MacroF1(), pred, target) == pytest.approx(expected)
    assert _evaluate(Accuracy(), pred, target) == pytest.approx(np.mean(truth == guess))


def test_macro_f1_by_hand():
    # class 0: TP 1, FP 1 -> 2/3; class 1: TP 0, FN 1 -> 0; class 2 absent on both sides: no share.
    pred = torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])
    assert _evaluate(MacroF1(), pred, torch.tensor([0, 1])) == pytest.approx(1 / 3)


def test_accuracy_of_one_logit_is_its_sign():
    assert _evaluate(Accuracy(), torch.tensor([[2.0], [-1.0], [3.0]]), torch.tensor([1.0, 1.0, torch.nan])) == 0.5


@pytest.mark.parametrize("metric", [Accuracy, MacroF1])
def test_nothing_labelled_is_nan(metric):
    assert math.isnan(_evaluate(metric(), torch.randn(3, 2), torch.full((3,), -1)))


@pytest.mark.parametrize("metric", [AveragePrecision, Accuracy, MacroF1])
def test_mismatched_rows_are_named(metric):
    with pytest.raises(GraphError, match=r"\[3, 2\]"):
        metric().update(torch.randn(3, 2), torch.zeros(4))


def test_build_metric_knows_every_name_of_a_task_and_suggests():
    assert {"ap", "rocauc", "accuracy", "macro_f1", "mae", "rmse"} <= set(METRICS)
    assert {"mrr", "mrr_filtered", "mrr_filtered_self", "hits@50"} <= set(METRICS)
    assert build_metric("ap") is not build_metric("ap")
    with pytest.raises(ConfigError, match="did you mean 'rocauc'"):
        build_metric("roc_auc")
