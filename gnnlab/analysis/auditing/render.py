"""An audit to read: in the terminal, as Markdown with its pictures beside it, and as one HTML page."""

from __future__ import annotations

import html as escaping
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gnnlab import pages
from gnnlab.analysis.auditing.report import AuditReport, AuditTable, Finding, Section
from gnnlab.analysis.auditing.verdict import ORDER

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["html", "markdown", "terminal"]

_WORDS = {"limit": "Limit", "look": "Look", "fine": "Fine", "unknown": "Open"}
_MEANING = {
    "limit": "a bound on what can be reached",
    "look": "worth an experiment",
    "fine": "nothing to do",
    "unknown": "not measured, or not to be known from the data",
}
_COLOURS = {"limit": "bold red", "look": "bold yellow", "fine": "bold green", "unknown": "bold bright_black"}
_MARKS = {"limit": "■", "look": "▲", "fine": "●", "unknown": "○"}

_INDENT = " " * 9

_CODE = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(r"\s*`(gnnlab [^`]+)`[.,;]?\s*")
"""Something to type; it gets a line of its own, without what punctuation follows it."""


def terminal(report: AuditReport, *, brief: bool = False) -> RenderableType:
    """For a rich console, printed with ``crop=False``: the verdict, then, unless ``brief``, all sections and tables."""
    from rich.console import Group
    from rich.rule import Rule
    from rich.text import Text

    parts: list[RenderableType] = [Rule(f"audit of {report.name}"), Text(report.subject), Text("")]
    for finding in report.findings:
        mark = Text(f"{_MARKS[finding.standing]} {_WORDS[finding.standing]:<6}", style=_COLOURS[finding.standing])
        headline, rest = _headline(finding.text)
        parts.append(_beside(mark, Text.assemble((headline, "bold"), f" {rest}" if rest else "")))
        parts += [each for line in _under(finding) for each in _coloured(line)]
        parts.append(Text(""))
    parts.append(Text(f"{_legend(report)}\n", style="dim"))
    for section in () if brief else report.sections:
        parts += [Rule(section.title, align="left"), Text(section.question, style="italic"), Text("")]
        parts += [Text(f"{paragraph}\n") for paragraph in section.text]
        parts += [each for table in section.tables for each in _rich_table(table)]
    return Group(*parts, Text(_effort(report), style="dim"))


def markdown(report: AuditReport, pictures: Path | None = None) -> str:
    """In Markdown.

    Args:
        report: The audit.
        pictures: Folder for the pictures, made if need be; the text expects it beside itself. ``None``: no pictures.
    """
    blocks = [f"# Audit of {report.name}", report.subject, "## Verdict"]
    for finding in report.findings:
        headline, rest = _headline(finding.text)
        lines = [f"* **{_WORDS[finding.standing]}: {headline}** {rest}".rstrip()]
        lines += [f"  * {line}" for line in _under(finding)]
        blocks.append("\n".join(lines))
    blocks.append(_legend(report))
    for section in report.sections:
        blocks += [f"## {section.title}", f"*{section.question}*", *section.text]
        for table in section.tables:
            blocks.append(pages.markdown_table(table.header, table.lines))
            blocks += [table.note] if table.note else []
        blocks += _saved(section, pictures) if pictures is not None else []
    return "\n\n".join([*blocks, _effort(report)]) + "\n"


def html(report: AuditReport) -> str:
    """One page with its pictures inside: the verdict, a table of contents, the sections."""
    parts = [f"<p class=lead>{_marked(report.subject)}</p>", "<section class=verdict><h2>Verdict</h2>"]
    parts += [f"<p class=note>{_html_legend(report)}</p><ol>"]
    parts += [_html_finding(finding) for finding in report.findings]
    links = (f'<a href="#{section.key}">{escaping.escape(section.title)}</a>' for section in report.sections)
    parts.append(f"</ol></section><nav><b>What it rests on</b>{''.join(links)}</nav>")
    parts += [part for section in report.sections for part in _html_section(section)]
    parts.append(f"<footer class=note>{escaping.escape(_effort(report))}</footer>")
    return pages.html_page(f"Audit of {report.name}", parts, style=_STYLE)


def _under(finding: Finding) -> list[str]:
    lines = [f"Evidence: {finding.evidence}."]
    return [*lines, f"Next: {finding.advice}"] if finding.advice else lines


def _headline(text: str) -> tuple[str, str]:
    """The first sentence, and the others."""
    first, stop, rest = text.partition(". ")
    return first + stop.rstrip(), rest


def _legend(report: AuditReport) -> str:
    used = {finding.standing for finding in report.findings}
    return "; ".join(f"{_WORDS[name].lower()}: {_MEANING[name]}" for name in ORDER if name in used)


def _effort(report: AuditReport) -> str:
    spent = ", ".join(f"{key} {seconds:.1f} s" for key, seconds in report.seconds.items())
    return f"Measured in {sum(report.seconds.values()):.1f} s: {spent}." if spent else ""


def _beside(mark: RenderableType, text: RenderableType) -> RenderableType:
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(mark, text)
    return grid


