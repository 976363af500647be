"""``gnnlab bench ops``: aggregation kernels against the same operations in other packages, and against the copy
bandwidth of the device. Every candidate is compared with float64 first; one that is wrong is named, not timed."""

from __future__ import annotations

import argparse
import gc
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from gnnlab.benchmark.speed._operations import OPERATIONS, heads
from gnnlab.benchmark.speed._options import Options, one_of, positive
from gnnlab.benchmark.speed._outcome import TOLERANCE, Outcome
from gnnlab.benchmark.speed._peers import PEERS, why_absent
from gnnlab.benchmark.speed._rows import Row, free_memory, measure_row
from gnnlab.benchmark.speed._shapes import EVERYDAY, SHAPES, SIZES, Shape, make_shape
from gnnlab.benchmark.speed.measure import print_table, write
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.ops import backend_report

__all__ = ["DTYPES", "main", "measure", "present_peers", "show_rows", "tolerances"]

DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in TOLERANCE}
"""Name on the command line -> dtype."""

_GRAPH_BYTES = 64  # per edge: the plain edges, both compressed directions, and what sorting them takes


def main(argv: list[str]) -> int:
    """Print (and with ``--output`` save) the table; returns 1 if ours was wrong or failed."""
    options = _parser().parse_args(argv)
    device = _device(options.device)
    present, notes = present_peers(options.peer, device)
    backends = [status.name for status in backend_report() if status.name != "reference"] if options.backends else []
    settings = {
        "peers": {name: PEERS[name] for name in present},
        "backends": backends,
        "both": options.direction == "both",
        "rounds": options.rounds,
        "seed": options.seed,
    }
    rows: list[Row] = []
    try:
        for shape, refused in _shapes(options.shape, device, options.seed, options.generated):
            notes.append(refused or f"{shape.name}: {shape.note}, {shape.num_nodes:,} nodes, {shape.num_edges:,} edges")
            for op, width, dtype in _work(options) if shape else ():
                row = measure(shape, op, width, DTYPES[dtype], notes, **settings)
                rows += [row] if row else []
    finally:  # whoever stops a long run keeps what it has
        show_rows(rows, [*present, *(f"gnnlab:{name}" for name in backends)], notes)
        if options.output:
            facts = {"seed": options.seed, "tolerance": tolerances(), "notes": notes}
            write(options.output, rows, shlex.join(["gnnlab", "bench", "ops", *argv]), **facts)
    return int(any(row.ours.verdict != "ok" for row in rows))


def measure(shape: Shape, op: str, width: int, dtype: torch.dtype, notes: list[str], **settings: Any) -> Row | None:
    """One row by :func:`measure_row`; what was refused or wrong is added to the notes."""
    where = f"{shape.name} {op} {width} {str(dtype).removeprefix('torch.')}"
    print(where, file=sys.stderr, flush=True)
    try:
        row = measure_row(shape, op, width, dtype, **settings)
    except BudgetError as error:
        notes.append(f"{where}: {error.what} ({error.hint})")
        return None
    finally:
        gc.collect()  # autograd and candidates hold tensors in cycles
    outcomes = {"gnnlab": row.ours, **row.others}
    notes += [f"{where}: {name} {each.verdict}: {each.why}" for name, each in outcomes.items() if each.why]
    return row


def show_rows(rows: Sequence[Row], others: Sequence[str], notes: Sequence[str]) -> None:
    """The table: ours in milliseconds, its part of the floor, and per peer how many times longer it takes."""
    others = [name for name in others if any(name in row.others for row in rows)]
    same = [name for name in ("dtype", "direction", "device") if len({getattr(row, name) for row in rows}) == 1]
    facts = [name for name in ("shape", "op", "width", "dtype", "direction", "device", "backend") if name not in same]
    common = ", ".join([*(f"{getattr(rows[0], name)}" for name in same), f"{torch.get_num_threads()} threads"])
    table = Table(title=f"gnnlab bench ops ({common}); ratios: time of the peer / ours", title_justify="left")
    for heading in (*facts, "gnnlab ms", "of floor", *others):
        table.add_column(
            {"width": "F", "direction": "pass"}.get(heading, heading),
            justify="left" if heading in ("shape", "op") else "right",
        )
    for row in rows:
        fraction = "" if row.floor_fraction is None else f"{row.floor_fraction:.2f}"
        ratios = [_ratio(row.others.get(name)) for name in others]
        table.add_row(*(str(getattr(row, name)) for name in facts), _milliseconds(row.ours), fraction, *ratios)
    print_table(table, notes)


def _parser() -> Options:
    parser = Options(prog="gnnlab bench ops", description=__doc__)
    add = parser.add_argument
    add("--op", nargs="+", type=one_of("op", OPERATIONS), default=list(OPERATIONS), help="default: all")
    add("--shape", nargs="+", type=one_of("shape", SHAPES), default=list(EVERYDAY), help=f"of {', '.join(SHAPES)}")
    add("--width", nargs="+", type=positive, default=[128], help="features, such as 64 128 256 (default: 128)")
    add("--dtype", nargs="+", type=one_of("dtype", DTYPES), default=["float32"], help=f"of {', '.join(DTYPES)}")
    add("--device", type=one_of("device", ("cpu", "cuda")), default="cpu", help="cpu or cuda (default: cpu)")
    add("--pass", dest="direction", type=one_of("pass", ("forward", "both")), default="both", help="forward or both")
    add("--rounds", type=positive, default=7, help="turns of every candidate; medians are reported")
    add("--peer", nargs="*", type=one_of("peer", PEERS), default=list(PEERS), help=f"of {', '.join(PEERS)}")
    add("--backends", action="store_true", help="time every backend by itself, too")
    add("--generated", action="store_true", help="generated molecules even where the datasets are at hand")
    add("--seed", type=int, default=0, help="seed of graphs and features")
    add("--output", "--json", type=Path, help="write the figures, hardware and versions to this file")
    return parser


def _device(name: str) -> str:
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device here", where="--device")
    return name


def present_peers(wanted: Iterable[str], device: str) -> tuple[list[str], list[str]]:
    """The peers that can run, and a line for each that cannot."""
    reasons = {name: why_absent(name, device) for name in wanted}
    absent = {name: why for name, why in reasons.items() if why}
    return [name for name in reasons if name not in absent], [f"{name}: {why}" for name, why in absent.items()]


def _shapes(names: Sequence[str], device: str, seed: int, generated: bool) -> Iterator[tuple[Shape | None, str]]:
    """Graphs on the device, or why one is not made, one at a time."""
    for name in names:
        need, free = _GRAPH_BYTES * SIZES[name][1], min(map(free_memory, {"cpu", torch.device(device).type}))
        if need > free:
            yield None, f"{name}: the graph takes about {need / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
        else:
            yield make_shape(name, seed, generated).to(device), ""


def _work(options: argparse.Namespace) -> Iterator[tuple[str, int, str]]:
    """Operation, width and dtype of every row."""
    for op in options.op:
        widths = [heads(options.width[0])] if op == "softmax" else options.width
        yield from ((op, width, dtype) for width in widths for dtype in options.dtype)


def tolerances() -> dict[str, float]:
    """Differences from the reference that pass, by name of the dtype."""
    return {name: TOLERANCE[dtype] for name, dtype in DTYPES.items()}


def _milliseconds(outcome: Outcome) -> str:
    return outcome.verdict if outcome.seconds is None else f"{1e3 * outcome.seconds:.3f}"


def _ratio(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    return outcome.verdict if outcome.ratio is None else f"{outcome.ratio:.2f}x"
