"""Tables of what networks tell apart, from the rows ``gnnlab bench expressiveness`` writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.table import Table

from gnnlab.pages import markdown_table

__all__ = ["KIND", "LEGEND", "markdown", "tables"]

KIND = "expressiveness"
"""What the file of rows calls itself."""

LEGEND = (
    "a/b: told apart with random weights / by the refinement that bounds the network; unstable: graphs told apart from "
    "a renumbered copy, which do not count; violations: told apart though the bound says no weights do; clear by: "
    "factor between the limit and the nearest difference"
)

_MOST_COLUMNS = 7
"""Categories beyond these are not shown."""


def tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """One table for every set and way of comparing."""
    result = []
    for title, header, lines in _parts(rows):
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left", no_wrap=not number)
        for line in lines:
            table.add_row(*line)
        result.append(table)
    return result


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The same tables in Markdown."""
    blocks = []
    for title, header, lines in _parts(rows):
        flat = [[cell.replace("\n", " ") for cell in line] for line in (header, *lines)]
        blocks.append(f"## {title}\n\n{markdown_table(flat[0], flat[1:])}")
    return "\n\n".join([*blocks, LEGEND]) + "\n"


def _parts(rows: Sequence[dict[str, Any]]) -> Iterable[tuple[str, list[str], list[list[str]]]]:
    tables: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:  # parts of a set of different sizes have tables of their own
        tables.setdefault((row["set"], row["weights"], *row["groups"].items()), []).append(row)
    for (name, weights, *_), chosen in tables.items():
        sizes = chosen[0]["groups"]
        names = list(sizes) if 1 < len(sizes) <= _MOST_COLUMNS else []
        total = "pairs" if chosen[0]["paired"] else "graphs, classes"
        header = ["network", *(f"{kind}\n{sizes[kind]}" for kind in names), f"{total}\n{sum(sizes.values())}"]
        header += _ENDS[weights][0]
        lines = [[row["model"], *_counts(row, names), *_ENDS[weights][1](row)] for row in chosen]
        yield f"{name}, {weights} weights", header, lines


def _counts(row: dict[str, Any], names: list[str]) -> list[str]:
    found, exact = row["found"], row.get("exact")
    pairs = [(found[name], exact and exact[name]) for name in names]
    pairs.append((sum(found.values()), exact and sum(exact.values())))
    return [str(a) if b is None else f"{a}/{b}" for a, b in pairs]


def _random_end(row: dict[str, Any]) -> list[str]:
    factors = [row["cut"]] if row["cut"] is not None else []
    factors += [1 / row["joined"]] if row["joined"] else []
    clear = f"{min(factors):.0e}" if factors else "exact"
    return [str(row["unstable"]), str(row["violations"]), clear, f"{row['seconds']:.1f}"]


def _trained_end(row: dict[str, Any]) -> list[str]:
    return [str(row["hotelling"]), str(row["unreliable"]), str(row["seed"]), f"{row['seconds']:.0f}"]


_ENDS = {
    "random": (["unstable", "violations", "clear by", "s"], _random_end),
    "trained": (["by Hotelling's", "unreliable", "seed", "s"], _trained_end),
}
