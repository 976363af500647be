"""Tables and pages: Markdown, and HTML in one file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["html_image", "html_page", "html_table", "markdown_table"]


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A pipe table; bars inside cells are escaped."""
    return "\n".join(_pipe(cells) for cells in (header, ["---"] * len(header), *lines))


def html_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers; cells are escaped."""
    return "<table>" + _tr("th", header) + "".join(_tr("td", line) for line in lines) + "</table>"


def html_image(figure: Figure, text: str) -> str:
    """A picture inside the page, with ``text`` for those who cannot see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


def html_page(title: str, parts: Iterable[str], style: str = "") -> str:
    """A page with its title as heading; ``parts`` are HTML, ``style`` is CSS of their own."""
    name = html.escape(title)
    view = '<meta name=viewport content="width=device-width, initial-scale=1">'
    sheet = f"<style>{_STYLE}{style}</style>"
    head = f"<!doctype html><html lang=en><meta charset=utf-8>{view}<title>{name}</title>{sheet}"
    return f"{head}<h1>{name}</h1>{''.join(parts)}</html>\n"


def _pipe(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _tr(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 68rem;
       margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { text-align: right; padding: .35rem .9rem; border-bottom: 1px solid #e4e7eb; white-space: nowrap }
th { color: #616e7c; font-weight: 600 } th:first-child, td:first-child { text-align: left }
.note { color: #616e7c; margin: .3rem 0; font-size: .9rem } img { max-width: 100%; margin-top: 1rem }
"""
