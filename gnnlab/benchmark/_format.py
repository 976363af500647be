"""Numbers as they are printed in tables: one way for terminal, Markdown, HTML and pictures."""

from __future__ import annotations

from gnnlab.benchmark.comparison import Row
from gnnlab.benchmark.experiment import Published
from gnnlab.benchmark.statistics import Sample

__all__ = ["COLUMNS", "cells", "count", "duration", "metric_title", "published", "remark", "sample", "table"]

COLUMNS = (
    "model",
    "ours",
    "published",
    "difference [95 % CI]",
    "verdict",
    "runs",
    "parameters",
    "time per run",
)

_SPREADS = {"std": "", "sem": " (standard error)", "ci95": " (95 % CI)"}


def metric_title(row: Row) -> str:
    """``accuracy in % ↑``: metric, unit and direction."""
    arrow = "↑" if row.first.higher_is_better else "↓"
    return f"{row.first.metric}{' in %' if row.percent else ''} {arrow}"


def sample(value: Sample | None, percent: bool) -> str:
    """``0.6860 ± 0.0050``, or with two decimals in per cent."""
    if value is None:
        return "–"
    digits = 2 if percent else 4
    spread = "" if value.std is None else f" ± {value.std:.{digits}f}"
    return f"{value.mean:.{digits}f}{spread}"


def published(number: Published, percent: bool) -> str:
    """A number as printed, with the kind of its spread and whether somebody has looked it up."""
    return sample(Sample(number.mean, number.std, number.runs), percent) + remark(number)


def remark(number: Published) -> str:
    """What has to stand behind a printed number: what its spread is, and whether anybody looked it up."""
    return ("" if number.std is None else _SPREADS[number.interval]) + ("" if number.verified else " (unverified)")


def cells(row: Row) -> tuple[str, ...]:
    """One row of text, in the order of ``COLUMNS``."""
    digits = 2 if row.percent else 4
    number = row.spec.published
    difference, verdict = "–", "no published number" if number is None else "not compared"
    if row.verdict is not None:
        difference, verdict = f"{row.verdict.difference:+.{digits}f}", row.verdict.text
        if row.verdict.interval is not None:
            low, high = row.verdict.interval
            difference += f" [{low:+.{digits}f}, {high:+.{digits}f}]"
    return (
        row.label,
        sample(row.outcome.sample, row.percent),
        "–" if number is None else published(number, row.percent),
        difference,
        verdict,
        _runs(row),
        count(row.first.parameters),
        duration(row.wall_time),
    )


def _runs(row: Row) -> str:
    """``3 seeds``, ``5 of 100 folds``."""
    runs, unit, available = row.outcome.sample.runs or 0, row.outcome.unit, row.spec.available
    if unit == "fold" and available and runs < available:
        return f"{runs} of {available} folds"
    return f"{runs} {unit}{'s' if runs != 1 else ''}"


def table(rows: list[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and lines; the columns about published numbers only where there is one."""
    lines = [cells(row) for row in rows]
    compared = any(row.spec.published is not None for row in rows)
    keep = [i for i, name in enumerate(COLUMNS) if compared or name not in COLUMNS[2:5]]
    return tuple(COLUMNS[i] for i in keep), [tuple(line[i] for i in keep) for line in lines]


def count(number: int) -> str:
    """``493k``, ``1.2M``."""
    for limit, unit, digits in ((1_000_000, "M", 1), (10_000, "k", 0)):
        if number >= limit:
            return f"{number / (1_000_000 if unit == 'M' else 1_000):.{digits}f}{unit}"
    return str(number)


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
