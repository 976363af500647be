"""Pictures of results: means with spreads beside published values, and learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gnnlab.benchmark import _format
from gnnlab.benchmark.comparison import Row
from gnnlab.drawing import COLOURS, INK, QUIET, heading, new_figure, quiet_axes

__all__ = ["comparison_figure", "curves_figure"]


def comparison_figure(rows: Sequence[Row], title: str = "") -> Figure:
    """One row per suite: mean, sample standard deviation, every single value and the published number; beside
    it the validation metric over epochs, in the same colours.

    Args:
        rows: Rows of one or more suites.
        title: Heading.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.suite, []).append(row)
    sizes = [len(group) for group in groups.values()]
    height = sum(0.46 * size + 1.15 for size in sizes) + 0.75
    figure = new_figure(12, height)
    shape = {"height_ratios": [s + 1.6 for s in sizes], "width_ratios": [8, 5]}
    panels = figure.subplots(len(groups), 2, squeeze=False, **shape)
    for (points, curves), (suite, group) in zip(panels, groups.items(), strict=True):
        _points(points, suite, group)
        _curves(curves, group, f"val/{group[0].first.metric}")
    if title:
        heading(figure, title)
    marks = [
        Line2D([], [], marker="o", color=COLOURS[0], lw=2, label="ours: mean ± std"),
        Line2D([], [], marker="o", color=COLOURS[0], lw=0, ms=4, alpha=0.35, label="single runs"),
    ]
    if any(row.published is not None for row in rows):
        label = "published: mean ± printed spread"
        marks.append(Line2D([], [], marker="D", color=INK, mfc="white", lw=1, label=label))
    figure.legend(handles=marks, loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    return figure


def curves_figure(rows: Sequence[Row]) -> Figure:
    """Training loss and validation metric over epochs, one colour per model, one thin line per run."""
    figure = new_figure(9, 3 + 0.11 * len(rows))
    for axes, name in zip(figure.subplots(1, 2), ("train/loss", f"val/{rows[0].first.metric}"), strict=True):
        _curves(axes, rows, name)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    return figure


def _curves(axes: Axes, rows: Sequence[Row], name: str) -> None:
    """One logged value over epochs: a colour per model, a thin line per run."""
    for row, colour in zip(rows, _cycle(len(rows)), strict=True):
        curves = [record.curves[name] for record in row.records if record.curves.get(name)]
        for number, curve in enumerate(curves):
            values = [math.nan if value is None else value for value in curve]
            label = row.label if number == 0 else None
            axes.plot(range(1, len(values) + 1), values, color=colour, lw=1.2, alpha=0.75, label=label)
    quiet_axes(axes, name, grid="x")
    axes.set_xlabel("epoch", color=QUIET)


def _points(axes: Axes, suite: str, rows: Sequence[Row]) -> None:
    ordered = list(rows)
    share = _is_share(ordered)
    for place, (row, colour) in enumerate(zip(ordered, _cycle(len(ordered)), strict=True)):
        ours = row.outcome.sample
        if share:
            axes.barh(place, ours.mean, height=0.42, color=colour, alpha=0.18, lw=0)
        axes.plot(row.outcome.values, [place] * len(row.outcome.values), "o", ms=4, color=colour, alpha=0.35, mew=0)
        axes.errorbar(ours.mean, place, xerr=ours.std, fmt="o", color=colour, ms=8, lw=2, capsize=4)
        label, style = (
            _format.sample(ours, row.percent),
            {"textcoords": "offset points", "fontsize": 9, "color": colour},
        )
        if share:
            axes.annotate(label, (ours.mean + (ours.std or 0), place), (10, 0), va="center", **style)
        else:
            axes.annotate(label, (ours.mean, place), (0, 9), ha="center", **style)
        if row.published is not None:
            published = {"fmt": "D", "color": INK, "mfc": "white", "ms": 6, "lw": 1, "capsize": 3}
            axes.errorbar(row.published.mean, place + 0.24, xerr=row.published.std, **published)
    quiet_axes(axes, f"{suite}   {_format.metric_title(rows[0])}", grid="x")
    axes.set_yticks(range(len(ordered)), [row.label for row in ordered], fontsize=10)
    axes.set_ylim(len(ordered) - 0.45, -0.75)
    if share:
        top = 100 if rows[0].percent else 1
        axes.set_xlim(0, 1.35 * top)
        axes.set_xticks([top * step / 5 for step in range(6)])
    else:
        axes.margins(x=0.12)


def _is_share(rows: Sequence[Row]) -> bool:
    """Whether the length of a bar from 0 means something: a bounded metric, higher is better, wide spread."""
    means = [row.outcome.sample.mean for row in rows] + [r.published.mean for r in rows if r.published]
    top = 100 if rows[0].percent else 1
    return (
        rows[0].first.higher_is_better and min(means) >= 0 and max(means) - min(means) > 0.3 * top >= 0.3 * max(means)
    )


def _cycle(number: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(number)]
