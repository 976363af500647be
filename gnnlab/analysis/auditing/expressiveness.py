"""Section of an audit: what message passing can tell apart, and what would tell more apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnnlab.analysis.auditing._classes import Beyond, beyond_classes, round_classes
from gnnlab.analysis.auditing._facts import number, share
from gnnlab.analysis.auditing.report import AuditTable, Picture, Section
from gnnlab.analysis.auditing.sample import AuditSample
from gnnlab.analysis.ceilings_colours import union_of
from gnnlab.analysis.ceilings_scores import Targets, best_scores, read_targets
from gnnlab.data import GraphStore
from gnnlab.drawing import COLOURS, QUIET, heading, new_figure, quiet_axes
from gnnlab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["expressiveness_section"]

_ROUNDS = 4

_ROOM = 1_500_000
"""Nodes and edges of all graphs that are looked at: seconds of one core."""

_LARGEST = 1_000_000

_SCORES = ("accuracy", "mae")


@torch.no_grad()
def expressiveness_section(
    sample: AuditSample, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter
) -> Section:
    """Identifiability and ceilings by rounds of 1-WL, with and without features, and what sees more than 1-WL.

    At most 1.5 million nodes and edges are looked at, and a million nodes of one graph. Encodings and stronger
    networks are looked at where they can make a difference: among graphs that message passing cannot tell apart.

    Args:
        sample: What is looked at.
        track: Wraps the steps: with features, and without.
    """
    weight = max((sample.store.num_nodes + sample.store.num_edges) / len(sample.store), 1)
    part = sample.excerpt(max(int(_ROOM / weight), 1), _LARGEST)
    store, (targets, reason) = part.store, _targets(part.store)
    level = targets.level if targets else "node" if len(store) == 1 else "graph"
    featured = bool({"x", "edge_attr"} & store.columns.keys())
    ceilings: list[dict[str, Any]] = []
    beyond: list[dict[str, Any]] = []
    undecided = 0
    for features in _flags(track, featured):
        union = union_of(store, features, features)
        rounds = list(round_classes(union, level, _ROUNDS))
        ceilings += [_row("wl", features, each.rounds, each.classes, targets, store) for each in rounds]
        if features == featured:
            same = sample.duplicates() if level == "graph" else None
            undecided = 0 if same is None else int(same.undecided[part.index].sum())
            classes = None if same is None else same.classes[part.index]
            found = beyond_classes(union, rounds[-1].classes, classes)
            beyond = [_beyond(each, features, targets, store) for each in found]
    unit = "nodes" if level == "node" else "graphs"
    values = {
        "ceilings": ceilings,
        "beyond": beyond,
        "sampled": len(store),
        "whole": part.whole,
        "examples": int(store.layouts[level].total),
        "level": level,
        "undecided": undecided,
        "not_measured": reason,
    }
    tables = (_rounds_table(ceilings, unit), _beyond_table(ceilings, beyond, unit))
    return Section(
        key="expressiveness",
        title="What networks can tell apart",
        question="Is message passing strong enough for this data, or does it take an encoding or a stronger network?",
        text=_text(part.text, unit, reason, undecided),
        tables=tables,
        pictures=(_picture(ceilings, beyond, unit),),
        values=values,
    )


def _flags(track: Callable[[Sequence[Tensor]], Iterable[Tensor]], featured: bool) -> Iterable[bool]:
    steps = torch.arange(2 if featured else 1)
    return (featured and not bool(step) for step in track(list(steps.unbind(0))))


def _targets(store: GraphStore) -> tuple[Targets | None, str]:
    """Labels of graphs or nodes, or why there are none."""
    try:
        return read_targets(store), ""
    except (ConfigError, DataError) as error:
        return None, error.what


def _row(
    method: str, features: bool, rounds: int | None, classes: Tensor, targets: Targets | None, store: GraphStore
) -> dict[str, Any]:
    sizes = torch.bincount(classes)
    line: dict[str, Any] = {
        "method": method,
        "features": features,
        "rounds": rounds,
        "classes": int((sizes > 0).sum()),
        "identifiability": float((sizes == 1).sum()) / classes.numel() if classes.numel() else None,
        "constant": None,
        "seen": _seen(classes, targets, store),
    }
    if targets is not None:
        score = next(name for name in _SCORES if name in best_scores(classes, targets))
        line[score] = best_scores(classes, targets)[score]
        line["constant"] = best_scores(torch.zeros_like(classes), targets)[score]
    return line


def _seen(classes: Tensor, targets: Targets | None, store: GraphStore) -> float | None:
    """Share of the test graphs of which training holds one that looks the same."""
    train, test = (store.splits.get(name) for name in ("train", "test"))
    if (targets is not None and targets.level != "graph") or train is None or test is None or not test.numel():
        return None
    return float(torch.isin(classes[test], classes[train]).double().mean())


def _beyond(found: Beyond, features: bool, targets: Targets | None, store: GraphStore) -> dict[str, Any]:
    if found.classes is None:
        return {"method": found.method, "features": features, "identifiability": None, "reason": found.reason}
    return _row(found.method, features, None, found.classes, targets, store)


def _text(what: str, unit: str, reason: str, undecided: int) -> tuple[str, ...]:
    paragraphs = [
        "Message passing gives a node a new state from its own and those of its neighbours, over and over. Colour "
        "refinement (1-WL, 1968) does that without losing anything: what it cannot tell apart, no GCN, GIN or GAT can, "
        f"whatever its width and training. {unit.capitalize()} fall into classes that look alike after so many rounds, "
        "which are layers.",
        f"Told apart are the {unit} that are alone in their class. The ceiling is the best score of a network that "
        "gives one answer per class. It is about fitting these data, not about new ones: at 100 % a network can learn "
        "them by heart, which says nothing about what it predicts elsewhere. Read it against one answer for all.",
        "Where the ceiling is low, something that sees more can help. Random-walk features (RWSE) are numbers given to "
        "nodes beforehand; subgraph networks and networks on pairs of nodes see more by themselves, at a higher cost.",
    ]
    if undecided:
        paragraphs.append(
            f"Of {undecided:,} graphs it was not decided whether they are the same graph; they count as different."
        )
    if reason:
        paragraphs.append(f"There is no ceiling, because {reason.removeprefix('there are ')}: only who is told apart.")
    return (*paragraphs, f"Measured on {what}. Among more {unit}, fewer stand alone.")


def _rounds_table(ceilings: list[dict[str, Any]], unit: str) -> AuditTable:
    score = _score_of(ceilings)
    seen = any(row["seen"] is not None for row in ceilings)
    lines = []
    if score:
        lines.append(("one answer for all", "1", "0 %", _shown(ceilings[0]["constant"], score), *[""] * seen))
    lines += [(_label(row), *_cells(row, score, seen)) for row in ceilings]
    note = "A test graph that looks like one of training can be answered by heart." if seen else ""
    return AuditTable(_header("rounds of message passing", unit, score, seen), tuple(lines), note)


def _beyond_table(ceilings: list[dict[str, Any]], beyond: list[dict[str, Any]], unit: str) -> AuditTable:
    score = _score_of(ceilings)
    plain = next(row for row in reversed(ceilings) if row["features"] == beyond[0]["features"])
    lines = [("message passing", *_cells(plain, score, False))]
    for row in beyond:
        if row["identifiability"] is None and "reason" in row:
            blanks = [""] * (2 if score else 1)
            lines.append((row["method"], "not measured", *blanks))
        else:
            lines.append((row["method"], *_cells(row, score, False)))
    reasons = [f"{row['method']}: not measured, because {row['reason']}" for row in beyond if row.get("reason")]
    note = "All after as many rounds as tell anything apart. Identical graphs are the same to any function."
    return AuditTable(_header("what sees more", unit, score, False), tuple(lines), " ".join([note, *reasons]))


def _header(first: str, unit: str, score: str | None, seen: bool) -> tuple[str, ...]:
    ceiling = {"accuracy": ["best accuracy"], "mae": ["least mean absolute error"]}.get(score, [])
    return (first, "classes", f"{unit} told apart", *ceiling, *["test graphs that look like one of training"] * seen)


def _cells(row: dict[str, Any], score: str | None, seen: bool) -> list[str]:
    cells = [f"{row['classes']:,}", "-" if row["identifiability"] is None else share(row["identifiability"])]
    cells += [_shown(row[score], score)] if score else []
    return cells + (["-" if row["seen"] is None else share(row["seen"])] if seen else [])


def _shown(value: float | None, score: str) -> str:
    return "-" if value is None else share(value) if score == "accuracy" else number(value)


def _score_of(rows: list[dict[str, Any]]) -> str | None:
    return next((name for name in _SCORES if name in rows[0]), None)


def _label(row: dict[str, Any]) -> str:
    rounds = "until nothing splits" if row["rounds"] is None else f"{row['rounds']}"
    return f"{rounds}, {'with' if row['features'] else 'without'} features"


def _picture(ceilings: list[dict[str, Any]], beyond: list[dict[str, Any]], unit: str) -> Picture:
    score = _score_of(ceilings)

    def draw() -> Figure:
        figure = new_figure(10 if score else 5.5, 3.6)
        heading(figure, "What message passing tells apart")
        axes = figure.subplots(1, 2 if score else 1, squeeze=False)[0]
        _curves(axes[0], ceilings, "identifiability", f"{unit.capitalize()} told apart", f"% of the {unit}", 100)
        if score:
            percent = score == "accuracy"
            title = "Best accuracy of a network" if percent else "Least mean absolute error of a network"
            _curves(axes[1], ceilings, score, title, "%" if percent else "mean absolute error", 100 if percent else 1)
            _lines(axes[1], ceilings, beyond, score)
        axes[0].legend(frameon=False, fontsize=9, labelcolor=QUIET)
        return figure

    ends = [row for row in ceilings if _last(row) and row["identifiability"] is not None]
    seen = [
        f"{'With' if row['features'] else 'Without'} features, {share(row['identifiability'])} of the {unit} are told "
        "apart" + (f", {_words(score)} {_shown(row[score], score)}" if score else "")
        for row in ends
    ]
    return Picture(draw, ". ".join(seen) + "." if seen else "There is nothing to tell apart.")


def _last(row: dict[str, Any]) -> bool:
    return row["rounds"] is None or row["rounds"] > _ROUNDS


def _words(score: str) -> str:
    return {"accuracy": "ceiling", "mae": "least error"}[score]


def _curves(axes: Axes, rows: list[dict[str, Any]], name: str, title: str, label: str, scale: float) -> None:
    quiet_axes(axes, title)
    axes.set_xlabel("rounds of message passing", color=QUIET, fontsize=9)
    axes.set_ylabel(label, color=QUIET, fontsize=9)
    axes.set_xticks(range(_ROUNDS + 2), [*map(str, range(_ROUNDS + 1)), "all"])
    for features, colour, text in ((True, COLOURS[0], "with features"), (False, COLOURS[1], "without features")):
        curve = [row for row in rows if row["features"] is features and row[name] is not None]
        places = [_ROUNDS + 1 if _last(row) else row["rounds"] for row in curve]
        if curve:
            axes.plot(places, [scale * row[name] for row in curve], "o-", color=colour, label=text, lw=2, ms=5)
    if scale == 100:
        axes.set_ylim(-3, 105)
    else:
        axes.set_ylim(bottom=0)


def _lines(axes: Axes, ceilings: list[dict[str, Any]], beyond: list[dict[str, Any]], score: str) -> None:
    """What one answer reaches, and what any function of the graph does."""
    scale = 100 if score == "accuracy" else 1
    marks = [(ceilings[0]["constant"], "one answer for all", ":")]
    marks += [(row[score], row["method"], "--") for row in beyond if row["method"].startswith("any") and score in row]
    for value, text, style in marks:
        axes.axhline(scale * value, color=QUIET, ls=style, lw=1)
        axes.annotate(
            text, (0.02, scale * value), (0, 3), ("axes fraction", "data"), "offset points", fontsize=8, color=QUIET
        )
