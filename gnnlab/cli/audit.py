"""``gnnlab audit``: one report on a dataset, before any model is trained on it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gnnlab.cli._console import make_console
from gnnlab.errors import ConfigError, nearest

if TYPE_CHECKING:
    from gnnlab.analysis.auditing import AuditReport, Section
    from gnnlab.analysis.auditing.sample import AuditSample

__all__ = ["main"]

_SIGINT = 130


def main(argv: list[str]) -> int:
    """Print the report and write what was asked for; 130 if interrupted, with the sections that were finished."""
    parser = argparse.ArgumentParser(
        prog="gnnlab audit",
        description="Why might a GNN fail on this data, and would depth, width, a rewiring, an encoding or a more "
        "expressive layer help? Measures the data, trains nothing, and says what follows from it and what does not.",
        allow_abbrev=False,
    )
    parser.add_argument("dataset", help="a name of 'gnnlab datasets list', a card (.yaml), or folder of a saved store")
    parser.add_argument("--split", help="only the graphs (of one graph: labels) of this split, such as train")
    parser.add_argument("--sample", type=int, metavar="N", help="at most so many graphs, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    parser.add_argument(
        "--section", action="append", dest="sections", metavar="NAME", help="repeat for several (default: all)"
    )
    parser.add_argument("--brief", action="store_true", help="print the verdict only; files get everything")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that needs nothing else")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write Markdown, its pictures in a folder beside")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers and sentences")
    options = parser.parse_args(argv)
    if options.sample is not None and options.sample < 1:
        raise ConfigError("must be at least 1", where="--sample")

    from gnnlab.analysis.auditing.audit import SECTIONS

    keys = list(dict.fromkeys(options.sections or SECTIONS))
    for key in keys:
        if key not in SECTIONS:
            raise ConfigError(f"unknown section '{key}'", where="--section", hint=nearest(key, SECTIONS))

    from gnnlab.analysis.auditing import render
    from gnnlab.analysis.auditing.sample import audit_sample

    sample = audit_sample(
        _dataset(options.dataset), split=options.split, sample=options.sample, seed=options.seed, progress=True
    )
    work = _Work(sample)
    try:
        with _progress() as bars:
            work.run(keys, bars)
        code = 0
    except KeyboardInterrupt:
        code = _SIGINT
    report, console = work.report(), make_console()
    console.print(render.terminal(report, brief=options.brief), crop=False)  # commands stay whole
    for path in _written(report, argv, options):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)
    if code:
        left = ", ".join(key for key in keys if key not in work.made)
        console.print(f"interrupted: what was finished is above; not looked at: {left}")
    return code


def _dataset(name: str) -> Any:
    """The name of a card, its file, or the store saved in that folder."""
    if Path(name).is_dir():
        from gnnlab.data import GraphStore

        return GraphStore.load(name)
    return name


@dataclass
class _Work:
    """An audit section by section, so that an interruption loses no more than the one at work."""

    sample: AuditSample
    made: dict[str, Section] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, keys: Sequence[str], bars: Progress) -> None:
        from gnnlab.analysis.auditing import audit

        whole = bars.add_task("", total=len(keys))
        inner = bars.add_task("", total=None)
        for key in keys:
            bars.update(whole, description=key)
            part = audit(self.sample, sections=[key], track=lambda key: _tracked(bars, inner))
            self.made[key] = part.section(key)
            self.seconds |= part.seconds
            bars.advance(whole)

    def report(self) -> AuditReport:
        from gnnlab.analysis.auditing import AuditReport
        from gnnlab.analysis.auditing.verdict import findings
        from gnnlab.cli._experiments_of import experiments_of

        name = self.sample.name
        verdict = findings(self.made, self.sample.task, name=name, experiments=experiments_of(name))
        return AuditReport(name, self.sample.subject, verdict, tuple(self.made.values()), self.seconds)


def _tracked(bars: Progress, task: TaskID) -> Callable[[Sequence[Any]], Iterator[Any]]:
    def over(chunks: Iterable[Any]) -> Iterator[Any]:
        chunks = list(chunks)
        bars.reset(task, total=len(chunks))
        for chunk in chunks:
            yield chunk
            bars.advance(task)

    return over


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = BarColumn(bar_width=28), TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeElapsedColumn()
    return Progress(
        *columns, TextColumn("{task.description}"), console=console, transient=True, disable=not console.is_terminal
    )


def _written(report: AuditReport, argv: list[str], options: argparse.Namespace) -> Iterator[Path]:
    from gnnlab.analysis.auditing import render

    for path in (options.html, options.markdown, options.json):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if options.html is not None:
        options.html.write_text(render.html(report), encoding="utf-8")
        yield options.html
    if options.markdown is not None:
        pictures = options.markdown.with_name(f"{options.markdown.stem}-pictures")
        options.markdown.write_text(render.markdown(report, pictures), encoding="utf-8")
        yield options.markdown
    if options.json is not None:
        options.json.write_text(json.dumps(_content(report, argv), indent=1) + "\n", encoding="utf-8")
        yield options.json


def _content(report: AuditReport, argv: list[str]) -> dict[str, Any]:
    from gnnlab.benchmark import provenance

    return {
        "command": " ".join(["gnnlab audit", *argv]),
        "date": provenance.now(),
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        **report.to_dict(),
    }
