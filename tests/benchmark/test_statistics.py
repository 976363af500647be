"""The tests of means agree with SciPy's on the raw samples, and the words with the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gnnlab.benchmark.statistics import Sample, compare, summarise
from gnnlab.errors import DataError


@pytest.mark.parametrize(("ours", "theirs"), [(3, 4), (2, 2), (10, 3)])
def test_welch_equals_scipy_on_raw_samples(ours: int, theirs: int) -> None:
    random = np.random.default_rng(ours * theirs)
    a, b = random.normal(0.6, 0.02, ours), random.normal(0.62, 0.05, theirs)
    verdict = compare(summarise(list(a)), summarise(list(b)))
    expected = stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert verdict.test == "Welch t-test"
    assert verdict.p_value == pytest.approx(expected.pvalue)
    assert verdict.difference == pytest.approx(a.mean() - b.mean())
    assert verdict.interval == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("published", [Sample(0.6), Sample(0.6, 0.01), Sample(0.6, None, 4), Sample(0.6, 0.01, 1)])
def test_unknown_published_spread_is_a_one_sample_test_and_says_so(published: Sample) -> None:
    values = np.random.default_rng(0).normal(0.63, 0.02, 5)
    verdict = compare(summarise(list(values)), published)
    expected = stats.ttest_1samp(values, 0.6)
    interval = expected.confidence_interval(0.95)
    assert verdict.test == "one-sample t-test"
    assert verdict.p_value == pytest.approx(expected.pvalue)
    assert verdict.interval == pytest.approx((interval.low - 0.6, interval.high - 0.6))
    unknown = "spread" if published.std is None else "number of runs"
    assert f"published {unknown} unknown" in verdict.text


def test_summary_is_the_sample_standard_deviation() -> None:
    values = [0.1, 0.4, 0.7, 0.2]
    assert summarise(values).std == pytest.approx(np.std(values, ddof=1))
    assert summarise([0.5]) == Sample(0.5, None, 1)
    with pytest.raises(DataError):
        summarise([])


@pytest.mark.parametrize(
    ("ours", "higher", "words"),
    [
        (Sample(0.50, 0.001, 4), True, "worse than published"),
        (Sample(0.50, 0.001, 4), False, "better than published"),
        (Sample(0.70, 0.001, 4), True, "better than published"),
        (Sample(0.601, 0.01, 4), True, "no difference detected"),
    ],
)
def test_words_follow_direction_and_significance(ours: Sample, higher: bool, words: str) -> None:
    assert compare(ours, Sample(0.6, 0.001, 4), higher).text.startswith(words)


def test_no_claim_without_a_test() -> None:
    for ours in (Sample(0.9, None, 1), Sample(0.9, 0.0, 3)):
        verdict = compare(ours, Sample(0.6, 0.0, 4))
        assert verdict.p_value is None
        assert verdict.interval is None
        assert verdict.text.endswith("no test possible")
