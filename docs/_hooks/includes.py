"""MkDocs hook: pages take text and tables from README.md, so that a figure is written down once.

``<!-- readme: Section -->`` stands for a section, ``<!-- readme: Section: some words -->`` for the first paragraph,
table or code block of it that contains the words.
"""

from __future__ import annotations

import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any

from _rooms import documented, load_package
from mkdocs.exceptions import PluginError

__all__ = ["blocks", "on_nav", "on_page_markdown", "section"]

_README = Path(__file__).resolve().parents[2] / "README.md"
_DIRECTIVE = re.compile(r"^<!-- readme: ([^:\n]+?)(?:: ([^\n]+?))? -->$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)]+)")
_NAME = re.compile(r"(?<![`\w])`([A-Za-z_][\w.]*)`(?!`)")
_TELLING = re.compile(r"[A-Z_].")
_PAPER = re.compile(r"(?<!\[)\barXiv (\d{4}\.\d{4,5})")

# What README.md links to, and where the site shows it.
_PLACES = (
    (re.compile(r"^docs/measurements/(.+)\.json$"), r"benchmarks/\1.md"),
    (re.compile(r"^experiments/results/(.+)\.csv$"), r"benchmarks/results.md#\1"),
    (re.compile(r"^experiments/results$"), "benchmarks/results.md"),
    (re.compile(r"^notebooks/(.+)\.ipynb$"), r"notebooks/\1.ipynb"),
    (re.compile(r"^notebooks/?$"), "notebooks/index.md"),
    (re.compile(r"^docs/(.+)$"), r"\1"),
)


def on_page_markdown(markdown: str, *, page: Any, **kwargs: Any) -> str:
    def included(match: re.Match[str]) -> str:
        text = section(match[1], page.file.src_uri)
        if match[2]:
            found = [block for block in blocks(text) if match[2] in block]
            if not found:
                raise PluginError(f"{page.file.src_uri}: section '{match[1]}' of README.md has no '{match[2]}'")
            text = found[0]
        # A figure and its spread stay on one line.
        text = text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
        return _LINK.sub(lambda link: _moved(link[1], page.file.src_uri), text)

    text = _linked(_DIRECTIVE.sub(included, markdown))
    if not page.file.src_uri.startswith("reference/"):
        text = _named(text)
        if not re.search(r"^## ", text, re.MULTILINE):
            page.meta["hide"] = [*page.meta.get("hide", ()), "toc"]  # there is nothing to list
    return text


def on_nav(nav: Any, *, files: Any, **kwargs: Any) -> Any:
    """The lists the navigation was read from are no pages."""
    for file in [file for file in files if file.src_uri.endswith("SUMMARY.md")]:
        files.remove(file)
    return nav


def section(title: str, where: str) -> str:
    """The body of a section of README.md; ``Top`` is what comes before the first."""
    parts = re.split(r"^#{1,2} (.+)$", _README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {"Top": parts[2], **dict(zip(parts[3::2], parts[4::2], strict=True))}
    if title not in sections:
        raise PluginError(f"{where}: README.md has no section '{title}'; it has: {', '.join(sections)}")
    return sections[title].strip()


def blocks(text: str) -> list[str]:
    """Paragraphs, tables and code blocks."""
    return [block.strip() for block in re.split(r"(```.*?```)|\n\n", text, flags=re.DOTALL) if block and block.strip()]


def _named(markdown: str) -> str:
    """Names in code letters as links to the reference, where a name has one meaning."""
    parts = re.split(r"(```.*?```|^#.*?$|\[[^\]]*\][\[(])", markdown, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [_NAME.sub(lambda match: _reference(match[1]), part) for part in parts[::2]]
    return "".join(parts)


def _reference(name: str) -> str:
    identifier = _identifiers().get(name)
    return f"`{name}`" if identifier is None else f"[`{name}`][{identifier}]"


@cache
def _identifiers() -> dict[str, str]:
    """Dotted paths, and last names that only one thing has and that are no ordinary words."""
    places = set(documented(load_package()).values())
    by_name: dict[str, list[str]] = {}
    for place in places:
        by_name.setdefault(place.rpartition(".")[2], []).append(place)
    short = {name: found[0] for name, found in by_name.items() if len(found) == 1 and _TELLING.search(name)}
    return {place: place for place in places} | short


def _moved(target: str, page: str) -> str:
    for pattern, place in _PLACES:
        if pattern.match(target):
            return posixpath.relpath(pattern.sub(place, target), posixpath.dirname(page) or ".")
    raise PluginError(f"{page}: README.md links to '{target}', which the site does not show")


def _linked(markdown: str) -> str:
    """Papers as links, outside of code."""
    parts = re.split(r"(```.*?```)", markdown, flags=re.DOTALL)
    parts[::2] = [_PAPER.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", part) for part in parts[::2]]
    return "".join(parts)
