"""Findings on reach: distance, bottlenecks, and what rewirings would change about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gnnlab.analysis.auditing._facts import Facts, number, share
from gnnlab.analysis.auditing.report import Finding

__all__ = ["reach_findings"]

_HOPS = 5
"""Hops beyond which a pair counts as far: about the depth of plain networks; the section on topology counts them so."""

_APART = 0.05
"""Share of graphs in several parts: below one in twenty, what happens to them hardly moves a score."""

_FAR = 0.1
"""Share of pairs. No theory says how many may be out of reach; below a tenth, depth is hardly the first worry."""

_MOST = 0.5
"""Share of pairs above which most are far."""

_DEEP = 16
"""Layers to try: three times the usual, still trainable with residual connections."""

_NARROW = 0.1
"""Cheeger constant: a cut that so small a share of the edge ends of its smaller side crosses. No theory says what is
too narrow; a path of 20 nodes has 0.05, a ring of 20 has 0.1."""

_BRIDGES = 0.5
"""Share of edges that are the only way between two parts: above it, most messages have no alternative."""

_DEGREES = 0.05
"""Distance of resistance / (1/d + 1/d') from 1 up to which resistances tell little but degrees, as they do in the limit
of large dense graphs (von Luxburg, Radl and Hein, JMLR 2014): about the accuracy of a sketch of resistances."""

_ALIKE = 0.8
"""Of the fall of the resistance by the best rewiring. No theory: random edges that do so much leave few to choose."""

_MOVED = 0.95
"""Ratio of resistance after to before: above it, a rewiring has hardly changed what it is meant to change."""

_MIXED = 0.05
"""Fall of the edge homophily by a rewiring: of a hundred neighbours, five more have another label."""

_CONTROL = "Random"
"""How the name of the control begins."""


def reach_findings(facts: Facts) -> Iterator[Finding]:
    """On topology and rewiring, as far as they were looked at."""
    if "topology" in facts.values:
        yield from _components(facts)
        yield from _distance(facts)
        yield from _bottleneck(facts)
        yield from _estimates(facts)
    if "rewiring" in facts.values:
        yield from _rewiring(facts)


def _components(facts: Facts) -> Iterator[Finding]:
    apart, mean = facts.get("topology", "disconnected_share"), facts.get("topology", "components_mean")
    if not apart or apart < _APART:
        return
    evidence = "" if facts.single else f"graphs of more than one component: {share(apart)}; "
    evidence += f"components{'' if facts.single else ' per graph'}: {number(mean)}" if mean is not None else ""
    meet = "they meet only in the readout over all nodes" if facts.level == "graph" else "they never hear of each other"
    yield Finding(
        "look",
        f"{'The graph falls' if facts.single else 'Graphs fall'} into parts that no edge joins. No number of layers "
        f"carries a message between them: {meet}. Rewirings such as GTR and FoSR do not join them either.",
        evidence or "graphs of more than one component were found",
        f"If parts should know of each other, join them by something all nodes hear: {facts.remedies.short_cut()}",
    )


def _distance(facts: Facts) -> Iterator[Finding]:
    far, mean, most = (facts.get("topology", name) for name in ("far_pairs", "diameter_mean", "diameter_max"))
    if mean is None:
        return
    several = f" on average, at most {number(most)}" if most is not None and not facts.single else ""
    evidence = f"diameter {number(mean)}{several}"
    evidence += f"; {share(far)} of the pairs are more than {_HOPS} hops apart" if far is not None else ""
    evidence += " (largest components)" if facts.get("topology", "disconnected_share") else ""
    if mean <= _HOPS if far is None else far < _FAR:
        yield Finding(
            "fine",
            f"Nodes are near each other. {_HOPS} layers let nearly all pairs of nodes hear of each other.",
            evidence,
        )
        return
    seen = f"sees {share(1 - far)} of the pairs of a graph" if far is not None else "does not span a graph"
    pooled = facts.level == "graph"
    readout = (
        " A readout over all nodes still adds up what every part says by itself; what is out of reach is only what "
        "depends on two far parts together."
    )
    yield Finding(
        "look",
        f"{'Some nodes' if far is not None and far < _MOST else 'Most nodes'} are far apart. "
        f"{'Before the readout, a' if pooled else 'A'} network of {_HOPS} layers {seen}. Whether the labels need more, "
        f"the graph does not say.{readout if pooled else ''}",
        evidence,
        "Two cheap experiments, more layers and a short cut for all pairs; if neither raises the score though both fit "
        f"the training data, reach is hardly what is missing: {facts.remedies.deeper(_DEEP)} "
        f"{facts.remedies.short_cut()}",
    )


def _bottleneck(facts: Facts) -> Iterator[Finding]:
    get = dict(facts.values["topology"])
    by_degree, bridges = get.get("resistance_by_degree"), get.get("bridge_share")
    upper, lower = get.get("cheeger_upper_mean"), get.get("cheeger_lower_mean")
    if by_degree is not None and abs(by_degree - 1) <= _DEGREES:
        yield Finding(
            "fine",
            "Resistances say nothing but degrees here. The graphs are dense enough for that: do not read them as "
            "bottlenecks, and expect no more of them as an encoding than of degrees.",
            f"resistance / (1/d + 1/d') = {number(by_degree)} on average (1: nothing but degrees)",
        )
        return
    evidence = "; ".join(_measures(get))
    narrow = upper is not None and upper <= _NARROW
    if narrow or (bridges is not None and bridges >= _BRIDGES):
        reasons = []
        if bridges is not None and bridges >= _BRIDGES:
            reasons.append(f"{share(bridges)} of the edges are the only way between the two parts they join")
        if narrow:
            reasons.append(
                f"{facts.which} can be cut in two so that at most {share(upper)} of the edge ends on the smaller side, "
                "which may be small, cross the cut"
            )
        yield Finding(
            "look",
            f"There are bottlenecks. {_sentence('; '.join(reasons))}. What is far has to be squeezed through few "
            "states there (over-squashing), and wider layers do not add ways around. Whether the labels need these "
            "messages, the graph does not say.",
            evidence,
            "What rewirings would change is said below; whether that helps, the score says."
            if facts.get("rewiring", "rows")
            else f"A rewiring beside as many random edges, its control: {facts.remedies.rewired()}",
        )
    elif lower is not None and lower >= _NARROW:
        yield Finding(
            "fine",
            f"There is no bottleneck. Whichever way {facts.which} is cut, at least {share(lower)} of the edge ends "
            "on the smaller side cross the cut.",
            evidence,
        )


def _measures(get: Mapping[str, Any]) -> Iterator[str]:
    shares = {"bridge_share": "bridges", "curvature_negative_share": "edges of negative curvature"}
    means = {
        "resistance_mean": "mean resistance of a pair",
        "commute_mean": "mean commute time",
        "spectral_gap_mean": "mean spectral gap",
    }
    yield from (f"{text} {share(get[name])}" for name, text in shares.items() if get.get(name) is not None)
    yield from (f"{text} {number(get[name])}" for name, text in means.items() if get.get(name) is not None)
    bounds = {"cheeger_lower_mean": "at least", "cheeger_upper_mean": "at most"}
    bounds = [f"{text} {number(get[name])}" for name, text in bounds.items() if get.get(name) is not None]
    if bounds:
        yield f"Cheeger constant {', '.join(bounds)}"


def _estimates(facts: Facts) -> Iterator[Finding]:
    estimated = facts.get("topology", "estimated")
    if estimated:
        yield Finding(
            "unknown",
            "Some measures of the topology are estimates or bounds. Exact ones would take too long here.",
            f"not exact: {'; '.join(estimated)}",
        )


def _rewiring(facts: Facts) -> Iterator[Finding]:
    rows = [row for row in facts.get("rewiring", "rows") or [] if row.get("resistance_ratio") is not None]
    controls = [row for row in rows if row["name"].startswith(_CONTROL)]
    chosen = [row for row in rows if not row["name"].startswith(_CONTROL) and row.get("added")]
    if not controls or not chosen:
        return
    best, control = min(chosen, key=_resistance), min(controls, key=_resistance)
    budget, excerpt = (facts.get("rewiring", name) for name in ("budget", "excerpt"))
    evidence = f"resistance after / before: {best['name']} {number(best['resistance_ratio'])}, " + (
        f"{control['name']} {number(control['resistance_ratio'])}"
        + (f", at {number(budget)} edges per graph" if budget is not None else "")
        + (f", measured on {excerpt}" if excerpt else "")
    )
    if _resistance(best) > _MOVED:
        yield Finding(
            "fine",
            "At this budget rewiring hardly changes these graphs. Whichever edges it chooses, resistances stay what "
            "they were.",
            evidence,
        )
        yield from _mixing(rows)
        return
    part = (1 - _resistance(control)) / (1 - _resistance(best))
    if part >= _ALIKE:
        yield Finding(
            "look",
            f"Random edges shorten these graphs nearly as much as the best rewiring. If {best['name']} helps, it may "
            "be any short cut that does.",
            f"{evidence}: {share(max(part, 0.0))} of the fall",
            f"Judge every rewiring against random edges: {facts.remedies.rewired()}",
        )
    else:
        yield Finding(
            "look",
            f"Chosen edges shorten these graphs more than random ones. {best['name']} lowers the resistance to "
            f"{share(_resistance(best))} of what it was, random edges to {share(_resistance(control))}. That is what "
            "it is made for: a change of the graph, not of the score.",
            evidence,
            f"Whether the score follows: {facts.remedies.rewired()}",
        )
    yield from _mixing(rows)


def _mixing(rows: list[Mapping[str, Any]]) -> Iterator[Finding]:
    pairs = [(row, row.get("homophily_before"), row.get("homophily_after")) for row in rows]
    mixed = [(row["name"], a, b) for row, a, b in pairs if a is not None and b is not None and a - b >= _MIXED]
    if mixed:
        yield Finding(
            "look",
            f"Some rewirings join nodes of different labels. {', '.join(name for name, _, _ in mixed)}: where it helps "
            "that neighbours agree, this works against what short cuts gain.",
            "; ".join(f"{name}: edge homophily {number(a)} before, {number(b)} after" for name, a, b in mixed),
            "Give added edges their own weights (`gnnlab.nn.RelationalConv`), and watch this column.",
        )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _resistance(row: Mapping[str, Any]) -> float:
    return row["resistance_ratio"]
