"""Progress bars of long work at the data border, on standard error, shown only where somebody asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, track

__all__ = ["DownloadBar", "progress_shown", "tracked"]

T = TypeVar("T")

_shown: ContextVar[bool] = ContextVar("gnnlab_progress_shown", default=False)


@contextmanager
def progress_shown(shown: bool) -> Iterator[None]:
    """Whether readers and downloads inside the block show their progress."""
    token = _shown.set(shown)
    try:
        yield
    finally:
        _shown.reset(token)


def tracked(items: Iterable[T], description: str, total: int) -> Iterable[T]:
    """``items``, with a bar where progress is shown."""
    if not _shown.get():
        return items
    return track(items, description, total, console=Console(stderr=True), transient=True)


class DownloadBar:
    """The bar of one download, with the four members pooch asks of a progress bar."""

    def __init__(self, description: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not _shown.get())
        self._task = self._progress.add_task(description, total=None)
        self._progress.start()

    @property
    def total(self) -> float | None:
        return self._progress.tasks[self._task].total

    @total.setter
    def total(self, size: int) -> None:
        self._progress.update(self._task, total=size or None)

    def update(self, size: int) -> None:
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop()
