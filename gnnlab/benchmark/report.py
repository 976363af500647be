"""Reports from records: terminal table, Markdown, a picture, and a self-contained HTML page."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gnnlab import pages
from gnnlab.benchmark import _format
from gnnlab.benchmark.comparison import Row

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["html_page", "markdown", "suites", "terminal_tables", "write_report"]


def suites(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by suite (dataset), in the order they come."""
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.suite].append(row)
    return dict(grouped)


def terminal_tables(rows: Sequence[Row]) -> list[Table]:
    """One rich table per suite; notes as its caption."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    tables = []
    for suite, group in suites(rows).items():
        header, lines = _format.table(group)
        notes, marks = _footnotes(group)
        title = f"{suite}: {_format.metric_title(group[0])}"
        table = Table(
            title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, caption_justify="left"
        )
        for name in header:
            table.add_column(name, justify="left" if name in ("model", "verdict") else "right")
        for line, mark in zip(lines, marks, strict=True):
            # Text, not markup: an interval's brackets are not a style.
            table.add_row(*(Text(cell) for cell in (line[0] + mark, *line[1:])))
        table.caption = Text("\n".join(notes)) if notes else None
        tables.append(table)
    return tables


def markdown(rows: Sequence[Row]) -> str:
    """The same tables in Markdown, with sources."""
    blocks = []
    for suite, group in suites(rows).items():
        header, lines = _format.table(group)
        notes, marks = _footnotes(group)
        marked = [[line[0] + mark, *line[1:]] for line, mark in zip(lines, marks, strict=True)]
        block = [f"## {suite}: {_format.metric_title(group[0])}", "", pages.markdown_table(header, marked)]
        extra = [*notes, *_sources(group)]
        blocks.append("\n".join(block + ([""] + [f"* {note}" for note in extra] if extra else [])))
    return "\n\n".join(blocks) + "\n"


def html_page(rows: Sequence[Row], title: str = "gnnlab report") -> str:
    """One file with tables, points and learning curves; nothing is loaded from elsewhere."""
    from gnnlab.benchmark.figure import comparison_figure, curves_figure

    parts = []
    for suite, group in suites(rows).items():
        header, lines = _format.table(group)
        notes, marks = _footnotes(group)
        parts.append(f"<h2>{html.escape(suite)}: {html.escape(_format.metric_title(group[0]))}</h2>")
        parts.append(pages.html_table(header, [[line[0] + m, *line[1:]] for line, m in zip(lines, marks, strict=True)]))
        parts.append("".join(f"<p class=note>{html.escape(note)}</p>" for note in [*notes, *_sources(group)]))
        parts.append(pages.html_image(comparison_figure(group), f"results on {suite}"))
        parts.append(pages.html_image(curves_figure(group), f"learning curves on {suite}"))
    return pages.html_page(title, parts)


def write_report(rows: Sequence[Row], folder: Path, title: str = "gnnlab report") -> list[Path]:
    """Write ``report.png``, ``report.md`` and ``report.html`` into a folder; returns their paths."""
    from gnnlab.benchmark.figure import comparison_figure

    folder.mkdir(parents=True, exist_ok=True)
    picture, text, page = (folder / f"report.{kind}" for kind in ("png", "md", "html"))
    comparison_figure(rows, title).savefig(picture, dpi=160)
    text.write_text(f"# {title}\n\n{markdown(rows)}", encoding="utf-8")
    page.write_text(html_page(rows, title), encoding="utf-8")
    return [picture, text, page]


def _footnotes(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Distinct notes, numbered, and the marks of every row."""
    known: dict[str, int] = {}
    marks = []
    for row in rows:
        numbers = sorted(known.setdefault(note, len(known) + 1) for note in row.notes)
        marks.append(" " + " ".join(f"({n})" for n in numbers) if numbers else "")
    return [f"({number}) {note}" for note, number in known.items()], marks


def _sources(rows: Sequence[Row]) -> list[str]:
    sources = []
    for row in rows:
        published = row.spec.published
        if published is not None and published.source:
            doubt = "" if published.verified else " (unverified)"
            sources.append(f"{row.label}: published by {published.source}{doubt}")
        for other in row.spec.others or []:
            number = f"{other.mean:g}" + ("" if other.std is None else f" ± {other.std:g}") + _format.remark(other)
            sources.append(f"{row.label}: also {other.metric} {number}, {other.source}{_dash(other.note)}")
    return list(dict.fromkeys(sources))


def _dash(note: str) -> str:
    return f" ({note})" if note else ""
