"""What the findings of an audit are made from, and how they print numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gnnlab.analysis.auditing._remedies import Remedies

if TYPE_CHECKING:
    from gnnlab.analysis.auditing.report import Section
    from gnnlab.data.task import TaskSpec

__all__ = ["Facts", "listed", "number", "share"]


@dataclass(frozen=True)
class Facts:
    """The numbers of all sections.

    Args:
        values: Section -> name -> number; a section that was not asked for is absent.
        task: What is to be predicted, where that is known.
        remedies: What can be tried on this dataset.
    """

    values: Mapping[str, Mapping[str, Any]]
    task: TaskSpec | None = None
    remedies: Remedies = field(default_factory=Remedies)

    @classmethod
    def of(cls, sections: Mapping[str, Section], task: TaskSpec | None, experiments: tuple[str, ...]) -> Facts:
        """From the sections of a report."""
        values = {key: section.values for key, section in sections.items()}
        size, rewiring = values.get("size", {}), values.get("rewiring", {})
        remedies = Remedies(
            experiments,
            largest=int(size.get("nodes_max") or 0),
            graphs=int(size.get("graphs") or 1),
            directed=bool(size.get("directed")),
            budget=int(rewiring.get("budget") or 10),
        )
        return cls(values, task, remedies)

    def get(self, section: str, name: str) -> Any:
        """A number, or ``None`` where it was not measured."""
        return self.values.get(section, {}).get(name)

    @property
    def level(self) -> str:
        """What a target belongs to: ``graph`` where nobody says."""
        return self.get("size", "level") or (self.task.level if self.task else "graph")

    @property
    def single(self) -> bool:
        """Whether there is one graph only."""
        return self.get("size", "graphs") == 1

    @property
    def which(self) -> str:
        """What a mean over the graphs is the mean of."""
        return "the graph" if self.single else "the average graph"

    @property
    def metric(self) -> str:
        """By which models on this dataset are judged; empty if unknown."""
        return self.task.metric if self.task else ""


def share(value: float) -> str:
    """A share in per cent; only what is exactly nothing or all is printed so.

    Example:
        >>> share(0.5), share(1.0), share(0.99999), share(0.0001)
        ('50 %', '100 %', 'above 99.9 %', 'below 0.1 %')
    """
    if 0 < value < 0.001:
        return "below 0.1 %"
    if 0.999 < value < 1:
        return "above 99.9 %"
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def number(value: float) -> str:
    """Three digits, with separators where there are more.

    Example:
        >>> number(12345.6), number(3.14159), number(0.00123), number(5)
        ('12,346', '3.14', '0.00123', '5')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def listed(facts: Mapping[str, Any], **names: str) -> str:
    """Those of the numbers that there are, each behind its name.

    Example:
        >>> listed({"a": 1.0, "b": None}, a="first", b="second")
        'first 1'
    """
    return ", ".join(f"{text} {number(facts[key])}" for key, text in names.items() if facts.get(key) is not None)
