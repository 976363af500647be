"""Committed results: one CSV per suite under ``experiments/results``, one line per experiment and machine."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from gnnlab.benchmark._format import remark
from gnnlab.benchmark.comparison import Row
from gnnlab.benchmark.experiment import Published
from gnnlab.errors import DataError

__all__ = ["Result", "append_results", "read_results", "result_of"]


@dataclass(frozen=True)
class Result:
    """One line of a results file; every value is text as printed, so a file reads the same everywhere.

    Args:
        experiment: Name of the experiment.
        metric: Name of the metric, with its unit.
        mean: Mean in the unit of the published number.
        std: Sample standard deviation; empty for a single run.
        runs: Number of values and what they are counted in.
        published: The published number.
        p_value: Of the comparison; empty if there was no test.
        parameters: Trainable parameters of the model.
        hardware: Processor or accelerator.
        versions: Packages.
        commit: Git commit of the code.
        date: Day of the last run (UTC).
        command: What was typed.
    """

    experiment: str
    metric: str
    mean: str
    std: str
    runs: str
    published: str
    p_value: str
    parameters: str
    hardware: str
    versions: str
    commit: str
    date: str
    command: str


_HEADER = [field.name for field in fields(Result)]


def result_of(row: Row, command: str) -> Result:
    """The line for a row of a report."""
    record, ours = row.records[-1], row.outcome.sample
    published, verdict = row.spec.published, row.verdict
    gpus = record.hardware.get("gpus") or []
    return Result(
        experiment=record.experiment,
        metric=record.metric + (" %" if row.percent else ""),
        mean=f"{ours.mean:.6g}",
        std="" if ours.std is None else f"{ours.std:.3g}",
        runs=f"{ours.runs} {row.outcome.unit}s",
        published="" if published is None else _printed(published),
        p_value="" if verdict is None or verdict.p_value is None else f"{verdict.p_value:.3g}",
        parameters=str(record.parameters),
        hardware=", ".join(gpus) or f"{record.hardware.get('processor', '')}, {record.hardware.get('threads')} threads",
        versions=" ".join(f"{name}=={version}" for name, version in record.versions.items()),
        commit=record.commit or "",
        date=record.finished[:10],
        command=command,
    )


def _printed(number: Published) -> str:
    return f"{number.mean:g}" + ("" if number.std is None else f" ± {number.std:g}") + remark(number)


def append_results(results: Iterable[Result], path: Path) -> Path:
    """Add lines to a results file, creating it with its header; a line already there is not repeated.

    Raises:
        DataError: the file has another header.
    """
    known = set(read_results(path)) if path.is_file() else set()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = [result for result in dict.fromkeys(results) if result not in known]
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _HEADER, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(asdict(result) for result in fresh)
    return path


def read_results(path: Path) -> list[Result]:
    """All lines of one results file, or of every ``*.csv`` in a folder.

    Raises:
        DataError: a file with another header or a line of another length.
    """
    if path.is_dir():
        return [result for each in sorted(path.glob("*.csv")) for result in read_results(each)]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        if reader.fieldnames != _HEADER:
            raise DataError("not a results file of this version", where=str(path), hint=f"header: {','.join(_HEADER)}")
        lines = list(reader)
    for number, line in enumerate(lines, start=2):
        if None in line or None in line.values():
            raise DataError("a line with too few or too many columns", where=f"{path}, line {number}")
    return [Result(**line) for line in lines]
