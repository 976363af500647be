"""Records beside published numbers: one row per experiment and configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gnnlab.benchmark.experiment import ExperimentSpec
from gnnlab.benchmark.protocol import CAVEATS, Outcome, aggregate
from gnnlab.benchmark.record import Record
from gnnlab.benchmark.statistics import Sample, Verdict, compare

__all__ = ["Row", "compare_records"]


@dataclass(frozen=True)
class Row:
    """One line of a report, everything in the unit of the published number.

    Args:
        records: The runs behind it.
        outcome: What they gave.
        published: The number to reproduce as printed (its spread may be an interval), if the experiment has one and
            somebody has looked it up.
        verdict: The comparison of the two.
        notes: What has to be said beside the number.
    """

    records: tuple[Record, ...]
    outcome: Outcome
    published: Sample | None
    verdict: Verdict | None
    notes: tuple[str, ...]

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def spec(self) -> ExperimentSpec:
        """What the latest run was told to reproduce."""
        return self.records[-1].spec

    @property
    def percent(self) -> bool:
        return self.records[-1].scale == 100

    @property
    def suite(self) -> str:
        """The experiment's name without the model: what rows are grouped by."""
        return self.first.experiment.rpartition("/")[0] or self.first.dataset

    @property
    def label(self) -> str:
        return self.spec.title or self.first.model

    @property
    def wall_time(self) -> float:
        """Mean seconds of training per run."""
        return sum(record.wall_time for record in self.records) / len(self.records)


def compare_records(records: Iterable[Record]) -> list[Row]:
    """Group records by experiment and configuration, aggregate each group, compare it with its number.

    Rows come by suite, best first.
    """
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.experiment, record.config_hash].append(record)
    rows = [_row(group) for group in groups.values()]
    return sorted(
        rows,
        key=lambda r: (
            r.suite,
            -r.outcome.sample.mean if r.first.higher_is_better else r.outcome.sample.mean,
        ),
    )


def _row(records: list[Record]) -> Row:
    spec, first = records[-1].spec, records[0]
    outcome = _scaled(aggregate(records), records[-1].scale)
    published = verdict = None
    if spec.published is not None and spec.published.verified:
        published = Sample(spec.published.mean, spec.published.std, spec.published.runs)
        verdict = compare(outcome.sample, spec.published.sample, first.higher_is_better)
    return Row(tuple(records), outcome, published, verdict, tuple(_notes(records, spec, outcome)))


def _scaled(outcome: Outcome, scale: float) -> Outcome:
    sample = outcome.sample
    std = None if sample.std is None else sample.std * scale
    values = tuple(value * scale for value in outcome.values)
    return Outcome(Sample(sample.mean * scale, std, sample.runs), values, outcome.unit, outcome.epoch)


def _notes(records: list[Record], spec: ExperimentSpec, outcome: Outcome) -> Iterable[str]:
    if records[0].overrides:
        yield "not the published settings: " + " ".join(records[0].overrides)
    folds = len({record.fold for record in records})
    if spec.folds and folds < spec.folds:
        yield f"incomplete: {folds} of {spec.folds} folds"
    if spec.protocol in CAVEATS:
        yield CAVEATS[spec.protocol]
    if outcome.epoch is not None:
        yield f"common epoch {outcome.epoch + 1}"
    if spec.published is not None:
        if not spec.published.verified:
            yield "the published number is quoted from memory and was not looked up: no comparison"
        if spec.published.note:
            yield spec.published.note
