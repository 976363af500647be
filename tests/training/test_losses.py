"""Losses: hand-computed values, missing labels, the class weights of the LRGB superpixel tasks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gnnlab.errors import ConfigError, GraphError
from gnnlab.training.losses import LOSSES, class_weights, loss_by_name

REGRESSION = {"bce": F.binary_cross_entropy_with_logits, "l1": F.l1_loss, "mse": F.mse_loss}
CLASSES = ["cross_entropy", "weighted_cross_entropy"]


@pytest.mark.parametrize("name", REGRESSION)
def test_missing_entries_are_skipped(name):
    pred, target = torch.randn(6, 3, requires_grad=True), torch.randint(0, 2, (6, 3)).float()
    target[0, 1] = target[4, 2] = torch.nan
    labelled = ~target.isnan()
    loss, count = LOSSES[name](pred, target)
    assert count == 16
    torch.testing.assert_close(loss, REGRESSION[name](pred[labelled], target[labelled]))
    loss.backward()
    assert (pred.grad[~labelled] == 0).all()


@pytest.mark.parametrize("name", REGRESSION)
def test_one_target_may_be_a_vector_and_integers_are_unlabelled_where_negative(name):
    pred = torch.randn(4, 1)
    loss, count = LOSSES[name](pred, torch.tensor([1, 0, -1, 1]))
    expected, _ = LOSSES[name](pred[[0, 1, 3]], torch.tensor([[1.0], [0.0], [1.0]]))
    assert count == 3
    torch.testing.assert_close(loss, expected)


def test_cross_entropy_skips_negative_classes():
    pred, target = torch.randn(5, 4), torch.tensor([0, -1, 3, -7, 2])
    loss, count = LOSSES["cross_entropy"](pred, target)
    assert count == 3
    torch.testing.assert_close(loss, F.cross_entropy(pred[[0, 2, 4]], target[[0, 2, 4]]))


def test_class_weights_of_ninety_and_ten():
    target = torch.tensor([0] * 90 + [1] * 10)
    torch.testing.assert_close(class_weights(target, 2), torch.tensor([0.1, 0.9]))


def test_weighted_cross_entropy_equals_torch_and_ignores_unlabelled_rows():
    pred, target = torch.randn(100, 4), torch.tensor([0] * 90 + [1] * 10)
    expected = F.cross_entropy(pred, target, weight=torch.tensor([0.1, 0.9, 0.0, 0.0]))
    loss, count = LOSSES["weighted_cross_entropy"](pred, target)
    assert count == 100
    torch.testing.assert_close(loss, expected)
    padded = torch.cat([target, torch.full((5,), -1)])
    loss, count = LOSSES["weighted_cross_entropy"](torch.cat([pred, torch.randn(5, 4)]), padded)
    assert count == 100
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_without_labels_the_loss_and_its_gradient_are_zero(name):
    pred = torch.randn(3, 2, requires_grad=True)
    target = torch.full((3,), -1) if name in CLASSES else torch.full((3, 2), torch.nan)
    loss, count = LOSSES[name](pred, target)
    loss.backward()
    assert (loss.item(), count.item()) == (0.0, 0)
    assert (pred.grad == 0).all()


def test_a_batch_of_one_class_has_no_weighted_loss():
    pred = torch.randn(3, 2, requires_grad=True)
    loss, _ = LOSSES["weighted_cross_entropy"](pred, torch.zeros(3, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert (pred.grad == 0).all()


def test_mistakes_are_named():
    with pytest.raises(GraphError, match=r"\[3, 2\].*\[3, 4\]"):
        LOSSES["bce"](torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(ConfigError, match="did you mean 'cross_entropy'"):
        loss_by_name("crossentropy")


def test_l1_cosine_counts_columns_alike_whatever_their_scale():
    pred, target = torch.randn(7, 3, dtype=torch.double), torch.randn(7, 3, dtype=torch.double)
    target[2, 1] = torch.nan
    error, count = LOSSES["l1"](pred, target)
    loss, labelled = LOSSES["l1_cosine"](pred, target)
    apart = []
    for column in range(3):
        known = ~target[:, column].isnan()
        apart.append(1 - F.cosine_similarity(pred[known, column], target[known, column], dim=0))
    torch.testing.assert_close(loss - error, torch.stack(apart).mean())
    assert count == labelled == 20
    stretched = torch.tensor([1.0, 100.0, 0.01], dtype=torch.double)
    part = LOSSES["l1_cosine"](pred * stretched, target * stretched)[0]
    torch.testing.assert_close(part - LOSSES["l1"](pred * stretched, target * stretched)[0], loss - error)


def test_l1_cosine_of_constant_zero_targets_is_l1():
    pred = torch.randn(4, 2, requires_grad=True)
    loss, _ = LOSSES["l1_cosine"](pred, torch.zeros(4, 2))
    torch.testing.assert_close(loss, pred.abs().mean())
    loss.backward()
    assert pred.grad.isfinite().all()
