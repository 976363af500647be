"""Pictures of labels: how often every class or label occurs, how targets spread, and how far a label reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from gnnlab.analysis.auditing._histogram import Histogram, histogram
from gnnlab.drawing import COLOURS, INK, QUIET, heading, new_figure, quiet_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["balance_figure", "distance_figure", "target_figure", "target_histograms"]

_BARS = 40
_PANELS = 6


def balance_figure(names: list[str], shares: list[float], what: str) -> Figure:
    """A bar per class or label, the forty most frequent ones at most."""
    order = sorted(range(len(shares)), key=lambda place: -shares[place])[:_BARS]
    order = order if len(shares) > _BARS else sorted(order)
    figure = new_figure(min(max(0.45 * len(order) + 2, 4), 11), 3.4)
    axes = figure.subplots()
    heading(figure, "Labels")
    quiet_axes(axes, what if len(order) == len(shares) else f"{what}: the {_BARS} most frequent of {len(shares):,}")
    axes.bar(range(len(order)), [100 * shares[place] for place in order], 0.8, color=COLOURS[0])
    axes.set_xticks(range(len(order)), [names[place] for place in order], rotation=90 if len(order) > 12 else 0)
    axes.set_ylabel("% of what is labelled", color=QUIET, fontsize=9)
    return figure


def target_histograms(values: Tensor, known: Tensor) -> list[Histogram]:
    """Of the first six targets."""
    columns = zip(values.unbind(1)[:_PANELS], known.unbind(1)[:_PANELS], strict=True)
    return [histogram(column[there]) for column, there in columns]


def target_figure(drawn: list[Histogram], targets: int) -> Figure:
    """A histogram per target."""
    columns = min(len(drawn), 3)
    rows = -(-len(drawn) // columns)
    figure = new_figure(3.6 * columns + 1, 2.4 * rows + 0.8)
    heading(figure, "Targets" if len(drawn) == targets else f"Targets: the first {len(drawn)} of {targets}")
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if place < len(drawn):
            drawn[place].draw(axes, f"target {place}" if targets > 1 else "", "value", "examples")
        else:
            axes.set_axis_off()
    return figure


def distance_figure(shares: list[float | None], chance: float) -> Figure:
    """How often labels agree at every distance, beside what chance gives."""
    figure = new_figure(6.5, 3.4)
    axes: Axes = figure.subplots()
    heading(figure, "Labels at a distance")
    quiet_axes(axes)
    there = [(hops, 100 * share) for hops, share in enumerate(shares, 1) if share is not None]
    if there:
        axes.plot(*zip(*there, strict=True), color=COLOURS[0], marker="o")
        axes.set_xticks([hops for hops, _ in there])
    axes.axhline(100 * chance, color=INK, lw=1, ls="--")
    axes.set_ylim(0, 100)
    axes.set_xlabel(f"hops between two nodes (dashed: any two nodes, {100 * chance:.0f} %)", color=QUIET, fontsize=9)
    axes.set_ylabel("% of pairs with equal labels", color=QUIET, fontsize=9)
    return figure
