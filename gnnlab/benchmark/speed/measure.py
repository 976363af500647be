"""Candidates timed in turns within one process, so that a busy machine is unfair to all alike."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from gnnlab.benchmark.provenance import commit, hardware, now, versions

__all__ = ["Comparison", "compare", "show", "write"]


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
    candidates = (ours, theirs)
    for candidate in candidates:
        candidate()
    times = [[_seconds(candidate) for candidate in candidates] for _ in range(rounds)]
    mine, other = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(second / first for first, second in times)
    return Comparison(what, peer, mine, other, ratio, goal, detail=detail)


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
    console = Console()
    # A file or a pipe has no width of its own; eighty columns would fold every cell.
    (console if console.is_terminal else Console(width=140)).print(table)


def write(path: str | Path, rows: list[Comparison], command: str) -> None:
    """Save the comparisons with hardware, versions and the command, as JSON."""
    content: Mapping[str, Any] = {
        "command": command,
        "date": now(),
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
        "rows": [asdict(row) for row in rows],
    }
    Path(path).write_text(json.dumps(content, indent=1) + "\n")


def _seconds(candidate: Callable[[], Any]) -> float:
    start = time.perf_counter()
    candidate()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _readable(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value / 2**20:.1f} MiB"
    scale, name = next(((s, n) for s, n in ((1.0, "s"), (1e-3, "ms")) if value >= s), (1e-6, "us"))
    return f"{value / scale:.2f} {name}"
