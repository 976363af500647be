"""Whether a measurement rises or falls with a setting: rank correlations, judged over independent seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from gnnlab.analysis.probes import ProbeRow
from gnnlab.errors import ConfigError, nearest

__all__ = ["Trend", "trend"]

_SIGNS = {"falls": -1, "rises": 1}
_SETTINGS = ("distance", "resistance", "commute_time", "setting", "width", "depth")


@dataclass(frozen=True)
class Trend:
    """A rank correlation over seeds; ``print`` it.

    Args:
        value: What was measured.
        by: The setting it was correlated with.
        expected: ``"falls"`` or ``"rises"``.
        correlation: Kendall's tau-b, mean over the seeds.
        low: Lower end of its 95 % confidence interval (Student's t over the seeds, cut at -1 and 1).
        high: Upper end.
        p_value: One-sided sign test over the seeds against no trend.
        seeds: Correlation of every seed.
        groups: Groups of rows a seed's correlation is the mean of.
    """

    value: str
    by: str
    expected: str
    correlation: float
    low: float
    high: float
    p_value: float
    seeds: tuple[float, ...]
    groups: int

    def holds(self, level: float = 0.05) -> bool:
        """Whether the expected trend is there: significant, and a confidence interval that leaves out zero."""
        beyond = self.high < 0 if self.expected == "falls" else self.low > 0
        return beyond and self.p_value < level

    def __str__(self) -> str:
        return (
            f"{self.value} {self.expected} with {self.by}: tau = {self.correlation:+.2f} "
            f"[{self.low:+.2f}, {self.high:+.2f}], p = {self.p_value:.2g} ({len(self.seeds)} seeds)"
        )


def trend(
    rows: Sequence[ProbeRow],
    by: str,
    expected: str,
    *,
    value: str = "sensitivity",
    within: Sequence[str] = (),
) -> Trend:
    """Kendall's rank correlation of ``value`` with ``by``, at equal values of ``within``.

    Rows of one seed share their parameters, so they do not count as independent: every seed gives one number, the mean
    correlation over its groups, and the test is over seeds. Signs of eight seeds that agree have p = 0.004.

    Args:
        rows: Of :func:`gnnlab.analysis.sensitivity_sweep`, or some of them.
        by: ``distance``, ``resistance``, ``commute_time``, ``setting``, ``width`` or ``depth``.
        expected: ``"falls"`` or ``"rises"``, decided before looking.
        value: ``"sensitivity"`` or ``"share"``.
        within: Settings, or ``family``, that are equal in a group. Groups in which either is constant say nothing, and
            a seed without any other group (a network that lets nothing through) is left out.

    Raises:
        ConfigError: unknown names, fewer than two seeds, or no group that says anything.

    Example:
        >>> from gnnlab.analysis.probes import sensitivity_sweep, transfer_probes
        >>> rows = sensitivity_sweep(transfer_probes("ring", [4, 8, 12]), depths=[6])
        >>> trend(rows, "commute_time", "falls", within=["depth"]).holds()
        True
    """
    if expected not in _SIGNS:
        raise ConfigError(f"expected {expected!r}", where="trend", hint=nearest(str(expected), _SIGNS))
    known = {"value": ("sensitivity", "share"), "by": _SETTINGS, "within": (*_SETTINGS, "family")}
    for key, given in (("value", [value]), ("by", [by]), ("within", within)):
        for name in given:
            if name not in known[key]:
                raise ConfigError(f"unknown {key} {name!r}", where="trend", hint=nearest(str(name), known[key]))
    groups: dict[tuple, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        key = (row.seed, *(getattr(row, name) for name in within))
        groups[key].append((getattr(row, by), getattr(row, value)))
    by_seed: dict[int, list[float]] = defaultdict(list)
    for key, pairs in groups.items():
        # Twelve digits: equal by construction is equal, whatever was rounded on the way.
        a, b = np.array([[float(f"{number:.12g}") for number in pair] for pair in pairs]).T
        if np.ptp(a) > 0 and np.ptp(b) > 0:
            by_seed[key[0]].append(float(stats.kendalltau(a, b).statistic))
    if len(by_seed) < 2:
        raise ConfigError(f"{len(by_seed)} seeds with a correlation, at least 2 are needed", where="trend")
    seeds = np.array([np.mean(found) for found in by_seed.values()])
    mean, error = seeds.mean(), stats.sem(seeds)
    reach = error * stats.t.ppf(0.975, seeds.size - 1)
    agree = int((seeds * _SIGNS[expected] > 0).sum())
    return Trend(
        value,
        by,
        expected,
        float(mean),
        max(float(mean - reach), -1.0),
        min(float(mean + reach), 1.0),
        float(stats.binomtest(agree, seeds.size, alternative="greater").pvalue),
        tuple(seeds.tolist()),
        max(len(found) for found in by_seed.values()),
    )
