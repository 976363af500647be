"""From the reStructuredText of our docstrings to Markdown: roles, formulas, simple tables, lists."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["to_markdown"]

_RULER = re.compile(r"^\s*=+( +=+)+\s*$")
_ROLE = re.compile(r":(class|func|meth|mod|data|attr|exc):`(~?)([^`]+)`")
_MATH = re.compile(r":math:`([^`]+)`")
_DISPLAY = re.compile(r"^(\s*)\.\. math::\s*(.*)$")
_ITEM = re.compile(r"^\s*([*-]|\d+\.) ")
_PAPER = re.compile(r"\barXiv (\d{4}\.\d{4,5})")
_EXAMPLE = re.compile(r"^(\s*)Example:\s*$")
_SHAPES = re.compile(r"^(\s*)Shapes:\s*$")


def to_markdown(text: str, link: Callable[[str], str | None]) -> str:
    """The docstring ``text`` (without common indentation) as Markdown.

    Args:
        text: What the author wrote.
        link: Maps the target of a role to the identifier it is documented under, or None.
    """
    lines = _tables(_displays(_shapes(text.split("\n"))), link)
    lines = _separated(lines)
    # Doctests are code: roles do not occur in them, and everything else must stay as it is.
    return "\n".join(
        line if line.lstrip().startswith((">>>", "...")) else _inline(line, link) for line in _glued(lines)
    )


def _inline(line: str, link: Callable[[str], str | None]) -> str:
    line = _MATH.sub(lambda match: rf"\({match[1]}\)", line)
    line = _ROLE.sub(lambda match: _reference(match[2], match[3], link), line)
    return _PAPER.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", line)


def _reference(short: str, target: str, link: Callable[[str], str | None]) -> str:
    name = target.rpartition(".")[2] if short else target
    found = link(target)
    return f"`{name}`" if found is None else f"[`{name}`][{found}]"


def _glued(lines: list[str]) -> list[str]:
    """Roles that are broken over two lines in one piece."""
    result: list[str] = []
    for line in lines:
        if result and re.search(r":[a-z]+:`[^`]*$", result[-1]):
            result[-1] = f"{result[-1]} {line.lstrip()}"
        else:
            result.append(line)
    return result


def _displays(lines: list[str]) -> list[str]:
    """Math directives as blocks between ``\\[`` and ``\\]``."""
    result, place = [], 0
    while place < len(lines):
        match = _DISPLAY.match(lines[place])
        place += 1
        if match is None:
            result.append(_EXAMPLE.sub(r"\1Examples:", lines[place - 1]))
            continue
        indent, formula = match[1], [match[2]]
        while place < len(lines) and (not lines[place].strip() or _deeper(lines[place], indent)):
            if not lines[place].strip() and formula[-1] and not _continues(lines, place, indent):
                break
            formula.append(lines[place].strip())
            place += 1
        tex = " ".join(part for part in formula if part)
        if "&" in tex and r"\begin" not in tex:
            tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
        result += ["", rf"{indent}\[{tex}\]", ""]
    return result


def _shapes(lines: list[str]) -> list[str]:
    """The section on shapes as a paragraph or list below its name: no parser of docstrings knows it."""
    result, place = [], 0
    while place < len(lines):
        match = _SHAPES.match(lines[place])
        place += 1
        if match is None:
            result.append(lines[place - 1])
            continue
        result += [f"{match[1]}**Shapes:**", ""]
        while place < len(lines) and (not lines[place].strip() or _deeper(lines[place], match[1])):
            result.append(lines[place].replace("    ", "", 1))
            place += 1
    return result


def _deeper(line: str, indent: str) -> bool:
    return len(line) - len(line.lstrip()) > len(indent)


def _continues(lines: list[str], place: int, indent: str) -> bool:
    rest = next((line for line in lines[place:] if line.strip()), "")
    return bool(rest) and _deeper(rest, indent)


def _tables(lines: list[str], link: Callable[[str], str | None]) -> list[str]:
    """Simple tables as pipe tables; a row without a first cell continues the row above."""
    result, place = [], 0
    while place < len(lines):
        if not _RULER.match(lines[place]):
            result.append(lines[place])
            place += 1
            continue
        starts = [match.start() for match in re.finditer(r"=+", lines[place])]
        bounds = list(zip(starts, [*starts[1:], None], strict=True))
        indent, blocks = " " * starts[0], [[]]
        place += 1
        while place < len(lines) and lines[place].strip():
            if _RULER.match(lines[place]):
                blocks.append([])
            else:
                blocks[-1].append([lines[place][low:high].strip() for low, high in bounds])
            place += 1
        blocks = [block for block in blocks if block]
        header = blocks[0][0] if len(blocks) > 1 else [""] * len(bounds)
        rows = _joined(blocks[-1])
        cells = [[_cell(cell, link) for cell in row] for row in (header, *rows)]
        cells.insert(1, ["---"] * len(bounds))
        result += ["", *(f"{indent}| {' | '.join(row)} |" for row in cells), ""]
    return result


def _joined(rows: list[list[str]]) -> list[list[str]]:
    result: list[list[str]] = []
    for row in rows:
        if result and not row[0]:
            result[-1] = [f"{above} {below}".strip() for above, below in zip(result[-1], row, strict=True)]
        else:
            result.append(row)
    return result


def _cell(text: str, link: Callable[[str], str | None]) -> str:
    # A bar would end the cell, inside of a formula too, where a backslash before it means another sign.
    parts = re.split(r"(\\\(.*?\\\))", _inline(text, link))
    parts[1::2] = [part.replace(r"\|", r"\Vert ").replace("|", r"\vert ") for part in parts[1::2]]
    parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
    return "".join(parts)


def _separated(lines: list[str]) -> list[str]:
    """An empty line before every list: Markdown asks for one."""
    result: list[str] = []
    for line in lines:
        if _ITEM.match(line) and result and result[-1].strip() and not _in_list(result):
            result.append("")
        result.append(line)
    return result


def _in_list(lines: list[str]) -> bool:
    """Whether the paragraph that ends here belongs to a list, or is the heading of a section."""
    for line in reversed(lines):
        if not line.strip():
            return False
        if _ITEM.match(line):
            return True
    return False
