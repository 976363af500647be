"""``gnnlab report``: every finished run below a folder as table, Markdown, picture and HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gnnlab.benchmark.comparison import compare_records
from gnnlab.benchmark.record import find_records
from gnnlab.benchmark.report import terminal_tables, write_report
from gnnlab.benchmark.results import Result, read_results
from gnnlab.cli._console import make_console
from gnnlab.cli._expressiveness_file import read_rows
from gnnlab.cli._expressiveness_tables import LEGEND, markdown, tables
from gnnlab.errors import DataError
from gnnlab.resources import experiments_dir

__all__ = ["main"]

_SHOWN = ("experiment", "metric", "mean", "std", "runs", "published", "p_value", "hardware", "date", "commit")


def main(argv: list[str]) -> int:
    """Render records, or with ``--results`` the committed results."""
    parser = argparse.ArgumentParser(prog="gnnlab report", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "folder", nargs="?", default="runs", help="folder with records (default: runs), or rows of bench expressiveness"
    )
    parser.add_argument("--output", help="folder of report.png, report.md, report.html (default: the same)")
    parser.add_argument("--results", action="store_true", help="the committed experiments/results/*.csv instead")
    options = parser.parse_args(argv)
    console = make_console()
    if options.results:
        console.print(_results_table(read_results(experiments_dir() / "results")))
        return 0
    folder = Path(options.folder)
    if folder.suffix == ".json":
        return _measurements(folder, options.output, console)
    rows = compare_records(find_records(folder))
    if not rows:
        raise DataError("no finished run here", where=str(folder), hint="try 'gnnlab reproduce quickstart' first")
    console.print(*terminal_tables(rows))
    for path in write_report(rows, Path(options.output or folder)):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)
    return 0


def _measurements(path: Path, output: str | None, console: Console) -> int:
    rows = read_rows(path)
    console.print(*tables(rows))
    console.print(LEGEND)
    if output is not None:
        target = Path(output) / f"{path.stem}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(markdown(rows), encoding="utf-8")
        console.print(f"written: {target}", highlight=False, soft_wrap=True)
    return 0


def _results_table(results: list[Result]) -> Table:
    table = Table(title="experiments/results", title_justify="left", box=None)
    for name in _SHOWN:
        table.add_column(name.replace("_", " "), justify="left" if name in ("experiment", "hardware") else "right")
    for result in results:
        table.add_row(
            *(Text(getattr(result, name)[:12] if name == "commit" else getattr(result, name)) for name in _SHOWN)
        )
    return table
