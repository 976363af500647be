"""The best scores of a model that gives one answer per class: majorities, medians and means."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.data import GraphStore
from gnnlab.errors import ConfigError, DataError

__all__ = ["Targets", "best_scores", "read_targets"]

_CLASSES = ("cross_entropy", "weighted_cross_entropy")
_DISCRETE = (*_CLASSES, "bce")
_LEVELS = ("graph", "node")


class Targets(NamedTuple):
    """What is to be predicted.

    Args:
        level: ``graph`` or ``node``.
        discrete: Values are classes or labels, not numbers to come close to.
        values: [R, T] float64.
        known: [R, T] bool, entries with a label.
    """

    level: str
    discrete: bool
    values: Tensor
    known: Tensor


def read_targets(store: GraphStore) -> Targets:
    """The column ``y`` of a store; whole numbers are classes where the store has no task.

    Targets below 0 are unlabelled where they are classes, nan everywhere, as for the losses.

    Raises:
        DataError: no column ``y``, or no label in it.
        ConfigError: targets of anything but graphs or nodes.
    """
    where = store.name or "ceilings"
    if "y" not in store.columns:
        raise DataError(
            "there are no labels: no column y", where=where, hint="ceilings need a target per graph or node"
        )
    level = store.columns["y"].level
    if level not in _LEVELS or (store.task is not None and store.task.level not in _LEVELS):
        raise ConfigError("ceilings are of graphs or nodes", where=where, hint="links have no classes of colours")
    values = store.column("y")
    whole = not values.is_floating_point()
    discrete = whole if store.task is None else store.task.loss in _DISCRETE
    counted = whole if store.task is None else store.task.loss in _CLASSES
    values = values.reshape(store.layouts[level].total, -1).double()
    known = ~values.isnan()
    if counted:
        known &= values >= 0
    if not bool(known.any()):
        raise DataError("there are no labels: every target is missing", where=where)
    return Targets(level, discrete, values, known)


def best_scores(classes: Tensor, targets: Targets) -> dict[str, float]:
    """What the best answer per class reaches, over the labelled rows of every target, averaged over the targets.

    Args:
        classes: [R] long, from 0.
        targets: Of the same rows.

    Returns:
        ``accuracy`` of the majorities, or ``mae`` of the medians and ``rmse`` of the means.
    """
    scores = _DISCRETE_SCORES if targets.discrete else _NUMBER_SCORES
    columns = [
        (classes[known], values[known])
        for values, known in zip(targets.values.unbind(1), targets.known.unbind(1), strict=True)
        if bool(known.any())
    ]
    return {name: sum(score(*column) for column in columns) / len(columns) for name, score in scores.items()}


def _majority(classes: Tensor, values: Tensor) -> float:
    labels, rank = values.unique(return_inverse=True)
    cells, counts = (classes * labels.numel() + rank).unique(return_counts=True)
    largest = counts.new_zeros(int(classes.max()) + 1).scatter_reduce_(0, cells // labels.numel(), counts, "amax")
    return float(largest.sum()) / values.numel()


def _median_deviation(classes: Tensor, values: Tensor) -> float:
    order = values.argsort()
    order = order[classes[order].argsort(stable=True)]
    values, classes = values[order], classes[order]
    sizes = torch.bincount(classes)
    # Any number between the two middle ones is as good.
    middle = sizes.cumsum(0) - sizes + (sizes - 1).clamp(min=0) // 2
    return float((values - values[middle[classes]]).abs().mean())


def _root_mean_square(classes: Tensor, values: Tensor) -> float:
    sizes = torch.bincount(classes).clamp(min=1)
    mean = values.new_zeros(sizes.numel()).index_add_(0, classes, values) / sizes
    return float((values - mean[classes]).square().mean().sqrt())


_DISCRETE_SCORES = {"accuracy": _majority}
_NUMBER_SCORES = {"mae": _median_deviation, "rmse": _root_mean_square}
