"""Findings on labels: noise, leaks, what a result has to beat, and what neighbours say about each other."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gnnlab.analysis.auditing._facts import Facts, number, share
from gnnlab.analysis.auditing.report import Finding

__all__ = ["label_findings"]

_NEGLIGIBLE = 0.005
"""Of a score: less than what seeds and splits of these benchmarks differ by, so nothing to tune for."""

_LEAK = 0.01
"""Share of test graphs: copies can change a score by at most their share, here by a point of accuracy."""

_IMBALANCE = 0.8
"""Share of the most frequent label: no theory, but above it a model that learned nothing looks good."""

_FEW = 1000
"""Examples: tested on all of them, an accuracy of one half has a standard error of 1.6 % (sqrt(p (1 - p) / n))."""

_LITTLE = 0.1
"""Of label informativeness and adjusted homophily (Platonov et al., NeurIPS 2023): both are 0 for labels that ignore
edges and at most 1. No theory says where 'little' ends, so what is below it is worth an experiment, no conclusion."""

_MUCH = 0.5
"""Of adjusted homophily: half of the way from labels that ignore edges to neighbours that always agree."""


def label_findings(facts: Facts) -> Iterator[Finding]:
    """On the labels, if they were looked at."""
    if "labels" in facts.values:
        yield from _noise(facts)
        yield from _leak(facts)
        yield from _baseline(facts)
        yield from _few(facts)
        yield from _homophily(facts)


def _noise(facts: Facts) -> Iterator[Finding]:
    floor, twins, torn = (facts.get("labels", name) for name in ("noise_floor", "duplicates", "conflicting"))
    if floor is None or twins is None:
        return
    if not torn:
        yield Finding(
            "fine",
            "No two identical graphs have different labels, so no label is out of reach for being contradicted.",
            f"{number(twins)} graphs have a copy, none of them one with another label{_part(facts)}",
        )
        return
    best, lost = _scored(facts, floor)
    twin_text = f"{number(twins)} graphs have a copy, {number(torn)} of them one with another label{_part(facts)}"
    if lost < _NEGLIGIBLE:
        yield Finding(
            "fine",
            "A few identical graphs have different labels, too few to set a bound worth knowing.",
            f"{best}; {twin_text}",
        )
        return
    yield Finding(
        "limit",
        "Identical graphs have different labels. No model that looks at the graph alone, however expressive, can be "
        "right on all of these graphs.",
        f"{best}; {twin_text}",
        "`gnnlab.analysis.duplicates` finds the graphs: are labels wrong, or do features lack what tells them apart?",
    )


def _part(facts: Facts) -> str:
    compared, graphs = facts.get("labels", "compared"), facts.get("size", "graphs")
    return (
        f" (among {number(compared)} of {number(graphs)} graphs)" if compared and graphs and compared < graphs else ""
    )


def _scored(facts: Facts, floor: float) -> tuple[str, float]:
    """The best score as a phrase, and the share of it that is lost."""
    if facts.get("labels", "target_std") is None:
        return f"best accuracy of any function of the graph: {share(floor)}", 1 - floor
    constant = facts.get("labels", "baseline") or facts.get("labels", "target_std")
    phrase = f"least mean absolute error of any function of the graph: {number(floor)}"
    return phrase, floor / constant if constant else 0.0


def _leak(facts: Facts) -> Iterator[Finding]:
    leaked, tested = facts.get("labels", "leaked"), facts.get("labels", "tested")
    if not leaked or (tested and leaked / tested < _LEAK):
        return
    part = f" ({share(leaked / tested)})" if tested else ""
    yield Finding(
        "look",
        f"{number(leaked)} test graphs{part} are exact copies of a training graph. A model that memorises gets them "
        "right without having learned anything, wherever the copies agree in their label.",
        f"copies with the same features in training and test: {number(leaked)}"
        + (f" of {number(tested)} test graphs" if tested else ""),
        "Report the score also without them, or split so that copies stay together.",
    )


def _baseline(facts: Facts) -> Iterator[Finding]:
    majority, baseline = facts.get("labels", "majority"), facts.get("labels", "baseline")
    if majority is not None:
        evidence = f"share of the most frequent label: {share(majority)}"
        if majority >= _IMBALANCE and facts.metric == "accuracy":
            yield Finding(
                "look",
                f"One label is {share(majority)} of all. A model that has learned nothing reaches that accuracy.",
                evidence,
                "Read every accuracy against it, or judge by an area under the curve or a macro average as well.",
            )
            return
        if facts.metric in ("accuracy", ""):
            yield Finding("fine", f"Always giving the same answer is right in {share(majority)} of cases.", evidence)
            return
    if baseline is not None:
        metric = facts.metric or "score"
        yield Finding(
            "fine",
            f"Always giving the same answer scores {number(baseline)} ({metric}). Results are to be read against it.",
            f"constant answer: {metric} {number(baseline)}"
            + (f"; share of the most frequent label: {share(majority)}" if majority is not None else ""),
        )


def _few(facts: Facts) -> Iterator[Finding]:
    examples = facts.get("labels", "labelled")
    if facts.level != "graph" or examples is None or not 1 < examples < _FEW or facts.get("labels", "target_std"):
        return
    whole, tenth = (100 * math.sqrt(0.25 / count) for count in (examples, max(examples / 10, 1)))
    yield Finding(
        "look",
        f"There are only {number(examples)} labelled graphs. Chance alone moves an accuracy by several points, so most "
        "differences between two models cannot be seen on one split.",
        f"standard error of an accuracy near one half: ±{whole:.1f} points tested on all {number(examples)} graphs, "
        f"±{tenth:.1f} on a tenth of them",
        f"Compare over all folds and several seeds, with intervals: {facts.remedies.baseline()}.",
    )


def _homophily(facts: Facts) -> Iterator[Finding]:
    found = facts.get("labels", "homophily") or {}
    adjusted, informed = found.get("adjusted"), found.get("label_informativeness")
    if adjusted is None or informed is None:
        return
    edge = f"edge homophily {number(found['edge'])}, " if found.get("edge") is not None else ""
    evidence = f"{edge}adjusted {adjusted:.3f} (0: as if labels ignored edges, 1: neighbours always agree), " + (
        f"label informativeness {informed:.3f} (share of the doubt about a label that a neighbour's label removes)"
    )
    blind = "Train the same network with and without edges; only the difference is due to the graph: "
    blind += f"{facts.remedies.baseline()} {facts.remedies.blind()}"
    if adjusted >= _MUCH:
        yield Finding(
            "fine",
            "Neighbours mostly share their label, far beyond chance. Averaging over neighbours suits such data; edges "
            "that a rewiring adds between far nodes will mostly join different labels.",
            evidence,
            blind,
        )
    elif max(informed, adjusted) < _LITTLE:
        yield Finding(
            "look",
            "The label of a neighbour says next to nothing about a node's own label. That does not make the graph "
            "useless, since the features of neighbours may still say what is needed; but it has to be shown.",
            evidence,
            blind,
        )
    else:
        kind = "tend to have other labels" if adjusted < 0 else "share their label somewhat more often than by chance"
        yield Finding(
            "look",
            f"Neighbours {kind}. Their labels tell something, but not that they are alike: layers that keep a node's "
            "own state apart from its neighbours' can use both kinds of neighbour.",
            evidence,
            f"Compare `gnnlab.nn.SAGEConv` (own state apart) with `gnnlab.nn.GCNConv` (mixed in). {blind}",
        )
