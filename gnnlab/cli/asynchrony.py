"""``gnnlab asynchrony``: error of trained models whose nodes do not wait for each other, against staleness."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from gnnlab.cli._console import make_console
from gnnlab.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from gnnlab.analysis import AsynchronyRow
    from gnnlab.cli.lightning import GnnlabCLI

__all__ = ["main"]

_STALENESS = (1, 2, 5, 10, 20, 50)
# Trainer options that training for this command decides itself.
_OURS = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing", "default_root_dir")


def main(argv: list[str]) -> int:
    """Train what is not trained yet, print a row per model and staleness."""
    parser = argparse.ArgumentParser(
        prog="gnnlab asynchrony",
        description="Run trained models asynchronously on graphs of the test split. A model is an experiment, trained "
        "here (once) if need be, or the folder of a run of 'gnnlab fit'; all are of one dataset. Any setting of "
        "the experiments may follow, such as --trainer.max_epochs=20.",
        allow_abbrev=False,
    )
    parser.add_argument("model", nargs="+", help="experiment, such as energy/chains/gcn, or the folder of a run")
    parser.add_argument("--staleness", type=int, nargs="+", default=_STALENESS, metavar="B", help="default: 1 ... 50")
    parser.add_argument("--asynchronous-runs", type=int, default=5, help="runs per graph (default: 5)")
    parser.add_argument("--graphs", type=int, default=10, help="graphs of the test split (default: 10)")
    parser.add_argument("--ticks", type=int, default=50_000, help="most ticks of a run (default: 50000)")
    parser.add_argument("--seed", type=int, default=0, help="of the schedules (default: 0)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--figure", type=Path, help="draw error against staleness to this file (.png, .svg, .pdf)")
    options, overrides = parser.parse_known_args(argv)
    for name in ("asynchronous_runs", "graphs", "ticks"):
        if getattr(options, name) < 1:
            raise ConfigError("must be at least 1", where=f"--{name.replace('_', '-')}")

    from gnnlab.analysis import asynchrony_table
    from gnnlab.training.quiet import quiet_lightning

    console = make_console()
    with quiet_lightning():
        trained = [_trained(name, overrides, options.runs, console) for name in options.model]
    names = {cli.card.name for cli in trained}
    if len(names) > 1:
        raise ConfigError(f"models of different datasets: {', '.join(sorted(names))}", where="gnnlab asynchrony")
    rows = asynchrony_table(
        {cli.spec.title or name: cli.model.model.eval() for name, cli in zip(options.model, trained, strict=True)},
        trained[0].datamodule.store,
        options.staleness,
        options.asynchronous_runs,
        options.ticks,
        options.seed,
        graphs=options.graphs,
        track=_told(console),
    )
    console.print(_table(rows, names.pop()))
    console.print(_LEGEND)
    if options.json is not None:
        _write(options.json, argv, rows)
    if options.figure is not None:
        from gnnlab.analysis.asynchrony_figure import asynchrony_figure

        options.figure.parent.mkdir(parents=True, exist_ok=True)
        asynchrony_figure(rows, trained[0].card.title).savefig(options.figure, dpi=160)
    return 0


_LEGEND = (
    "errors in per cent: wrong predictions, or root of the mean squared error over that of the targets; reached: "
    "share of graphs and runs whose prediction came within 0.1 % of the synchronous one (layers: that applied all)"
)


def _trained(name: str, overrides: list[str], runs: Path, console: Console) -> GnnlabCLI:
    """The configuration of a model, with its network in the state of its best epoch."""
    import torch

    from gnnlab.cli.lightning import RESOLVED, GnnlabCLI
    from gnnlab.training.callbacks import BEST
    from gnnlab.training.runner import train_and_evaluate

    if Path(name).is_dir():
        files = [Path(name) / file for file in (RESOLVED, BEST)]
        for file in files:
            if not file.is_file():
                raise ConfigError(f"no '{file.name}', so this is no folder of a run of gnnlab fit", where=name)
        cli = GnnlabCLI(["-c", str(files[0]), *overrides])
        cli.model.load_state_dict(torch.load(files[1], map_location="cpu", weights_only=False)["state_dict"])
        return cli
    cli = GnnlabCLI(["-c", name, *overrides])
    options = {key: value for key, value in cli.trainer_options.items() if key not in _OURS}
    callbacks = options.pop("callbacks") or []
    folder = runs / "asynchrony" / f"{name.removesuffix('.yaml')}-{cli.run_hash}"
    result = train_and_evaluate(
        cli.model,
        cli.datamodule,
        folder,
        patience=cli.patience,
        callbacks=callbacks if isinstance(callbacks, list) else [callbacks],
        **options,
    )
    shown = "" if result.test is None else f", test/{result.metric} {result.test:.4f}"
    console.print(f"{name}: trained for {result.epochs} epochs{shown}", highlight=False, markup=False)
    return cli


def _told(console: Console) -> Callable[[Iterable[tuple[str, int]]], Iterator[tuple[str, int]]]:
    def track(cells: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
        for name, bound in cells:
            if not console.is_terminal:
                yield name, bound
                continue
            with console.status(f"{name}, B = {bound}"):
                yield name, bound

    return track


def _table(rows: list[AsynchronyRow], dataset: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=dataset, title_justify="left", title_style="bold")
    table.add_column("model")
    for name in ("B", "in lock-step", "asynchronous", "degradation", "deviation", "reached", "ticks", "messages/graph"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.model,
            str(row.staleness),
            f"{row.synchronous:.2f}",
            f"{row.mean:.2f} ± {row.std:.2f}",
            f"{row.degradation:+.2f}",
            f"{row.deviation:.1e}",
            f"{100 * row.reached:.0f} %",
            f"{row.ticks:.0f}",
            f"{row.messages:.0f}",
            end_section=row is rows[-1],
        )
    return table


def _write(path: Path, argv: list[str], rows: list[AsynchronyRow]) -> None:
    from gnnlab.benchmark import provenance

    content = {
        "command": " ".join(["gnnlab asynchrony", *argv]),
        "date": provenance.now(),
        "commit": provenance.commit(),
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "rows": [asdict(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
