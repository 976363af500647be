"""Live progress of many runs: a bar where there is a terminal, one line per finished run everywhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gnnlab.benchmark import _format
from gnnlab.benchmark.record import Record
from gnnlab.benchmark.reproduce import Job

__all__ = ["RunProgress"]


class RunProgress:
    """Progress over the runs, and over the epochs of the present one.

    Args:
        console: Where it is shown.
        total: Number of runs.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total, self.done = console, total, 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[state]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._runs = self._bars.add_task("runs", total=total, state="")
        self._epochs = self._bars.add_task("epochs", total=1, visible=False, state="")

    def __enter__(self) -> RunProgress:
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def started(self, job: Job) -> None:
        self._bars.update(self._runs, state=f"{job.experiment} {job.label}")

    def epoch(self, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        """The listener of a run's epochs."""
        shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items() if name.startswith("val/"))
        self._bars.update(self._epochs, completed=epoch + 1, total=epochs, visible=True, state=shown)

    def finished(self, job: Job, record: Record, fresh: bool) -> None:
        """One line; ``fresh`` is false for a run that was finished before."""
        self.done += 1
        self._bars.update(self._runs, completed=self.done)
        self._bars.update(self._epochs, visible=False)
        curve, scale = record.validation, record.scale
        best = curve[record.best_epoch] if 0 <= record.best_epoch < len(curve) else None
        digits = 2 if scale == 100 else 4
        parts = [("val", best), ("test", record.test)]
        numbers = "  ".join(f"{name} {value * scale:.{digits}f}" for name, value in parts if value is not None)
        effort = _format.duration(record.wall_time) if fresh else "finished before"
        line = f"[{self.done}/{self.total}] {job.experiment} {job.label}  {record.metric}: {numbers}"
        # No markup: the counter's brackets are not a style.
        self.console.print(f"{line}  ({effort})", markup=False, highlight=False, soft_wrap=True)
