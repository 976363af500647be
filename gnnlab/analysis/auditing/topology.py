"""Section of an audit: how far messages have to travel, and through how narrow places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnnlab.analysis.auditing._facts import number, share
from gnnlab.analysis.auditing._histogram import histogram
from gnnlab.analysis.auditing._topology_sample import LARGEST, SOLVED, measure_topology
from gnnlab.analysis.auditing.report import AuditTable, Picture, Section
from gnnlab.analysis.auditing.sample import AuditSample, Excerpt
from gnnlab.drawing import COLOURS, INK, QUIET, heading, new_figure, quiet_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["topology_section"]

_FAR = 5
"""Hops: about as deep as plain networks are."""

_WORST = 5
_ROUNDING = 1e-9

_LABELS = {
    "components": "parts that no edge joins",
    "diameter": "diameter, in hops",
    "far_pairs": f"pairs more than {_FAR} hops apart",
    "resistance_mean": "resistance of a pair",
    "commute_mean": "commute time of a pair, in steps",
    "resistance_by_degree": "resistance / (1/d + 1/d')",
    "spectral_gap": "spectral gap",
    "cheeger_lower": "Cheeger constant, at least",
    "cheeger_upper": "Cheeger constant, at most",
    "curvature_mean": "curvature of an edge",
    "bridges": "edges that are bridges",
}
_SHARES = ("far_pairs", "bridges")
_COUNTED = ("components", "bridges")
"""In all graphs of the sample, not in an excerpt."""

_PLAIN = ("resistance_mean", "commute_mean", "resistance_by_degree", "curvature_mean", "far_pairs")


@torch.no_grad()
def topology_section(sample: AuditSample, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> Section:
    """Distances, resistances, cuts and curvature.

    Args:
        sample: What is looked at; :func:`gnnlab.analysis.auditing._topology_sample.measure_topology` says how much of
            it.
        track: Wraps the chunks of graphs.
    """
    measured = measure_topology(sample, track)
    part, curvature = measured.part, measured.curvature
    of = measured.values | {"far_pairs": 1 - measured.near[:, _FAR - 1]}
    of |= {name: measured.graph[name] for name in ("components", "bridges")}
    estimated = [
        _LABELS[name] for name, bounds in measured.estimated.items() if bool((bounds & of[name].isfinite()).any())
    ]
    reach = [_of(column, torch.mean) for column in measured.near.unbind(1)]
    means = {
        "components_mean": "components",
        "bridge_share": "bridges",
        "diameter_mean": "diameter",
        "spectral_gap_mean": "spectral_gap",
        "cheeger_lower_mean": "cheeger_lower",
        "cheeger_upper_mean": "cheeger_upper",
    }
    means |= {name: name for name in _PLAIN}
    values = {key: _of(of[name], torch.mean) for key, name in means.items()}
    values |= {
        "disconnected_share": _of((measured.graph["components"] > 1).double(), torch.mean),
        "tree_share": _of(measured.graph["tree"], torch.mean),
        "diameter_max": _of(of["diameter"], torch.max),
        "spectral_gap_min": _of(of["spectral_gap"], torch.min),
        "curvature_negative_share": _of((curvature < -_ROUNDING).double(), torch.mean),
        "estimated": estimated,
        "reach": reach,
        "sampled": len(part.store),
        "whole": part.whole,
        "errors": {} if part.whole else {key: _error(of[name]) for key, name in means.items() if name not in _COUNTED},
    }
    figures = {"diameter": of["diameter"], "resistance": of["resistance_mean"], "curvature": curvature, "reach": reach}
    return Section(
        key="topology",
        title="Distances and bottlenecks",
        question="How far do messages have to travel, and how narrow is the way?",
        text=_text(part, measured.large, measured.graph["components"]),
        tables=(_measures(of, part, estimated), _layers(reach), *_worst(sample, part, of)),
        pictures=(_picture(figures, values, len(part.store)),),
        values=values,
    )


def _text(part: Excerpt, large: Tensor, components: Tensor) -> tuple[str, ...]:
    apart = int((components > 1).sum())
    fall = "the graph falls" if components.numel() == 1 else f"{apart:,} graphs fall"
    parts = f"; {fall} into parts, of which the largest is looked at" if apart else ""
    taken = f"{part.index.numel():,} graphs drawn at random" if part.index.numel() < components.numel() else "all of it"
    cut = (
        f" A graph of more than {LARGEST:,} nodes, or of very large degrees, is too large for some of that: its "
        "distances are those from some of its nodes, its curvature that of edges around a random node or not measured, "
        f"and above {SOLVED:,} nodes cuts and resistances are not measured."
        if bool(large.any())
        else ""
    )
    return (
        "A network of k layers lets a node hear of what is at most k hops away. What has to pass through few edges "
        "on its way is squeezed into few states: over-squashing. The measures below say where that may happen; whether "
        "the labels need far nodes, they do not say.",
        "The diameter is the longest distance of a graph. The resistance of two nodes is that of the graph taken as a "
        "network of unit resistors: long detours make it large, many parallel ways small. The commute time is how many "
        "steps a random walk takes there and back. Where a resistance divided by 1/d + 1/d' of both degrees is close "
        "to 1, it tells nothing but degrees.",
        "The Cheeger constant is the narrowest cut: the share of the edges of a part that leave it. The spectral gap "
        "bounds it from both sides; close to 0 there is a bottleneck. An edge of negative curvature (balanced Forman, "
        "from -2 up) joins neighbourhoods that hardly overlap. A bridge is an edge on no cycle: the only way between "
        "its two sides.",
        f"Measured on {taken}{parts}. Parts and bridges are counted in all graphs.{cut}",
    )


def _measures(of: dict[str, Tensor], part: Excerpt, estimated: list[str]) -> AuditTable:
    several = len(part.store) > 1
    sampled = several and not part.whole
    lines = []
    for name, label in _LABELS.items():
        kept = of[name][of[name].isfinite()]
        text = share if name in _SHARES else number
        cells = [kept.mean(), kept.min(), kept.median(), kept.max()][: 4 if several else 1] if kept.numel() else []
        written = [text(float(cell)) for cell in cells] + ["-"] * ((4 if several else 1) - len(cells))
        if sampled:
            error = None if name in _COUNTED else _error(of[name])
            written.insert(1, "" if error is None else f"± {text(error) if error else '0'}")
        lines.append((label + (" ~" if label in estimated else ""), *written))
    header = ["per graph", "mean", "least", "median", "most"] if several else ["", "found"]
    if sampled:
        header.insert(2, "±")
    notes = ["± is the standard error of a mean over a sample of graphs."] if sampled else []
    notes += ["~ marks estimates and bounds."] if estimated else []
    return AuditTable(tuple(header), tuple(lines), " ".join(notes))


def _layers(reach: list[float | None]) -> AuditTable:
    lines = [
        (f"{hops}", "-" if seen is None else share(seen), "-" if seen is None else share(1 - seen))
        for hops, seen in enumerate(reach, 1)
    ]
    return AuditTable(("layers", "pairs of nodes that hear of each other", "pairs that do not"), tuple(lines))


def _worst(sample: AuditSample, part: Excerpt, of: dict[str, Tensor]) -> tuple[AuditTable, ...]:
    resistance = of["resistance_mean"].nan_to_num(nan=-1.0)
    chosen = resistance.topk(min(_WORST, resistance.numel())).indices
    chosen = chosen[resistance[chosen] >= 0]
    if len(part.store) < 2 or not chosen.numel():
        return ()
    graphs = sample.index[part.index[chosen]].tolist()
    columns = ("diameter", "resistance_mean", "spectral_gap", "cheeger_upper")
    lines = tuple(
        (f"graph {graph}", f"{int(of['nodes'][row]):,}", *(number(float(of[name][row])) for name in columns))
        for graph, row in zip(graphs, chosen.tolist(), strict=True)
    )
    header = ("largest resistance", "nodes", *(_LABELS[name] for name in columns))
    return (AuditTable(header, lines, "Numbers of graphs are those of the dataset, counted from 0."),)


def _picture(figures: dict[str, Any], values: dict[str, Any], graphs: int) -> Picture:
    drawn = {name: histogram(figures[name]) for name in ("diameter", "resistance")}
    drawn["curvature"] = histogram(figures["curvature"], -2.0, 2.0)

    def draw() -> Figure:
        several = graphs > 1
        figure = new_figure(10, 6.2 if several else 3.4)
        axes = figure.subplots(2 if several else 1, 2, squeeze=False)
        heading(figure, "Distances and bottlenecks")
        _draw_reach(axes[0, 0], figures["reach"])
        drawn["curvature"].draw(axes[0, 1], "Curvature of the edges", "balanced Forman curvature", "edges", COLOURS[1])
        if several:
            drawn["diameter"].draw(axes[1, 0], "How far the farthest nodes are", "diameter, in hops", "graphs")
            drawn["resistance"].draw(
                axes[1, 1], "Resistance between nodes", "mean over the pairs of a graph", "graphs", COLOURS[2]
            )
        return figure

    far, curved = values["far_pairs"], values["curvature_negative_share"]
    seen = [f"{share(far)} of the pairs of nodes are more than {_FAR} hops apart."] if far is not None else []
    seen += [f"{share(curved)} of the edges have negative curvature."] if curved is not None else []
    seen += [f"The diameter is {number(values['diameter_mean'])} on average."] if values["diameter_mean"] else []
    return Picture(draw, " ".join(seen) or "There are no pairs of nodes to show.")


def _draw_reach(axes: Axes, reach: list[float | None]) -> None:
    quiet_axes(axes, "How much so many layers see")
    axes.set_ylim(0, 100)
    axes.set_xlabel("layers", color=QUIET, fontsize=9)
    axes.set_ylabel("% of the pairs of nodes", color=QUIET, fontsize=9)
    if None in reach:
        axes.text(0.5, 0.5, "no pairs of nodes", transform=axes.transAxes, ha="center", color=QUIET)
        return
    bars = axes.bar(range(1, len(reach) + 1), [100 * seen for seen in reach], 0.94, color=COLOURS[0])
    axes.bar_label(bars, [f"{100 * seen:.0f}" for seen in reach], padding=2, color=INK, fontsize=8)
    axes.set_ylim(0, 110)


def _of(column: Tensor, reduce: Callable[[Tensor], Tensor]) -> float | None:
    """Of what is finite; ``None`` of nothing."""
    kept = column[column.isfinite()].double()
    return float(reduce(kept)) if kept.numel() else None


def _error(column: Tensor) -> float | None:
    """Standard error of the mean of a sample."""
    kept = column[column.isfinite()].double()
    return float(kept.std() / kept.numel() ** 0.5) if kept.numel() > 1 else None
