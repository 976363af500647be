"""From the records of one experiment to one number: selection and aggregation, by protocol."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gnnlab.benchmark.record import Record
from gnnlab.benchmark.statistics import Sample, summarise
from gnnlab.errors import DataError

__all__ = ["CAVEATS", "Outcome", "aggregate"]

CAVEATS = {
    "gin-cv": "epoch chosen on the held-out folds themselves (GIN protocol): optimistic; "
    "folds share training data, so p is approximate",
    "cv": "folds share training data, so p is approximate",
}
"""What has to be said beside a number of a protocol."""


@dataclass(frozen=True)
class Outcome:
    """What an experiment gave.

    Args:
        sample: Mean, spread and number of values.
        values: The values behind the mean, one per seed (``best-val``) or per fold.
        unit: What the values are counted in: ``seed`` or ``fold``.
        epoch: The common epoch (``gin-cv`` only), counted from 0.
    """

    sample: Sample
    values: tuple[float, ...]
    unit: str
    epoch: int | None = None


def aggregate(records: Sequence[Record]) -> Outcome:
    """One number from all the runs of one experiment, by the protocol of its specification.

    Args:
        records: Runs of one experiment with one configuration.

    Raises:
        DataError: no records, or a run without the curve or the test metric its protocol needs.
    """
    if not records:
        raise DataError("no finished run to aggregate")
    return _PROTOCOLS[records[0].spec.protocol](records)


def _best_val(records: Sequence[Record]) -> Outcome:
    values = [_test(record) for record in records]
    return Outcome(summarise(values), tuple(values), "seed")


def _cross_validation(records: Sequence[Record]) -> Outcome:
    by_fold: dict[int, list[float]] = defaultdict(list)
    for record in records:
        by_fold[record.fold].append(_test(record))
    values = [math.fsum(by_fold[fold]) / len(by_fold[fold]) for fold in sorted(by_fold)]
    return Outcome(summarise(values), tuple(values), "fold")


def _gin_cross_validation(records: Sequence[Record]) -> Outcome:
    by_fold: dict[int, list[list[float]]] = defaultdict(list)
    for record in records:
        curve = record.validation
        if not curve or any(value is None for value in curve):
            raise DataError(
                f"the curve of val/{record.metric} is missing or has holes",
                where=f"{record.experiment}, seed {record.seed}, fold {record.fold}",
                hint="the GIN protocol needs the held-out metric of every epoch (check_val_every_n_epoch: 1)",
            )
        by_fold[record.fold].append(curve)
    epochs = min(len(curve) for curves in by_fold.values() for curve in curves)
    # [folds][epochs]: several seeds of a fold are averaged first.
    curves = [[_mean([c[e] for c in by_fold[fold]]) for e in range(epochs)] for fold in sorted(by_fold)]
    over_folds = [_mean([curve[e] for curve in curves]) for e in range(epochs)]
    choose = max if records[0].higher_is_better else min
    best = choose(range(epochs), key=over_folds.__getitem__)
    values = [curve[best] for curve in curves]
    return Outcome(summarise(values), tuple(values), "fold", best)


_PROTOCOLS: dict[str, Callable[[Sequence[Record]], Outcome]] = {
    "best-val": _best_val,
    "cv": _cross_validation,
    "gin-cv": _gin_cross_validation,
}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _test(record: Record) -> float:
    if record.test is None:
        raise DataError(
            f"the run has no test/{record.metric}",
            where=f"{record.experiment}, seed {record.seed}, fold {record.fold}",
            hint="the split has no test part, or the protocol of the record was changed by hand",
        )
    return record.test
