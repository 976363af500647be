"""Is our number the published one? Tests from means, spreads and counts, and careful words for the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gnnlab.errors import DataError

__all__ = ["Sample", "Verdict", "compare", "summarise"]

_LEVEL = 0.05


@dataclass(frozen=True)
class Sample:
    """Mean, spread and size of a set of results.

    Args:
        mean: Arithmetic mean.
        std: Sample standard deviation (n - 1); ``None`` if unknown (a single run).
        runs: Number of results; ``None`` if unknown.
    """

    mean: float
    std: float | None = None
    runs: int | None = None


@dataclass(frozen=True)
class Verdict:
    """Outcome of a comparison.

    Args:
        difference: Ours minus published.
        interval: 95 % confidence interval of the difference, if there is a test.
        p_value: Two-sided, if there is a test.
        test: Name of the test, or why there is none.
        text: One line in plain words.
    """

    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    test: str
    text: str


def summarise(values: Sequence[float]) -> Sample:
    """Mean and sample standard deviation; a single value has no spread.

    Example:
        >>> summarise([1.0, 2.0, 3.0])
        Sample(mean=2.0, std=1.0, runs=3)
    """
    if not values:
        raise DataError("no results to summarise")
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Sample(mean, None, 1)
    return Sample(mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (count - 1)), count)


def compare(ours: Sample, published: Sample, higher_is_better: bool = True) -> Verdict:
    r"""Two-sided test of the difference of two means, from means, spreads and counts alone.

    Welch's t-test if both spreads and counts are known: :math:`t = (\bar x - \bar y) / s`,
    :math:`s^2 = s_x^2 / n_x + s_y^2 / n_y`, degrees of freedom by Welch-Satterthwaite. If the spread or the
    count of the published number is unknown, a one-sample t-test against its mean, which takes that mean
    for exact and is therefore too ready to see a difference; the text says so. No test for a single run.

    Args:
        ours: What we measured.
        published: What is printed.
        higher_is_better: Direction of the metric.

    Example:
        >>> compare(Sample(0.68, 0.01, 4), Sample(0.686, 0.005, 4)).text
        'no difference detected (p = 0.34, 4 vs 4 runs)'
    """
    difference = ours.mean - published.mean
    if ours.std is None or not ours.runs or ours.runs < 2:
        return Verdict(difference, None, None, "none: one run", "one run: no test possible")
    two_samples = published.std is not None and (published.runs or 0) > 1
    variances = [(ours.std**2 / ours.runs, ours.runs)]
    if two_samples:
        variances.append((published.std**2 / published.runs, published.runs))
    error = math.sqrt(sum(v for v, _ in variances))
    if error == 0:
        return Verdict(difference, None, None, "none: no spread", "no spread between runs: no test possible")
    # Imported late: `gnnlab report` on a single run has no use for SciPy's half second.
    from scipy import stats

    freedom = sum(v for v, _ in variances) ** 2 / sum(v**2 / (n - 1) for v, n in variances)
    p_value = float(2 * stats.t.sf(abs(difference / error), freedom))
    margin = float(stats.t.ppf(1 - _LEVEL / 2, freedom)) * error
    counts = f"{ours.runs} vs {published.runs} runs"
    if not two_samples:
        unknown = "spread" if published.std is None else "number of runs"
        counts = f"{ours.runs} runs, published {unknown} unknown"
    if p_value >= _LEVEL:
        words = "no difference detected"
    else:
        words = "better than published" if (difference > 0) == higher_is_better else "worse than published"
    test = "Welch t-test" if two_samples else "one-sample t-test"
    text = f"{words} (p {_p(p_value)}, {counts})"
    return Verdict(difference, (difference - margin, difference + margin), p_value, test, text)


def _p(value: float) -> str:
    if value < 0.001:
        return "< 0.001"
    return f"= {value:.2f}" if value >= 0.01 else f"= {value:.3f}"
