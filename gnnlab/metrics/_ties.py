"""Counts above every score, ties counted as one threshold: the core of exact AP and ROC-AUC."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["TieCounts", "mean_over_labels", "tie_counts"]


class TieCounts(NamedTuple):
    """Per label (column), rows sorted by descending score.

    Args:
        positive: [n, L] bool, whether the row is a positive.
        true: [n, L] long, positives scoring at least as high as the row.
        false: [n, L] long, negatives scoring at least as high.
        above: [n, L] long, negatives scoring strictly higher.
        num_positive: [L] long.
        num_negative: [L] long.
    """

    positive: Tensor
    true: Tensor
    false: Tensor
    above: Tensor
    num_positive: Tensor
    num_negative: Tensor


def tie_counts(pred: Tensor, target: Tensor) -> TieCounts:
    """Sort every label's scores and count positives (1) and negatives (0) through the end of each tie.

    Unlabelled rows (NaN) are sorted along and counted nowhere.

    Args:
        pred: [n, L] scores, n > 0.
        target: [n, L] of 0, 1 and NaN.
    """
    order = pred.argsort(dim=0, descending=True)
    score = pred.gather(0, order)
    positive, negative = (target == 1).gather(0, order), (target == 0).gather(0, order)

    row = torch.arange(len(pred), device=pred.device)[:, None].expand_as(score)
    edge = torch.ones_like(positive[:1])
    change = score[1:] != score[:-1]
    last = torch.cat([change, edge])
    first = torch.cat([edge, change])
    end = torch.where(last, row, len(pred) - 1).flip(0).cummin(0).values.flip(0)
    start = torch.where(first, row, 0).cummax(0).values

    true, false = positive.cumsum(0), negative.cumsum(0)
    above = (false - negative.long()).gather(0, start)
    return TieCounts(positive, true.gather(0, end), false.gather(0, end), above, true[-1], false[-1])


def mean_over_labels(value: Tensor, counts: TieCounts, pred: Tensor, target: Tensor) -> Tensor:
    """Mean of ``value`` [L] over the labels with a positive and a negative; NaN if there is none.

    A label with a NaN among its labelled predictions is NaN: a diverged model has no ranking.
    """
    broken = (pred.isnan() & ~target.isnan()).any(dim=0)
    value = value.masked_fill(broken, torch.nan)
    return value[(counts.num_positive > 0) & (counts.num_negative > 0)].mean()
