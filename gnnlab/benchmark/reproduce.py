"""The runs behind a number: which there are, which are finished, and doing the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from gnnlab.benchmark.experiment import ExperimentSpec
from gnnlab.benchmark.record import FILENAME, Record, read_record, write_record
from gnnlab.errors import ConfigError

__all__ = ["Job", "Runner", "execute", "plan"]


@dataclass(frozen=True)
class Job:
    """One run: an experiment with one seed on one fold.

    Args:
        experiment: Name of the experiment.
        spec: Its specification, with the number of seeds and folds that will be run.
        config_hash: :func:`gnnlab.benchmark.record.run_hash` of what the runs have in common.
        seed: Seed of the run.
        fold: Fold of the split.
        root: Folder of all runs.
    """

    experiment: str
    spec: ExperimentSpec
    config_hash: str
    seed: int
    fold: int
    root: Path

    @property
    def folder(self) -> Path:
        """Its place; a changed configuration has another hash, so it never mixes with old runs."""
        return self.root / self.experiment / self.config_hash[:8] / self.label

    @property
    def label(self) -> str:
        return f"seed-{self.seed}" + (f"-fold-{self.fold}" if self.spec.folds else "")

    def record(self) -> Record | None:
        """The finished record, if there is one."""
        path = self.folder / FILENAME
        if not path.is_file():
            return None
        record = read_record(path)
        return record if record.config_hash == self.config_hash else None


Runner = Callable[[Job], Record]
"""Does one run, continuing what an interrupted one left in the job's folder."""


def plan(experiment: str, spec: ExperimentSpec, config_hash: str, root: Path, fold: int = 0) -> list[Job]:
    """All runs of an experiment: seeds x folds for the cross-validation protocols, else seeds.

    Args:
        experiment: Name of the experiment.
        spec: Its specification; ``folds`` is set for the cross-validation protocols, else ``None``.
        config_hash: Of the configuration.
        root: Folder of all runs.
        fold: The fold of protocols without cross-validation.
    """
    folds = range(spec.folds) if spec.folds else [fold]
    return [Job(experiment, spec, config_hash, seed, f, root) for seed in range(spec.seeds) for f in folds]


def execute(jobs: Iterable[Job], runner: Runner) -> Iterator[tuple[Job, Record, bool]]:
    """Do the jobs in order; a finished one is read, not run.

    Yields:
        The job, its record, and whether it was run now.

    Raises:
        ConfigError: another process is doing the same run.
    """
    for job in jobs:
        finished = job.record()
        if finished is not None:
            yield job, finished, False
            continue
        job.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(job.folder / ".lock", timeout=0):
                record = runner(job)
                write_record(record, job.folder)
        except Timeout as error:
            raise ConfigError(
                "another process is doing this run",
                where=str(job.folder),
                hint="wait for it, or choose another folder with --runs",
            ) from error
        yield job, record, True
