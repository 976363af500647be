"""Selection and aggregation, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from gnnlab.benchmark.experiment import ExperimentSpec
from gnnlab.benchmark.protocol import aggregate
from gnnlab.errors import DataError


def test_best_val_is_mean_and_spread_over_seeds(make_record) -> None:
    outcome = aggregate([make_record(test=value, seed=seed) for seed, value in enumerate((0.6, 0.7, 0.8))])
    assert outcome.sample.mean == pytest.approx(0.7)
    assert outcome.sample.std == pytest.approx(0.1)
    assert (outcome.sample.runs, outcome.unit) == (3, "seed")


def test_cv_averages_the_seeds_of_a_fold_first(make_record) -> None:
    spec = ExperimentSpec(protocol="cv", folds=2, seeds=2)
    results = {(0, 0): 0.5, (1, 0): 0.7, (0, 1): 0.8, (1, 1): 1.0}
    outcome = aggregate([make_record(test=v, seed=s, fold=f, spec=spec) for (s, f), v in results.items()])
    assert outcome.values == pytest.approx((0.6, 0.9))
    assert (outcome.sample.runs, outcome.unit) == (2, "fold")


@pytest.mark.parametrize(("higher", "epoch", "values"), [(True, 1, (0.6, 0.9)), (False, 0, (0.5, 0.3))])
def test_gin_cv_takes_the_best_epoch_of_the_mean_curve(make_record, higher, epoch, values) -> None:
    # Mean curve 0.40, 0.75, 0.60: epoch 1, though fold 0 alone peaks at epoch 2.
    spec = ExperimentSpec(protocol="gin-cv", folds=2)
    curves = [(0.5, 0.6, 0.7), (0.3, 0.9, 0.5)]
    records = [
        make_record(test=None, fold=f, curve=c, spec=spec, higher_is_better=higher) for f, c in enumerate(curves)
    ]
    outcome = aggregate(records)
    assert outcome.epoch == epoch
    assert outcome.values == pytest.approx(values)
    assert outcome.sample.std == pytest.approx(abs(values[0] - values[1]) / 2**0.5)


def test_gin_cv_averages_seeds_and_stops_at_the_shortest_curve(make_record) -> None:
    spec = ExperimentSpec(protocol="gin-cv", folds=1, seeds=2)
    records = [make_record(test=None, seed=s, curve=c, spec=spec) for s, c in enumerate([(0.2, 0.4), (0.6, 0.8, 1.0)])]
    assert aggregate(records).values == pytest.approx((0.6,))


def test_what_is_missing_is_named(make_record) -> None:
    with pytest.raises(DataError, match="no finished run"):
        aggregate([])
    with pytest.raises(DataError, match="no test/ap"):
        aggregate([make_record(test=None)])
    holes = make_record(curve=(0.5, None), spec=ExperimentSpec(protocol="gin-cv"))
    with pytest.raises(DataError, match="holes"):
        aggregate([holes])
