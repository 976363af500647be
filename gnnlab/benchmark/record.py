"""One record per run: everything needed to judge the number and to get it again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnlab.benchmark.experiment import ExperimentSpec
from gnnlab.errors import DataError

__all__ = ["FILENAME", "Record", "find_records", "read_record", "run_hash", "write_json", "write_record"]

FILENAME = "record.json"
_VERSION = 1


@dataclass(frozen=True)
class Record:
    """One finished run.

    Args:
        experiment: Name of the experiment.
        config_hash: :func:`run_hash` of the resolved configuration without seed, fold and folders.
        seed: Seed of the run.
        fold: Fold of the split scheme.
        dataset: Name of the card.
        metric: Name of the metric.
        higher_is_better: Direction of the metric.
        test: Test metric at the best validation epoch; ``None`` where the protocol has no test split.
        best_epoch: The best validation epoch, counted from 0.
        curves: Metric name -> value per epoch (``train/loss``, ``val/loss``, ``val/<metric>``).
        parameters: Number of trainable parameters.
        spec: The ``experiment:`` group of the configuration.
        data_sha256: Digest over the dataset's files, reader and options.
        transforms: What was applied to the data (class, version, fields, key).
        overrides: Command-line settings on top of the experiment's file.
        wall_time: Seconds of training, over all resumptions.
        peak_memory: Bytes: allocated on the GPU, else resident in the process.
        hardware: Processor, cores, memory, devices.
        versions: Python and packages.
        commit: Git commit of the checkout, with ``+`` if it was modified; ``None`` outside of one.
        started: ISO time at which the run began (UTC).
        finished: ISO time at which the record was written (UTC).
        version: Version of this format.
    """

    experiment: str
    config_hash: str
    seed: int
    fold: int
    dataset: str
    metric: str
    higher_is_better: bool
    test: float | None
    best_epoch: int
    curves: dict[str, list[float | None]]
    parameters: int
    spec: ExperimentSpec = field(default_factory=ExperimentSpec)
    data_sha256: str = ""
    transforms: list[dict[str, Any]] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    wall_time: float = 0.0
    peak_memory: int = 0
    hardware: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None
    started: str = ""
    finished: str = ""
    version: int = _VERSION

    @property
    def validation(self) -> list[float | None]:
        """The validation metric per epoch."""
        return self.curves.get(f"val/{self.metric}", [])

    @property
    def scale(self) -> float:
        """Factor to the unit results are printed in: that of the published number, else per cent for accuracy."""
        percent = self.spec.published is None and self.metric == "accuracy"
        return 100.0 if percent else self.spec.scale

    @property
    def model(self) -> str:
        """Last part of the experiment's name."""
        return self.experiment.rsplit("/", 1)[-1]


def run_hash(config: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of a configuration (JSON values, order of keys irrelevant)."""
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_record(record: Record, folder: Path) -> Path:
    """Write ``record.json`` into a run's folder, whole or not at all."""
    return write_json(dataclasses.asdict(record), folder / FILENAME)


def write_json(content: Any, path: Path) -> Path:
    """Write JSON through a temporary file, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, allow_nan=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        DataError: the file is not a record of this version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("version") != _VERSION:
            raise ValueError(f"format version {content.get('version')}, expected {_VERSION}")
        spec = ExperimentSpec.from_dict(content.pop("spec"))
        return Record(**content, spec=spec)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"not a readable record: {error}", where=str(path), hint="delete its folder and run it again"
        ) from error


def find_records(root: Path) -> Iterator[Record]:
    """All records below a folder, by experiment, configuration, seed and fold."""
    paths = sorted(root.rglob(FILENAME))
    yield from sorted(map(read_record, paths), key=lambda r: (r.experiment, r.config_hash, r.seed, r.fold))
