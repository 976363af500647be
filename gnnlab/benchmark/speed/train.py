"""``gnnlab bench train``: training against PyG's layers and loader, with the same networks on the same batches.
Outputs and gradients of both are compared before anything is timed."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.table import Table

from gnnlab.benchmark.speed._agreement import TOLERANCE
from gnnlab.benchmark.speed._epochs import PEER, Outcome, Row, measure
from gnnlab.benchmark.speed._options import Options, one_of, positive
from gnnlab.benchmark.speed._shares import KINDS
from gnnlab.benchmark.speed._workloads import WORKLOADS, Workload
from gnnlab.benchmark.speed.measure import print_table, write
from gnnlab.errors import ConfigError

__all__ = ["main", "show_rows", "show_shares"]


def main(argv: list[str]) -> int:
    """Print (and with ``--output`` save) the table; returns 0."""
    options = _parser().parse_args(argv)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device here", where="--device")
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        rows: list[Row] = []
        for name in dict.fromkeys(options.model):
            rows.append(measure(name, _sized(WORKLOADS[name], options.width), options))
            if options.output:
                # After every row: a run of all workloads is long enough to be cut short.
                _save(rows, argv, options)
        show_rows(rows, options)
        if options.profile:
            show_shares(rows)
    finally:
        torch.set_num_threads(threads)
    return 0


def show_rows(rows: Sequence[Row], options: argparse.Namespace) -> None:
    """The table: seconds per epoch of every way to train, and how many times longer the peer takes."""
    how = "whole epochs" if options.full_epochs else "extrapolated from groups of steps"
    title = f"gnnlab bench train ({options.device}, {options.threads} threads): time per epoch, {how}; ratio: pyg / it"
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for heading in ("parameters", "batch", "steps", *rows[0].outcomes):
        table.add_column(heading, justify="right")
    for row in rows:
        facts = (row.model, f"{row.parameters:,}", str(row.batch_size), f"{options.rounds} x {row.steps}")
        table.add_row(*facts, *(_cell(name, outcome) for name, outcome in row.outcomes.items()))
    agree = "outputs and gradients agree to"
    print_table(table, [f"{row.model}: {row.data}, {agree} {row.difference:.0e}" for row in rows])


def show_shares(rows: Sequence[Row]) -> None:
    """The table of what the time of a step is spent on."""
    table = Table(title="parts of the time of a step", title_justify="left")
    for heading in ("model", "by"):
        table.add_column(heading)
    for heading in KINDS:
        table.add_column(heading, justify="right")
    for row in rows:
        for name, shares in row.shares.items():
            table.add_row(row.model, name, *(f"{100 * shares[kind]:.0f} %" for kind in KINDS))
    print_table(table, ["dropout: random numbers and masks; aggregation: with look-ups of atoms and bonds"])


def _parser() -> Options:
    parser = Options(prog="gnnlab bench train", description=__doc__)
    add = parser.add_argument
    add("--model", nargs="+", type=one_of("model", WORKLOADS), default=list(WORKLOADS), help="default: all")
    add("--device", type=one_of("device", ("cpu", "cuda")), default="cpu", help="cpu or cuda (default: cpu)")
    add("--threads", type=positive, default=2, help="threads of torch (default: 2)")
    add("--rounds", type=positive, default=5, help="turns of every way to train; medians are reported")
    add("--steps", type=positive, help="steps per turn (default: about a second)")
    add("--full-epochs", action="store_true", help="turns of whole epochs")
    add("--batch-size", type=positive, help="graphs per step (default: that of the experiment)")
    add("--width", type=positive, help="hidden channels other than the workload's")
    add("--graphs", type=positive, default=0, help="train on so many graphs only")
    add("--workers", type=_whole, default=0, help="processes of PyG's DataLoader (default: 0)")
    backends = one_of("choice of backends", ("automatic", "all"))
    add("--backends", type=backends, default="automatic", help="all: also the torch backend, and PyG with our loader")
    add("--profile", action="store_true", help="parts of the time: products, aggregation, dropout, ...")
    add("--generated", action="store_true", help="generated molecules even where the datasets are at hand")
    add("--seed", type=_whole, default=0, help="seed of weights, order and generated graphs")
    add("--output", "--json", type=Path, help="write the figures, hardware and versions to this file")
    return parser


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


def _save(rows: Sequence[Row], argv: Sequence[str], options: argparse.Namespace) -> None:
    facts = {name: getattr(options, name) for name in ("seed", "rounds", "device", "workers", "width")}
    write(options.output, rows, shlex.join(["gnnlab", "bench", "train", *argv]), tolerance=TOLERANCE, **facts)


def _sized(workload: Workload, width: int | None) -> Workload:
    return workload if width is None else replace(workload, width=width)


def _cell(name: str, outcome: Outcome) -> str:
    seconds = f"{outcome.epoch:.1f} s" if outcome.epoch >= 10 else f"{outcome.epoch:.2f} s"
    return seconds if name == PEER else f"{seconds}  [bold]{outcome.ratio:.2f}x[/bold]"
