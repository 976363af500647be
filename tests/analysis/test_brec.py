"""BREC's protocol: the statistic against its formula and its distribution, and training on small pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from gnnlab.analysis.brec import BrecProtocol, PairOutcome, paired_statistic, statistic_threshold, train_pairs
from gnnlab.analysis.expressiveness_models import BENCH_MODELS
from gnnlab.analysis.expressiveness_pairs import named_pairs
from gnnlab.errors import ConfigError, GraphError


class TestStatistic:
    @pytest.mark.parametrize(("copies", "channels"), [(32, 16), (10, 1), (8, 3)])
    def test_formula(self, copies: int, channels: int) -> None:
        values = np.random.default_rng(0).normal(0.3, 1.0, (copies, channels))
        mean = values.mean(0)
        expected = mean @ np.linalg.inv(np.atleast_2d(np.cov(values.T))) @ mean
        differences = torch.from_numpy(values)
        assert float(paired_statistic(differences, "released")) == pytest.approx(expected)
        assert float(paired_statistic(differences)) == pytest.approx(copies * expected)

    def test_one_channel_is_the_square_of_students_t(self) -> None:
        values = np.random.default_rng(1).normal(0.5, 2.0, 20)
        t = stats.ttest_1samp(values, 0.0).statistic
        assert float(paired_statistic(torch.from_numpy(values)[:, None])) == pytest.approx(t**2)

    def test_all_pairs_at_once(self) -> None:
        differences = torch.randn(3, 2, 12, 4, dtype=torch.float64)
        together = paired_statistic(differences)
        assert together.shape == (3, 2)
        assert torch.allclose(together[2, 1], paired_statistic(differences[2, 1]))

    def test_the_level_is_kept_without_and_with_the_factor(self) -> None:
        """Of differences around 0, 5 % exceed the threshold with the factor q, none without it."""
        differences = torch.randn(4000, 32, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        threshold = statistic_threshold(32, 16)
        share = (paired_statistic(differences) > threshold).double().mean()
        assert float(share) == pytest.approx(0.05, abs=0.012)
        assert not (paired_statistic(differences, "released") > threshold).any()

    def test_thresholds(self) -> None:
        assert statistic_threshold(32, 16) == pytest.approx(72.34, abs=0.005)
        assert statistic_threshold(20, 1) == pytest.approx(stats.t.ppf(0.975, 19) ** 2)
        with pytest.raises(ConfigError, match="cannot test 16 channels"):
            statistic_threshold(16, 16)

    def test_outputs_that_do_not_vary(self) -> None:
        constant = torch.ones(8, 3)
        assert float(paired_statistic(constant)) == 0.0
        assert float(paired_statistic(constant, ridge=1e-3)) == pytest.approx(8 * 3 / 1e-3, rel=1e-4)
        assert float(paired_statistic(torch.zeros(8, 3))) == 0.0

    def test_errors(self) -> None:
        with pytest.raises(ConfigError, match="unknown statistic"):
            paired_statistic(torch.zeros(3, 1), "hoteling")
        with pytest.raises(GraphError, match="no covariance"):
            paired_statistic(torch.zeros(1, 1))


def test_verdicts() -> None:
    def outcome(released: float, reliability: float) -> PairOutcome:
        return PairOutcome(0, released, reliability, 32, 72.34, 1, 0.1, 0.0)

    clear, weak, blind, noisy = outcome(1e6, 0.5), outcome(10, 0.5), outcome(100, 100), outcome(1e3, 90)
    assert [each.distinguished() for each in (clear, weak, blind, noisy)] == [True, False, False, True]
    assert [each.distinguished("hotelling") for each in (clear, weak, blind, noisy)] == [True, True, False, True]
    assert [each.reliable() for each in (clear, weak, blind, noisy)] == [True, True, False, False]
    assert not outcome(1e3, 5).reliable("hotelling")


class TestTraining:
    SHORT = BrecProtocol(epochs=2, lr=1e-3)

    def test_what_a_class_cannot_tell_apart_is_not_learned(self) -> None:
        store = named_pairs(["C6, two C3", "decalin, bicyclopentyl"])
        for outcome in train_pairs(store, BENCH_MODELS["gin"], range(2), self.SHORT):
            assert not outcome.distinguished()
            assert not outcome.distinguished("hotelling")
            assert outcome.reliable()
            assert outcome.loss == pytest.approx(1.0, abs=1e-3)
            assert outcome.epochs == 2

    def test_what_it_can_is(self) -> None:
        store = named_pairs(["C6, two C3", "decalin, bicyclopentyl", "rook, Shrikhande"])
        outcomes = list(train_pairs(store, BENCH_MODELS["pathnn, sp+"], [0, 1, 2], self.SHORT))
        assert [each.distinguished() for each in outcomes] == [True, True, False]
        assert [each.pair for each in outcomes] == [0, 1, 2]
        assert all(each.reliable() for each in outcomes)
        assert outcomes[0].loss < outcomes[2].loss

    def test_outcomes_come_one_by_one_and_repeat(self) -> None:
        store, subject = named_pairs(["C6, two C3", "K33, prism"]), BENCH_MODELS["pathnn, sp+"]
        torch.manual_seed(3)
        expected = torch.rand(1)
        torch.manual_seed(3)
        first = next(train_pairs(store, subject, [1, 0], self.SHORT, seed=4))
        assert torch.equal(torch.rand(1), expected)
        again = list(train_pairs(store, subject, [0, 1], self.SHORT, seed=4))[1]
        assert (first.pair, first.loss) == (again.pair, again.loss)

    def test_settings(self) -> None:
        for wrong in ({"copies": 1}, {"batch_size": 3}, {"epochs": -1}):
            with pytest.raises(ConfigError, match="copies must be"):
                BrecProtocol(**wrong)
        store = named_pairs(["C6, two C3"])
        with pytest.raises(ConfigError, match="take more copies"):
            next(train_pairs(store, BENCH_MODELS["gin"], [0], BrecProtocol(epochs=0, copies=8)))
