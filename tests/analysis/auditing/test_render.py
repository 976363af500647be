"""What an audit looks like: everything is there, nothing is loaded from elsewhere, no text can break a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from gnnlab.analysis.auditing import AuditReport, AuditTable, Finding, Picture, Section, render
from gnnlab.drawing import new_figure


def figure():
    drawn = new_figure(3, 2)
    drawn.subplots().plot([1, 2])
    return drawn


@pytest.fixture
def report() -> AuditReport:
    table = AuditTable(("measure", "mean | most"), (("nodes <n>", "17.9"), ("[bold]edges", "3")), "Read it `so`.")
    section = Section(
        "size",
        "Size & degrees",
        "How large?",
        ("One.", "Two, with `code`."),
        (table,),
        (Picture(figure, "Two <bars>"),),
    )
    findings = (
        Finding("limit", "There is a bound. It is <low>.", "accuracy 90 %", "Run this: `gnnlab audit mutag --html a`"),
        Finding("fine", "All is well.", "loops 0"),
    )
    return AuditReport("mutag", "All 188 graphs.", findings, (section,), {"size": 0.5})


def printed(report: AuditReport, **options) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(render.terminal(report, **options), crop=False)
    return capture.get()


def test_terminal(report) -> None:
    text = printed(report)
    assert re.search(r"■ Limit  There is a bound\. It is <low>\.", text)
    assert "● Fine" in text
    assert "\n           gnnlab audit mutag --html a\n" in re.sub(
        " +\n", "\n", text
    )  # a line to be copied, no backticks
    assert "limit: a bound on what can be reached; fine: nothing to do" in text
    assert "[bold]edges" in text  # text, not markup
    assert text.index("All is well.") < text.index("Size & degrees") < text.index("nodes <n>")
    assert "Measured in 0.5 s" in text


def test_brief_is_the_verdict_alone(report) -> None:
    text = printed(report, brief=True)
    assert "There is a bound." in text
    assert "Size & degrees" not in text


def test_markdown_and_its_pictures(report, tmp_path: Path) -> None:
    text = render.markdown(report, tmp_path / "pictures")
    assert "* **Limit: There is a bound.** It is <low>.\n  * Evidence: accuracy 90 %." in text
    assert "| measure | mean \\| most |" in text
    assert "![Two <bars>](pictures/size-1.png)" in text
    assert (tmp_path / "pictures" / "size-1.png").read_bytes().startswith(b"\x89PNG")
    assert "![" not in render.markdown(report)


class Page(HTMLParser):
    """Tags that are open, links, and everything a page would load."""

    void = ("meta", "img", "br", "!doctype", "dt", "dd")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.loads, self.links, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        values = dict(attrs)
        self.loads += [values[key] for key in ("src", "srcset", "data") if key in values]
        self.loads += [values["href"]] if tag == "link" else []
        self.links += [values["href"]] if tag == "a" else []
        self.ids += [values["id"]] if "id" in values else []
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_html_is_one_file(report) -> None:
    text = render.html(report)
    page = Page(text)
    assert page.open == []
    assert len(page.loads) == 1
    assert page.loads[0].startswith("data:image/png;base64,")
    assert [link.removeprefix("#") for link in page.links] == page.ids == ["size"]
    assert "url(" not in text
    assert "@import" not in text


def test_html_says_it_all_and_escapes(report) -> None:
    text = render.html(report)
    assert "<span class=standing>Limit</span>" in text  # the word, not the colour alone
    assert "<strong>There is a bound.</strong> It is &lt;low&gt;." in text
    assert "<code class=command>gnnlab audit mutag --html a</code>" in text
    assert "Two, with <code>code</code>." in text
    assert "nodes &lt;n&gt;" in text
    assert "Two &lt;bars&gt;" in text
    assert text.index("There is a bound") < text.index("What it rests on") < text.index("<h2>Size &amp; degrees")


def test_a_report_of_nothing(tmp_path: Path) -> None:
    empty = AuditReport("none", "No graphs.", (), (), {})
    assert Page(render.html(empty)).open == []
    assert render.markdown(empty).startswith("# Audit of none")
    assert "audit of none" in printed(empty)
