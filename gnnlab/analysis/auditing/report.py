"""What an audit says: sections of facts with their pictures, and findings with their evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AuditReport", "AuditTable", "Finding", "Picture", "Section"]

Standing = Literal["fine", "look", "limit", "unknown"]


@dataclass(frozen=True)
class AuditTable:
    """A table of text; the first column names the row.

    Args:
        header: Titles of the columns.
        lines: Cells, as printed.
        note: What a reader has to know to read it.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture that is drawn when it is asked for.

    Args:
        draw: Makes the figure.
        text: What is to be seen, for those who cannot see it.
    """

    draw: Callable[[], Figure]
    text: str


@dataclass(frozen=True)
class Section:
    """One question about the data and what was measured to answer it.

    Args:
        key: Short name: ``size``, ``topology``, ``labels``, ``expressiveness``, ``rewiring``, ``cost``.
        title: Heading.
        question: What a newcomer would ask, in one sentence.
        text: Paragraphs: what was measured and how to read it.
        tables: What was measured.
        pictures: The same to look at.
        values: The numbers behind it by name, for JSON and for findings; no tensors.
    """

    key: str
    title: str
    question: str
    text: tuple[str, ...] = ()
    tables: tuple[AuditTable, ...] = ()
    pictures: tuple[Picture, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One sentence about what the data asks of a model, never without its evidence.

    Args:
        standing: ``fine`` (nothing to do), ``look`` (worth an experiment), ``limit`` (a bound on what can be reached),
            ``unknown`` (was not or could not be measured).
        text: The sentence, in plain language.
        evidence: The numbers it rests on, with their names.
        advice: What to try or to check, as commands or names of gnnlab where there are some.
    """

    standing: Standing
    text: str
    evidence: str
    advice: str = ""


@dataclass(frozen=True)
class AuditReport:
    """An audit of one dataset.

    Args:
        name: Of the dataset.
        subject: What was looked at: split, sample, seed and how many graphs of how many.
        findings: The verdict, most important first.
        sections: What it rests on.
        seconds: How long every section took.
    """

    name: str
    subject: str
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...]
    seconds: dict[str, float]

    def section(self, key: str) -> Section:
        """The section of that key."""
        return {section.key: section for section in self.sections}[key]

    def to_dict(self) -> dict[str, Any]:
        """All numbers and sentences, for JSON; no pictures."""
        return {
            "dataset": self.name,
            "subject": self.subject,
            "findings": [asdict(finding) for finding in self.findings],
            "sections": {section.key: section.values for section in self.sections},
            "seconds": self.seconds,
        }
