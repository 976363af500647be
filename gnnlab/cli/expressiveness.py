"""``gnnlab bench expressiveness``: which graphs networks tell apart, with random weights, exactly, and trained."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gnnlab.cli._console import make_console
from gnnlab.cli._expressiveness_file import RowFile
from gnnlab.cli._expressiveness_tables import LEGEND, tables
from gnnlab.errors import ConfigError, GnnlabError

if TYPE_CHECKING:
    from gnnlab.analysis.brec import PairOutcome
    from gnnlab.analysis.expressiveness import Subject
    from gnnlab.analysis.expressiveness_sets import ComparisonSet

__all__ = ["main"]

_SETS = ("named", "brec", "csl", "exp", "sr251256")
_SIGINT = 130


def main(argv: list[str]) -> int:
    """Print tables; 1 if something could not be computed, 130 if interrupted (what is done is kept)."""
    parser = argparse.ArgumentParser(
        prog="gnnlab bench expressiveness",
        description="Which graphs a network tells apart with random weights in double precision, beside the refinement "
        "that bounds it; with --train by the protocol of BREC. A network is a row of the bench, an experiment, or a "
        "YAML file with class_path and init_args; all rows of the bench by default.",
        allow_abbrev=False,
    )
    parser.add_argument("model", nargs="*", help="such as 'gin' or counting/triangle/gin; quote names with blanks")
    parser.add_argument("--set", action="append", dest="sets", metavar="SET", help=f"default: {', '.join(_SETS)}")
    parser.add_argument("--groups", type=int, help="only so many pairs (of a family: graphs), spread over the set")
    parser.add_argument("--draws", type=int, default=5, help="random weights (default: 5)")
    parser.add_argument("--least", type=int, default=3, help="of them that must agree (default: 3)")
    parser.add_argument("--copies", type=int, default=1, help="renumbered copies of every graph (default: 1)")
    parser.add_argument("--tolerance", type=float, default=1e-9, help="smallest relative difference (default: 1e-9)")
    parser.add_argument("--bound", help="refinement that bounds the networks, such as wl, swl-vs, sswl")
    parser.add_argument("--train", action="store_true", help="train a network per pair, by the protocol of BREC")
    parser.add_argument("--epochs", type=int, default=20, help="of --train, at most (default: 20)")
    parser.add_argument("--seed", type=int, action="append", dest="seeds", help="repeat for more with --train")
    parser.add_argument(
        "--json",
        type=Path,
        help="keep every row, with the pairs told apart, in this file; its other rows stay",
    )
    options = parser.parse_args(argv)
    if options.groups is not None and options.groups < 1:
        raise ConfigError("must be at least 1", where="--groups")

    from gnnlab.analysis.expressiveness_models import BENCH_MODELS
    from gnnlab.analysis.expressiveness_sets import comparison_set
    from gnnlab.cli._subjects import subject_of

    subjects = {name: subject_of(name, options.bound) for name in options.model or BENCH_MODELS}
    sets = [comparison_set(name) for name in options.sets or (["brec"] if options.train else _SETS)]
    sets = sets if options.groups is None else [each.part(options.groups) for each in sets]
    options.seeds = options.seeds or [0]
    command = shlex.join(["gnnlab", "bench", "expressiveness", *argv])
    file = None if options.json is None else RowFile(options.json, command)
    console, rows, failed, code = make_console(), [], [], 0
    try:
        with _progress() as bars:
            for row in _rows(subjects, sets, options, bars, failed):
                rows.append(row)
                if file is not None:
                    file.add(row)
    except KeyboardInterrupt:
        code = _SIGINT
    console.print(*tables(rows))
    console.print(LEGEND)
    for line in failed:
        console.print(f"left out: {line}", markup=False)
    if file is not None:
        file.close(failed, code != 0)
    if code:
        console.print("interrupted: what was finished is above")
    return code or int(bool(failed))


def _rows(
    subjects: dict[str, Subject], sets: list[ComparisonSet], options: argparse.Namespace, bars: Progress, failed: list
) -> Iterator[dict[str, Any]]:
    compare = _trained if options.train else _random
    task = bars.add_task("", total=len(subjects) * len(sets))
    inner = bars.add_task("", total=None)
    for name, subject in subjects.items():
        for each in sets:
            bars.update(task, description=f"{name}, {each.name}")
            try:
                yield from compare(name, subject, each, options, _Bar(bars, inner))
            except GnnlabError as error:
                failed.append(f"{name}, {each.name}: {error}")
            bars.advance(task)


def _random(
    name: str, subject: Subject, of: ComparisonSet, options: argparse.Namespace, bar: _Bar
) -> Iterator[dict[str, Any]]:
    from gnnlab.analysis.expressiveness import exact_classes, network_separation

    start = time.perf_counter()
    classes = None if subject.bound is None else exact_classes(of.store, subject.bound, of.group)
    report = network_separation(
        of.store,
        subject,
        of.group,
        classes=classes,
        draws=options.draws,
        least=options.least,
        copies=options.copies,
        tolerance=options.tolerance,
        seed=options.seeds[0],
        track=bar.over,
    )
    row = _head(name, of, "random")
    if of.paired:
        row["found"] = of.counts(report.separated)
        row["pairs"] = report.separated.nonzero().flatten().tolist()
        if classes is not None:
            exact = classes[::2] != classes[1::2]
            row["exact"], row["exact_pairs"] = of.counts(exact), exact.nonzero().flatten().tolist()
    else:
        row["found"] = {"": report.num_classes}
        if classes is not None:
            row["exact"] = {"": classes.unique().numel()}
    yield row | {
        "bound": None if subject.bound is None else str(subject.bound),
        "unstable": int(report.unstable.sum()),
        "violations": report.violations.size(1),
        "noise": report.noise,
        "joined": report.joined,
        "cut": None if report.cut == float("inf") else report.cut,
        "seconds": time.perf_counter() - start,
    }


def _trained(
    name: str, subject: Subject, of: ComparisonSet, options: argparse.Namespace, bar: _Bar
) -> Iterator[dict[str, Any]]:
    from gnnlab.analysis.brec import BrecProtocol, train_pairs

    if not of.paired:
        raise ConfigError("is a family, not pairs, on which networks can be trained", where=of.name)
    for seed in options.seeds:
        outcomes: list[PairOutcome] = []
        protocol, pairs = BrecProtocol(epochs=options.epochs), range(len(of.store) // 2)
        try:
            outcomes.extend(bar.over(train_pairs(of.store, subject, pairs, protocol, seed=seed), len(pairs)))
        except KeyboardInterrupt:
            yield _outcome_row(name, of, seed, outcomes)
            raise
        yield _outcome_row(name, of, seed, outcomes)


def _outcome_row(name: str, of: ComparisonSet, seed: int, outcomes: list[PairOutcome]) -> dict[str, Any]:
    import torch

    found = {kind: torch.zeros(len(of.store) // 2, dtype=torch.bool) for kind in ("released", "hotelling")}
    for outcome in outcomes:
        for kind, told in found.items():
            told[outcome.pair] = outcome.distinguished(kind)
    return _head(name, of, "trained") | {
        "found": of.counts(found["released"]),
        "hotelling": int(found["hotelling"].sum()),
        "unreliable": sum(not outcome.reliable() for outcome in outcomes),
        "pairs": found["released"].nonzero().flatten().tolist(),
        "finished": len(outcomes),
        "outcomes": [vars(outcome) for outcome in outcomes],
        "seed": seed,
        "seconds": sum(outcome.seconds for outcome in outcomes),
    }


def _head(name: str, of: ComparisonSet, weights: str) -> dict[str, Any]:
    return {"model": name, "set": of.name, "weights": weights, "paired": of.paired, "groups": of.sizes}


class _Bar:
    """Progress within one network and set."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self.bars, self.task = bars, task

    def over(self, work: Iterable[Any], total: int | None = None) -> Iterator[Any]:
        self.bars.reset(self.task, total=len(work) if total is None else total)
        for each in work:
            yield each
            self.bars.advance(self.task)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = BarColumn(bar_width=28), TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeElapsedColumn()
    return Progress(
        *columns, TextColumn("{task.description}"), console=console, transient=True, disable=not console.is_terminal
    )