def _coloured(line: str) -> Iterator[RenderableType]:
    """Commands on lines of their own, never folded nor with their backticks: they are there to be copied."""
    from rich.padding import Padding
    from rich.text import Text

    head, _, rest = line.partition(" ")
    for number, part in enumerate(_COMMAND.split(rest)):
        if number % 2:
            yield Text(f"{_INDENT}  {part}", style="cyan", no_wrap=True, overflow="ignore")
            continue
        text = Text(f"{head} " if not number else "", style="dim")
        for position, piece in enumerate(_CODE.split(part)):
            text.append(piece, style="cyan" if position % 2 else "dim" if head == "Evidence:" else "not dim")
        if text:
            yield Padding(text, (0, 0, 0, len(_INDENT)))


def _rich_table(table: AuditTable) -> Iterator[RenderableType]:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD)
    for position, name in enumerate(table.header):
        shown.add_column(Text(name), justify="right" if position else "left")
    for line in table.lines:
        shown.add_row(*(Text(cell) for cell in line))
    yield shown
    if table.note:
        yield Text(f"{table.note}\n", style="dim")


def _saved(section: Section, folder: Path) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for count, picture in enumerate(section.pictures, start=1):
        name = f"{section.key}-{count}.png"
        picture.draw().savefig(folder / name, dpi=130)
        yield f"![{picture.text}]({folder.name}/{name})"


def _html_finding(finding: Finding) -> str:
    name, word = finding.standing, _WORDS[finding.standing]
    headline, rest = (_marked(part) for part in _headline(finding.text))
    lines = [("Evidence", f"{finding.evidence}.")] + ([("Next", finding.advice)] if finding.advice else [])
    under = "".join(f"<dt>{head}<dd>{_marked(text)}" for head, text in lines)
    said = f"<p><strong>{headline}</strong> {rest}</p><dl>{under}</dl>"
    return f"<li class={name}><span class=standing>{word}</span><div>{said}</div></li>"


def _html_legend(report: AuditReport) -> str:
    used = {finding.standing for finding in report.findings}
    return " ".join(f"<b class={name}>{_WORDS[name]}</b> {_MEANING[name]}." for name in ORDER if name in used)


def _html_section(section: Section) -> Iterator[str]:
    yield f"<section id={section.key}><h2>{escaping.escape(section.title)}</h2>"
    yield f"<p class=question>{_marked(section.question)}</p>"
    yield from (f"<p>{_marked(paragraph)}</p>" for paragraph in section.text)
    for table in section.tables:
        yield pages.html_table(table.header, table.lines)
        if table.note:
            yield f"<p class=note>{_marked(table.note)}</p>"
    for picture in section.pictures:
        caption = f"<figcaption class=note>{_marked(picture.text)}</figcaption>"
        yield f"<figure>{pages.html_image(picture.draw(), picture.text)}{caption}</figure>"
    yield "</section>"


def _marked(text: str) -> str:
    """Escaped, with what is between backticks as code."""
    text = _COMMAND.sub(r"<code class=command>\1</code>", escaping.escape(text, quote=False))
    return _CODE.sub(r"<code>\1</code>", text)


_STYLE = """
.lead { font-size: 1.05rem; color: #52606d; margin-top: -.4rem }
.limit { --tone: #b42318; --faint: #fef3f2 } .look { --tone: #b54708; --faint: #fffaeb }
.fine { --tone: #067647; --faint: #ecfdf3 } .unknown { --tone: #475467; --faint: #f5f6f8 }
.verdict ol { list-style: none; padding: 0; margin: 1rem 0 }
.verdict li { display: grid; grid-template-columns: 4.5rem 1fr; gap: 1rem; padding: .9rem 1.1rem; margin: .6rem 0;
              background: var(--faint); border-left: 5px solid var(--tone); border-radius: 4px }
.standing { color: #fff; background: var(--tone); border-radius: 1rem; padding: .1rem 0; font-size: .85rem;
            font-weight: 700; text-align: center; align-self: start; margin-top: .15rem }
.note b { color: var(--tone, inherit); margin-left: .6rem } .note b:first-child { margin-left: 0 }
li p { margin: 0 0 .5rem; max-width: 54rem }
dl { display: grid; grid-template-columns: 4.6rem 1fr; gap: .3rem .4rem; margin: 0; font-size: .93rem; color: #3e4c59 }
dt { color: #616e7c; font-weight: 600 } dd { margin: 0; min-width: 0; max-width: 54rem }
code { font: .86em ui-monospace, Menlo, Consolas, monospace; background: #fff; border: 1px solid #e4e7eb;
       border-radius: 3px; padding: .05rem .3rem; overflow-wrap: anywhere; box-decoration-break: clone }
.command { display: block; margin: .3rem 0; padding: .25rem .6rem; width: fit-content; max-width: 100%;
           box-sizing: border-box; white-space: nowrap; overflow-x: auto; font-size: .8em; scrollbar-width: thin }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: .8rem 0; margin: 1.6rem 0;
      border: solid #e4e7eb; border-width: 1px 0 }
nav a, a { color: #0072B2; text-decoration: none } nav a:hover { text-decoration: underline }
section > p { max-width: 48rem } .question { font-style: italic; color: #52606d; font-size: 1.05rem }
figure { margin: 1rem 0 } table + table { margin-top: 1.2rem } section h2 { font-size: 1.3rem; margin-top: 3.2rem }
footer { margin-top: 3rem; border-top: 1px solid #e4e7eb; padding-top: .8rem }
"""
