"""``gnnlab reproduce``: the runs of an experiment or a suite, then the comparison with the published numbers."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from gnnlab.benchmark import provenance
from gnnlab.benchmark.comparison import compare_records
from gnnlab.benchmark.experiment import ExperimentSpec, find_experiments
from gnnlab.benchmark.record import Record
from gnnlab.benchmark.report import terminal_tables, write_report
from gnnlab.benchmark.reproduce import Job, execute, plan
from gnnlab.benchmark.results import append_results, result_of
from gnnlab.cli._console import make_console
from gnnlab.cli._progress import RunProgress
from gnnlab.cli.lightning import GnnlabCLI
from gnnlab.errors import ConfigError
from gnnlab.resources import experiments_dir
from gnnlab.training.interrupt import Interrupted
from gnnlab.training.quiet import quiet_lightning
from gnnlab.training.runner import train_and_evaluate

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run what is not finished yet, print the table, write the report."""
    options, overrides = _arguments(argv)
    console = make_console()
    with quiet_lightning():
        plans = [
            _planned(name, path, options, overrides) for name, path in find_experiments(options.experiment).items()
        ]
        jobs = [job for each in plans for job in each.jobs]
        records = list(_run(plans, jobs, console))
    rows = compare_records(records)
    console.print(*terminal_tables(rows))
    for path in write_report(rows, _report_folder(Path(options.runs), options.experiment), options.experiment):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)
    if options.save_results:
        command = f"gnnlab reproduce {shlex.join(argv)}"
        for row in rows:
            suite = row.first.experiment.split("/")[0]
            path = experiments_dir() / "results" / f"{suite}.csv"
            append_results([result_of(row, command)], path)
            console.print(f"saved: {path}", highlight=False, soft_wrap=True)
    return 0


@dataclass(frozen=True)
class _Plan:
    """An experiment: parsed once, built anew for every run."""

    cli: GnnlabCLI
    overrides: list[str]
    jobs: list[Job]


def _arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="gnnlab reproduce",
        description="Run an experiment (or all below a folder of experiments/) and compare it with the published "
        "number. Finished runs are kept, interrupted ones continue. Any setting of the configuration may "
        "follow, such as --trainer.max_epochs=2; the table then says so.",
        allow_abbrev=False,
    )
    parser.add_argument("experiment", help="name below experiments/, such as lrgb/peptides-func/gcn or quickstart")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: that of the experiment)")
    parser.add_argument("--folds", type=int, help="number of folds, for cross-validation protocols")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="same as --KEY=VALUE")
    parser.add_argument("--runs", default="runs", help="folder of all runs (default: runs)")
    parser.add_argument("--save-results", action="store_true", help="append to experiments/results/<suite>.csv")
    options, rest = parser.parse_known_args(argv)
    for name in ("seeds", "folds"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ConfigError("must be at least 1", where=f"--{name}")
    for setting in options.set:
        if "=" not in setting:
            raise ConfigError(f"'{setting}' is not of the form KEY=VALUE", where="--set")
    return options, [f"--{setting}" for setting in options.set] + rest


def _planned(name: str, path: Path, options: argparse.Namespace, overrides: list[str]) -> _Plan:
    cli = GnnlabCLI(["-c", str(path), *overrides], build=False)
    _check_metric(name, cli)
    changes = {"seeds": options.seeds or cli.spec.seeds, "folds": None, "available": None}
    if cli.spec.protocol != "best-val":
        scheme = cli.config["data"]["split"] or cli.card.split.default
        changes["available"] = cli.card.split.schemes[scheme]
        changes["folds"] = options.folds or cli.spec.folds or changes["available"]
    elif options.folds:
        raise ConfigError(f"the protocol of {name} ({cli.spec.protocol}) has no folds", where="--folds")
    spec: ExperimentSpec = dataclasses.replace(cli.spec, **changes)
    fold = cli.config["data"]["fold"]
    return _Plan(cli, overrides, plan(name, spec, cli.run_hash, Path(options.runs), fold))


def _check_metric(name: str, cli: GnnlabCLI) -> None:
    published, metric = cli.spec.published, cli.card.task.metric
    if published is not None and published.metric != metric:
        raise ConfigError(
            f"the published number is {published.metric}, the dataset is judged by {metric}",
            where=f"{name}, experiment.published.metric",
        )


def _run(plans: list[_Plan], jobs: list[Job], console: Console) -> Iterator[Record]:
    owner = {job: each for each in plans for job in each.jobs}
    with RunProgress(console, total=len(jobs)) as progress:
        try:
            for job, record, fresh in execute(jobs, lambda job: _one(job, owner[job], progress)):
                progress.finished(job, record, fresh)
                yield record
        except (Interrupted, KeyboardInterrupt) as stop:
            raise Interrupted(
                f"interrupted; {progress.done} of {len(jobs)} runs are finished and recorded",
                hint="the same command continues where it stopped",
                signum=stop.exit_code - 128 if isinstance(stop, Interrupted) else 2,
            ) from None


def _one(job: Job, owner: _Plan, progress: RunProgress) -> Record:
    """One run, in this process; an interrupted one goes on from its last epoch."""
    started = provenance.now()
    cli = owner.cli
    cli.build(job.seed, job.fold)
    cli.write_resolved(job.folder)
    options = {k: v for k, v in cli.trainer_options.items() if k not in _OURS}
    callbacks = options.pop("callbacks") or []
    progress.started(job)
    result = train_and_evaluate(
        cli.model,
        cli.datamodule,
        job.folder,
        patience=cli.patience,
        on_epoch=progress.epoch,
        callbacks=callbacks if isinstance(callbacks, list) else [callbacks],
        **options,
    )
    task = cli.card.task
    return Record(
        experiment=job.experiment,
        config_hash=job.config_hash,
        seed=job.seed,
        fold=job.fold,
        dataset=cli.card.name,
        metric=task.metric,
        higher_is_better=task.higher_is_better,
        # In the GIN protocol the held-out fold is what was watched: there is no independent test value.
        test=None if job.spec.protocol == "gin-cv" else result.test,
        best_epoch=result.best_epoch,
        curves=result.curves,
        parameters=result.parameters,
        spec=job.spec,
        data_sha256=provenance.data_digest(cli.card),
        transforms=cli.transforms,
        overrides=owner.overrides,
        wall_time=result.seconds,
        peak_memory=result.peak_memory,
        hardware=provenance.hardware(),
        versions=provenance.versions(),
        commit=provenance.commit(),
        started=started,
        finished=provenance.now(),
    )


# Trainer options that reproduce decides itself.
_OURS = {"logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing", "default_root_dir"}


def _report_folder(runs: Path, experiment: str) -> Path:
    name = experiment.strip("/").removesuffix(".yaml")
    return runs / (Path(name).name if Path(experiment).is_file() else name)
