"""``gnnlab separation``: which graphs every encoding and refinement tells apart, exactly, without training."""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gnnlab.cli._console import make_console
from gnnlab.errors import ConfigError, GnnlabError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from gnnlab.analysis import SeparationReport
    from gnnlab.analysis.separation import Method
    from gnnlab.data import GraphStore

__all__ = ["main"]

_TITLES = ("Basic", "Regular", "StrReg", "Extension", "CFI", "4-vertex", "DistReg")
_SIZES = (60, 50, 50, 100, 100, 20, 20)
_COLOURINGS = ("multiset", "wl")


def main(argv: list[str]) -> int:
    """Print a row per encoding and colouring; 1 if an encoding could not be computed."""
    parser = argparse.ArgumentParser(prog="gnnlab separation", description=__doc__, allow_abbrev=False)
    parser.add_argument("--dataset", default="brec", help="brec, or a family of graphs such as sr251256")
    parser.add_argument(
        "--encoding",
        action="append",
        help="class path of a transform without arguments, a refinement such as sswl, 3-fwl or 1,2-wl, or a row of the "
        "table; repeat for more (default: all of them)",
    )
    parser.add_argument("--colouring", choices=_COLOURINGS, action="append", help="of encodings; default: both")
    parser.add_argument("--tolerance", type=float, help="default: 1e-6 in single precision, 1e-11 in double")
    parser.add_argument("--json", type=Path, help="write the rows, and the pairs told apart, to this file")
    options = parser.parse_args(argv)

    from gnnlab.data import load_dataset

    methods = _methods(options.encoding)
    colourings = options.colouring or list(_COLOURINGS)
    store, console = load_dataset(options.dataset), make_console()
    rows, failed = [], []
    with _progress() as bars:
        task = bars.add_task("", total=len(methods))
        for name, method in methods.items():
            bars.update(task, description=name)
            try:
                rows += _rows(name, method, store, colourings, options.tolerance)
            except GnnlabError as error:
                failed.append(f"{name}: {error}")
            bars.advance(task)
    console.print(_pair_table(rows) if "category" in store.columns else _family_table(rows, store))
    console.print(_LEGEND)
    for line in failed:
        console.print(f"left out: {line}", markup=False)
    if options.json is not None:
        _write(options.json, argv, options.dataset, rows, failed)
    return 1 if failed else 0


_LEGEND = (
    "multiset: the values alone; wl: colours refined from them until they are stable; unstable: graphs told apart from "
    "a renumbered copy of themselves, whose pairs do not count; clear by: factor between "
    "the tolerance and the nearest difference of two values; names in small letters: refinements, as strong as "
    "networks of their kind can be without encodings"
)


def _methods(names: list[str] | None) -> dict[str, Method]:
    from gnnlab.analysis import INVARIANTS, deterministic_encodings, refinements

    known = {**INVARIANTS, **refinements(), **deterministic_encodings()}
    return known if names is None else {name: known.get(name) or _unlisted(name, known) for name in names}


def _unlisted(name: str, known: dict[str, Method]) -> Method:
    """A transform by its class path, or a refinement by its name."""
    from gnnlab.analysis import Refined

    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)() if module else Refined(name)
    except (ImportError, AttributeError, ConfigError) as error:
        raise ConfigError(f"unknown encoding '{name}'", where="gnnlab separation", hint=nearest(name, known)) from error
    except TypeError as error:
        raise ConfigError(f"cannot build '{name}' without arguments: {error}", where="gnnlab separation") from error


def _rows(
    name: str, method: Method, store: GraphStore, colourings: list[str], tolerance: float | None
) -> list[dict[str, Any]]:
    import torch

    from gnnlab.analysis import Refined, separation

    # A refinement has said all there is: refining colours of graphs once more adds nothing.
    colourings = ["multiset"] if isinstance(method, Refined) else colourings
    paired = "category" in store.columns
    group = torch.arange(len(store)) // 2 if paired else torch.zeros(len(store), dtype=torch.long)
    start = time.perf_counter()
    reports = separation(store, method, group, colourings, tolerance=tolerance)
    seconds = time.perf_counter() - start
    category = store.column("category")[::2] if paired else None
    return [_row(name, colouring, report, category, seconds) for colouring, report in reports.items()]


def _row(name: str, colouring: str, report: SeparationReport, category: Tensor | None, seconds: float) -> dict:
    row = {"encoding": name, "colouring": colouring}
    if category is None:
        row["classes"] = report.num_classes
    else:
        found = category[report.separated]
        row["separated"] = {title: int((found == number).sum()) for number, title in enumerate(_TITLES)}
        row["total"] = found.numel()
        row["pairs"] = report.separated.nonzero().flatten().tolist()
    margin = {"joined": report.joined, "cut": None if report.cut == float("inf") else report.cut}
    return {**row, "unstable": int(report.unstable.sum()), **margin, "seconds": seconds}


def _pair_table(rows: list[dict[str, Any]]) -> Table:
    titles = [f"{title}\n{size}" for title, size in zip(_TITLES, _SIZES, strict=True)]
    table = _table([*titles, f"total\n{sum(_SIZES)}"])
    for row in rows:
        table.add_row(
            row["encoding"], row["colouring"], *map(str, row["separated"].values()), str(row["total"]), *_end(row)
        )
    return table


def _family_table(rows: list[dict[str, Any]], store: GraphStore) -> Table:
    table = _table([f"classes\nof {len(store)}"])
    for row in rows:
        table.add_row(row["encoding"], row["colouring"], str(row["classes"]), *_end(row))
    return table


def _table(columns: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("encoding", "colouring"):
        table.add_column(name, no_wrap=True)
    for name in (*columns, "unstable", "clear by", "s"):
        table.add_column(name, justify="right")
    return table


def _end(row: dict[str, Any]) -> tuple[str, str, str]:
    cut = row["cut"]
    factors = ([] if cut is None else [cut]) + ([1 / row["joined"]] if row["joined"] else [])
    clear = f"{min(factors):.0e}" if factors else "exact"
    return str(row["unstable"]), clear, f"{row['seconds']:.1f}"


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = BarColumn(bar_width=28), TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeElapsedColumn()
    return Progress(
        *columns, TextColumn("{task.description}"), console=console, transient=True, disable=not console.is_terminal
    )


def _write(path: Path, argv: list[str], dataset: str, rows: list[dict[str, Any]], failed: list[str]) -> None:
    from gnnlab.benchmark import provenance

    content = {
        "command": " ".join(["gnnlab separation", *argv]),
        "date": provenance.now(),
        "commit": provenance.commit(),
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "dataset": dataset,
        "rows": rows,
        "left_out": failed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
