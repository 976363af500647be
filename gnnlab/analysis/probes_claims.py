"""What theory says about distance, width and depth, as statements a sweep over probes can refute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from gnnlab.analysis.probes import ProbeRow
from gnnlab.analysis.probes_trend import Trend, trend
from gnnlab.errors import ConfigError

__all__ = ["DecayRatio", "ProbeClaim", "decay_ratio", "probe_claims"]

_SAME = 0.25
"""How far from 1 a ratio of decay rates may be to count as unchanged."""


@dataclass(frozen=True)
class DecayRatio:
    """How much faster sensitivity decays per hop in the widest networks than in the narrowest ones.

    Args:
        ratio: Of the two decay rates, mean over the seeds.
        low: Lower end of its 95 % confidence interval (Student's t over the seeds).
        high: Upper end.
        widths: The smallest and the largest.
        seeds: Ratio of every seed.
    """

    ratio: float
    low: float
    high: float
    widths: tuple[int, int]
    seeds: tuple[float, ...]

    def holds(self, level: float = 0.05) -> bool:
        """Whether the interval lies between 0.75 and 1.25: unchanged, rather than not shown to differ."""
        return 1 - _SAME < self.low <= self.high < 1 + _SAME

    def __str__(self) -> str:
        return (
            f"decay per hop at width {self.widths[1]} over that at width {self.widths[0]}: {self.ratio:.2f} "
            f"[{self.low:.2f}, {self.high:.2f}] ({len(self.seeds)} seeds)"
        )


@dataclass(frozen=True)
class ProbeClaim:
    """A statement of the theory, and what a sweep says to it; ``print`` it.

    Args:
        text: The statement.
        evidence: The statistic that decides.
        holds: Whether it was confirmed.
    """

    text: str
    evidence: Trend | DecayRatio
    holds: bool

    def __str__(self) -> str:
        return f"{'seen    ' if self.holds else 'NOT SEEN'}  {self.text}\n          {self.evidence}"


def probe_claims(rows: Sequence[ProbeRow], level: float = 0.01) -> list[ProbeClaim]:
    """Test what Di Giovanni et al. (ICML 2023) say about width, depth and topology on a sweep at initialisation.

    Only networks whose layers reach the target are looked at: that others hear nothing is no news. Nothing is said
    about depths between the distance and twice the distance, where one more layer adds walks and weakens all of them:
    there sensitivity may rise. Nor is the decay with distance equally steep at all depths: as everything vanishes, what
    remains is spread more evenly. The second statement needs a family whose graphs differ at equal distance, such as
    :func:`gnnlab.analysis.two_block_probes`: ring and crossed ring, whose commute times differ but little, do not show
    it.

    Args:
        rows: Of :func:`gnnlab.analysis.sensitivity_sweep` with two widths, two depths of at least twice the distance of
            some probe, pairs at equal distance, and eight seeds or more.
        level: Of significance; eight seeds that agree have p = 0.004.

    Raises:
        ConfigError: a sweep without enough widths, depths or seeds.

    Example:
        >>> from gnnlab.analysis.probes import sensitivity_sweep, transfer_probes
        >>> probes = [*transfer_probes("ring", [4, 8, 12]), *transfer_probes("clique_path", [6, 10])]
        >>> rows = sensitivity_sweep(probes, widths=[8, 16], depths=[8, 16], inputs=2)
        >>> print(probe_claims(rows)[0])
        seen      sensitivity falls with commute time at equal width and depth
                  sensitivity falls with commute_time: tau = -0.9... (8 seeds)
    """
    reached = [row for row in rows if row.depth >= row.distance]
    widest, deepest = max((row.width for row in rows), default=0), max((row.depth for row in rows), default=0)
    settled = [row for row in rows if row.depth >= 2 * row.distance]
    wide = [row for row in reached if row.width == widest]
    deep = [row for row in reached if row.depth == deepest]
    found: list[tuple[str, Trend | DecayRatio]] = [
        (
            "sensitivity falls with commute time at equal width and depth",
            trend(reached, "commute_time", "falls", within=["width", "depth"]),
        ),
        (
            "and so it does among pairs at equal distance",
            trend(reached, "commute_time", "falls", within=["width", "depth", "distance"]),
        ),
        (
            "a wider network is more sensitive",
            trend(reached, "width", "rises", within=["family", "setting", "depth"]),
        ),
        (
            "but in the widest one, too, sensitivity falls with commute time",
            trend(wide, "commute_time", "falls", within=["depth"]),
        ),
        ("and it does so at the same rate", decay_ratio(reached)),
        (
            "in the deepest network, too, sensitivity falls with commute time",
            trend(deep, "commute_time", "falls", within=["width"]),
        ),
        (
            "layers beyond twice the distance lower it",
            trend(settled, "depth", "falls", within=["family", "setting", "width"]),
        ),
    ]
    return [ProbeClaim(text, evidence, evidence.holds(level)) for text, evidence in found]


def decay_ratio(rows: Sequence[ProbeRow]) -> DecayRatio:
    """Compare how fast the logarithm of the sensitivity falls per hop at the largest and at the smallest width.

    A rate is a least-squares slope over the probes of one family at one depth and seed; a seed gives the ratio of the
    mean rates. Networks that let nothing through, and families without two distances, say nothing.

    Args:
        rows: Of :func:`gnnlab.analysis.sensitivity_sweep`.

    Raises:
        ConfigError: fewer than two widths, or than two seeds with a rate at both.
    """
    widths = sorted({row.width for row in rows})
    groups: dict[tuple, list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        if row.width in (widths[0], widths[-1]) and row.sensitivity > 0:
            groups[row.family, row.depth, row.seed, row.width].append((row.distance, np.log(row.sensitivity)))
    rates: dict[tuple, float] = {}
    for key, pairs in groups.items():
        hops, logarithm = np.array(pairs).T
        if np.ptp(hops) > 0:
            rates[key] = float(np.polyfit(hops, logarithm, 1)[0])
    both: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for (family, depth, seed, width), rate in rates.items():
        if width == widths[-1] and (family, depth, seed, widths[0]) in rates:
            both[seed].append((rate, rates[family, depth, seed, widths[0]]))
    if len(widths) < 2 or len(both) < 2:
        raise ConfigError(f"{len(widths)} widths and {len(both)} seeds that compare, at least 2 of each are needed")
    seeds = np.array([np.divide(*np.mean(pairs, axis=0)) for pairs in both.values()])
    reach = stats.sem(seeds) * stats.t.ppf(0.975, seeds.size - 1)
    mean = float(seeds.mean())
    return DecayRatio(mean, mean - float(reach), mean + float(reach), (widths[0], widths[-1]), tuple(seeds.tolist()))
