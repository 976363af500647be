"""Findings on expressiveness: what message passing can fit, and what more could be gained by telling more apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gnnlab.analysis.auditing._facts import Facts, number, share
from gnnlab.analysis.auditing.report import Finding

__all__ = ["expressiveness_findings"]

_FITTED = 0.995
"""Of what can be fitted: what is left is less than seeds and splits differ by."""

_SAME = 0.005
"""Of a score or a share of examples: ceilings closer than this count as the same."""


_WORK = 0.05
"""Of a score that needs the features: less is too little to speak of."""


def expressiveness_findings(facts: Facts) -> Iterator[Finding]:
    """On the ceilings, if they were computed."""
    if "expressiveness" not in facts.values:
        return
    rows = _rounds(facts, features=True) or _rounds(facts, features=False)
    if rows:
        yield _ceiling(facts, rows)
        yield from _structure(facts, rows)
    elif facts.get("expressiveness", "ceilings"):
        last = facts.get("expressiveness", "ceilings")[-1]
        yield Finding(
            "unknown",
            "How far message passing could fit the labels is not known, for want of labels.",
            f"told apart from all others by 1-WL: {share(last.get('identifiability') or 0.0)}{_sampled(facts)}",
        )


def _rounds(facts: Facts, features: bool) -> list[Mapping[str, Any]]:
    """Rows of plain message passing, fewest rounds first."""
    rows = [row for row in facts.get("expressiveness", "ceilings") or [] if row.get("features") is features]
    rows = [row for row in rows if row.get("method") == "wl" and _fit(row) is not None]
    return sorted(rows, key=_depth)


def _depth(row: Mapping[str, Any]) -> float:
    return math.inf if row.get("rounds") is None else row["rounds"]


def _fit(row: Mapping[str, Any]) -> float | None:
    """Share of what there is to explain that can be fitted: the accuracy, or how far the error falls."""
    if row.get("accuracy") is not None:
        return row["accuracy"]
    if row.get("mae") is None or row.get("constant") is None:
        return None
    return 1 - row["mae"] / row["constant"] if row["constant"] else 1.0


def _score(row: Mapping[str, Any]) -> str:
    if row.get("accuracy") is not None:
        return f"an accuracy of {share(row['accuracy'])}"
    return f"a mean absolute error of {number(row['mae'])}"


def _constant(row: Mapping[str, Any]) -> str:
    if row.get("constant") is None:
        return ""
    shown = share(row["constant"]) if row.get("accuracy") is not None else number(row["constant"])
    return f" (one answer for all: {shown})"


def _after(row: Mapping[str, Any]) -> str:
    return (
        "after any number of rounds"
        if row.get("rounds") is None
        else f"after {row['rounds']} round{'s' * (row['rounds'] != 1)}"
    )


def _ceiling(facts: Facts, rows: Sequence[Mapping[str, Any]]) -> Finding:
    unit = "nodes" if facts.level == "node" else "graphs"
    last = rows[-1]
    if _fit(last) >= _FITTED:
        enough = next(row for row in rows if _fit(last) - _fit(row) <= _SAME)
        return _enough(facts, enough, unit, _evidence(facts, enough, unit))
    evidence = _evidence(facts, last, unit)
    floor = _floor(facts, last)
    if floor is not None and _fit(floor) - _fit(last) <= _SAME:
        return Finding(
            "fine",
            f"Message passing can fit these {unit} as far as anything can. What it cannot get right are identical "
            "graphs with different labels.",
            f"{evidence}; best score of any function of the graph: {_score(floor)}",
        )
    return Finding(
        "limit",
        f"Message passing alone cannot fit these {unit}. No GCN, GIN or GAT, of whatever depth and width, "
        f"{'reaches more than' if _kind(last) == 'accuracy' else 'gets below'} {_score(last)} on them: it answers "
        "alike where 1-WL, the test that bounds it, sees no difference.",
        evidence + _beyond(facts, last),
        "Show nodes what they cannot see, or take a network that sees more: "
        f"{facts.remedies.encoded()} {facts.remedies.subgraphs()}",
    )


def _evidence(facts: Facts, row: Mapping[str, Any], unit: str) -> str:
    apart = f"{share(row['identifiability'])} of the {unit} told apart from all others"
    return f"1-WL ceiling {_after(row)}: {_score(row)}{_constant(row)}, {apart}{_sampled(facts)}"


def _floor(facts: Facts, last: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What any function of the graph reaches, as a row."""
    rows = facts.get("expressiveness", "beyond") or []
    any_function = [row for row in rows if row["method"].startswith("any") and _fit(row) is not None]
    known = facts.get("labels", "noise_floor")
    return any_function[0] if any_function else None if known is None else {**last, _kind(last): known}


def _enough(facts: Facts, enough: Mapping[str, Any], unit: str, evidence: str) -> Finding:
    if enough.get("rounds") == 0:
        return Finding(
            "fine",
            f"The features alone tell these {unit} apart. Without a single message every label can be fitted, so no "
            "layer is too weak to fit them, and the ceiling says nothing about what helps on new data.",
            evidence,
        )
    rounds = enough.get("rounds")
    how = "Enough layers" if rounds is None else f"{rounds} layer{'s' * (rounds > 1)}"
    return Finding(
        "fine",
        f"Plain message passing can fit these {unit}. {how} of a wide enough network can tell apart all that has to be "
        "told apart, so no more expressive layer can be needed to fit them; what a model misses on new data is "
        "generalisation or reach. An encoding or a layer that sees more may still make the same thing easier to learn: "
        "that is an experiment, not a limit.",
        evidence,
        "If the fit to training data stays low, look at optimisation and depth first. Whether an easier view helps: "
        f"{facts.remedies.encoded()}",
    )


def _kind(row: Mapping[str, Any]) -> str:
    return "accuracy" if row.get("accuracy") is not None else "mae"


def _sampled(facts: Facts) -> str:
    looked, graphs = facts.get("expressiveness", "sampled"), facts.get("size", "graphs")
    if looked and graphs and looked < graphs:
        return f" (a sample of {number(looked)} graphs; among more, fewer stand alone)"
    return " (a part of the graph)" if facts.get("expressiveness", "whole") is False else ""


def _beyond(facts: Facts, last: Mapping[str, Any]) -> str:
    """What else was compared, if it can fit more."""
    rows = [row for row in facts.get("expressiveness", "beyond") or [] if _fit(row) is not None]
    better = [f"{row['method']}: {_score(row)}" for row in rows if _fit(row) > _fit(last) + _SAME]
    return f"; ceilings of others: {', '.join(better)}" if better else ""


def _structure(facts: Facts, rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Whether it is features or the shape of the graph that tells examples apart."""
    bare = _rounds(facts, features=False)
    if not bare or bare[-1] is rows[-1]:
        return
    if _fit(rows[-1]) - _fit(bare[-1]) > _WORK:
        yield Finding(
            "fine",
            "The shape of the graph alone does not fix the labels. Features do part of the work.",
            f"ceiling without features {_score(bare[-1])}, with them {_score(rows[-1])}{_constant(rows[-1])}",
        )
