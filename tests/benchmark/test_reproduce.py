"""Finished runs are kept, interrupted ones repeated, other configurations kept apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from gnnlab.benchmark.experiment import ExperimentSpec
from gnnlab.benchmark.reproduce import Job, execute, plan
from gnnlab.errors import ConfigError


@pytest.fixture
def runner(make_record):
    """A stand-in for training that counts, and can be told to be interrupted at the n-th run."""

    class Runner:
        def __init__(self) -> None:
            self.jobs: list[Job] = []
            self.interrupt_at: int | None = None

        def __call__(self, job: Job):
            self.jobs.append(job)
            if len(self.jobs) == self.interrupt_at:
                (job.folder / "last.ckpt").write_text("state")
                raise KeyboardInterrupt
            return make_record(test=0.5 + job.seed / 10, seed=job.seed, fold=job.fold, config_hash=job.config_hash)

    return Runner()


def test_seeds_and_folds(tmp_path: Path) -> None:
    jobs = plan("tu/mutag/gin", ExperimentSpec(protocol="cv", seeds=2, folds=3), "a" * 16, tmp_path)
    assert [(job.seed, job.fold) for job in jobs] == [(s, f) for s in range(2) for f in range(3)]
    assert len({job.folder for job in jobs}) == 6
    (single,) = plan("x", ExperimentSpec(), "a" * 16, tmp_path, fold=4)
    assert (single.fold, single.folder) == (4, tmp_path / "x" / "aaaaaaaa" / "seed-0")


def test_finished_runs_are_read_not_run(runner, tmp_path: Path) -> None:
    jobs = plan("x", ExperimentSpec(seeds=3), "a" * 16, tmp_path)
    first = [record for _, record, fresh in execute(jobs[:2], runner) if fresh]
    again = list(execute(jobs, runner))
    assert [fresh for _, _, fresh in again] == [False, False, True]
    assert [record for _, record, _ in again][:2] == first
    assert len(runner.jobs) == 3


def test_an_interrupted_run_is_done_again_in_its_folder(runner, tmp_path: Path) -> None:
    jobs = plan("x", ExperimentSpec(seeds=3), "a" * 16, tmp_path)
    runner.interrupt_at = 2
    with pytest.raises(KeyboardInterrupt):
        list(execute(jobs, runner))
    assert (jobs[1].folder / "last.ckpt").is_file()
    results = [record.test for _, record, _ in execute(jobs, runner)]
    assert results == pytest.approx([0.5, 0.6, 0.7])
    assert [job.seed for job in runner.jobs] == [0, 1, 1, 2]


def test_another_configuration_never_mixes(runner, tmp_path: Path) -> None:
    list(execute(plan("x", ExperimentSpec(), "a" * 16, tmp_path), runner))
    # Even with the same first eight digits, a record of another configuration does not count.
    for other in ("b" * 16, "a" * 15 + "b"):
        assert [fresh for _, _, fresh in execute(plan("x", ExperimentSpec(), other, tmp_path), runner)] == [True]


def test_a_run_in_progress_elsewhere_is_left_alone(runner, tmp_path: Path) -> None:
    (job,) = plan("x", ExperimentSpec(), "a" * 16, tmp_path)
    job.folder.mkdir(parents=True)
    with FileLock(job.folder / ".lock"), pytest.raises(ConfigError, match="another process"):
        list(execute([job], runner))
    assert not runner.jobs
