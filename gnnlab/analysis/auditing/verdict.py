"""The verdict of an audit: what the numbers of its sections allow to say, and what they do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gnnlab.analysis.auditing._facts import Facts
from gnnlab.analysis.auditing._verdict_data import data_findings
from gnnlab.analysis.auditing._verdict_expressiveness import expressiveness_findings
from gnnlab.analysis.auditing._verdict_labels import label_findings
from gnnlab.analysis.auditing._verdict_reach import reach_findings
from gnnlab.analysis.auditing.report import Finding, Section

if TYPE_CHECKING:
    from gnnlab.data.task import TaskSpec

__all__ = ["ORDER", "findings"]

ORDER = ("limit", "look", "fine", "unknown")
"""Standings, the most important first."""

_TOPICS = (label_findings, expressiveness_findings, reach_findings, data_findings)

_SECTIONS = ("size", "topology", "labels", "expressiveness", "rewiring", "cost")


def findings(
    sections: Mapping[str, Section],
    task: TaskSpec | None = None,
    *,
    name: str = "",
    experiments: tuple[str, ...] = (),
) -> tuple[Finding, ...]:
    """What the data asks of a model, in plain language: limits first, then what is worth an experiment.

    An audit reads the data and trains nothing, so a finding never says that a remedy helps: it says what is bounded
    (with proof), what is worth an experiment (with the experiment and its control), what needs no attention, and what
    was not measured.

    Args:
        sections: By their keys; those that are missing lead to one finding that says so.
        task: What is to be predicted, where that is known.
        name: Of the dataset, for the commands of the advice.
        experiments: Names of the experiments there are on this dataset, likewise.

    Example:
        >>> noise = {"duplicates": 4, "conflicting": 2, "noise_floor": 0.9}
        >>> first = findings({"labels": Section("labels", "Labels", "?", values=noise)})[0]
        >>> first.standing, first.evidence
        ('limit', 'best accuracy of any function of the graph: 90 %; 4 graphs have a copy, 2 of them ...')
    """
    facts = Facts.of(sections, task, experiments)
    found = [finding for topic in _TOPICS for finding in topic(facts)]
    found += _closing(facts, name)
    return tuple(sorted(found, key=lambda finding: ORDER.index(finding.standing)))


def _closing(facts: Facts, name: str) -> Iterator[Finding]:
    refused = {key: values["not_measured"] for key, values in facts.values.items() if values.get("not_measured")}
    refused = {key: why for key, why in refused.items() if not facts.get(key, "ceilings")}
    if refused:
        yield Finding(
            "unknown",
            f"Not measured: {', '.join(refused)}.",
            "; ".join(f"{key}: {why}" for key, why in refused.items()),
        )
    missing = [key for key in _SECTIONS if key not in facts.values]
    if missing:
        yield Finding(
            "unknown",
            f"Not looked at: {', '.join(missing)}.",
            "these sections are not part of this report",
            f"Ask for them: `gnnlab audit {name or 'DATASET'} {' '.join(f'--section {key}' for key in missing)}`",
        )
    yield Finding(
        "unknown",
        "No model was trained. Whether the labels depend on far nodes, on cycles or on the graph at all, and whether a "
        "wider network would fit them better, the data alone cannot tell.",
        "everything above follows from graphs, features and labels",
        f"Start from a plain network and change one thing at a time, over several seeds: {facts.remedies.baseline()}",
    )
