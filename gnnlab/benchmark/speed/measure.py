"""Candidates timed in turns within one process, so that a busy machine is unfair to all alike."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from gnnlab.benchmark.provenance import commit, hardware, now, versions
from gnnlab.graph._lapack import single_threaded_blas

__all__ = ["Comparison", "compare", "copying", "in_one_thread", "interleave", "print_table", "ratio", "show", "write"]

_MOST_REPEATS = 200
_FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Comparison:
    """One measurement of ours beside the same work done by a peer.

    Args:
        what: The work.
        peer: Who else did it.
        ours: Median seconds (or bytes) of gnnlab.
        theirs: Median seconds (or bytes) of the peer.
        ratio: Median over rounds of theirs / ours: larger is better for gnnlab.
        goal: Ratio to reach, if one was set.
        unit: ``s`` or ``B``.
        detail: Size of the work.
    """

    what: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    goal: float | None = None
    unit: str = "s"
    detail: str = ""


def compare(
    what: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any],
    peer: str,
    *,
    rounds: int = 5,
    goal: float | None = None,
    detail: str = "",
) -> Comparison:
    """Run both in turns after one warm-up each; the ratio is the median of the per-round ratios."""
    times = interleave({"ours": ours, "theirs": theirs}, rounds)
    mine, other = (statistics.median(column) for column in times.values())
    return Comparison(what, peer, mine, other, ratio(times["theirs"], times["ours"]), goal, detail=detail)


def interleave(
    candidates: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    device: str = "cpu",
    least: float = 0.0,
    limit: float = math.inf,
) -> dict[str, list[float]]:
    """Seconds per call of every candidate, one per round; every other round runs them backwards.

    Args:
        candidates: Name -> the work.
        rounds: Times every candidate has its turn, after a warm-up.
        device: Where the work runs: a GPU is timed by its own events.
        least: Seconds a turn should last: short work is repeated, so that the clock can see it.
        limit: Seconds after which no further round begins, three excepted.
    """
    timed = _cuda_seconds if torch.device(device).type == "cuda" else _seconds
    repeats = dict.fromkeys(candidates, 1)
    for name, candidate in candidates.items():
        if timed(candidate, 1) < least:
            repeats[name] = max(1, min(_MOST_REPEATS, round(least / max(timed(candidate, 1), 1e-9))))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    start = time.monotonic()
    for turn in range(rounds):
        if turn >= _FEWEST_ROUNDS and time.monotonic() - start > limit:
            break
        for name in candidates if turn % 2 == 0 else reversed(candidates):
            times[name].append(timed(candidates[name], repeats[name]))
    return times


def in_one_thread(calls: Sequence[Callable[[], Any]]) -> None:
    """Make the calls one after the other while torch and BLAS have one thread: small matrices lose to more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with single_threaded_blas():
            for call in calls:
                call()
    finally:
        torch.set_num_threads(threads)


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Median of the per-round ratios: what a slow moment does to both alike cancels."""
    return statistics.median(other / mine for other, mine in zip(theirs, ours, strict=True))


def copying(device: str, size: int | None = None) -> tuple[Callable[[], Any], int]:
    """A plain copy on the device and the bytes it moves (read and written), too large for any cache."""
    size = size or (2**30 if torch.device(device).type == "cuda" else 2**27)
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source), 2 * source.nbytes


def show(title: str, rows: list[Comparison]) -> None:
    """Print the comparisons as a table."""
    table = Table(title=title, title_justify="left")
    for heading in ("what", "gnnlab", "peer", "", "ratio", "goal"):
        table.add_column(heading, justify="left" if heading in ("what", "") else "right")
    for row in rows:
        goal = "" if row.goal is None else f">= {row.goal:.3g}"
        what = f"{row.what}\n[dim]{row.detail}[/dim]" if row.detail else row.what
        cells = (_readable(row.ours, row.unit), _readable(row.theirs, row.unit), row.peer)
        table.add_row(what, *cells, f"[bold]{row.ratio:.2f}x[/bold]", goal)
    print_table(table)


def print_table(table: Table, notes: Sequence[str] = ()) -> None:
    """Print a table and the lines below it."""
    console = Console()
    if not console.is_terminal:
        # A file or a pipe has no width of its own; eighty columns would fold every cell.
        console = Console(width=max(140, Console(width=1000).measure(table).maximum))
    console.print(table)
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def write(path: str | Path, rows: Sequence[Any], command: str, **facts: Any) -> None:
    """Save the rows (dataclasses) with hardware, versions, the command and further facts, as JSON."""
    content: Mapping[str, Any] = {
        "command": command,
        "date": now(),
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
        **facts,
        "rows": [asdict(row) for row in rows],
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def _seconds(candidate: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        candidate()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def _cuda_seconds(candidate: Callable[[], Any], repeats: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(repeats):
        candidate()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / repeats


def _readable(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value / 2**20:.1f} MiB"
    scale, name = next(((s, n) for s, n in ((1.0, "s"), (1e-3, "ms")) if value >= s), (1e-6, "us"))
    return f"{value / scale:.2f} {name}"
