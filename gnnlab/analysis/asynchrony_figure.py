"""Pictures of asynchronous inference: error against staleness."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from gnnlab.analysis.asynchrony_table import AsynchronyRow
from gnnlab.drawing import COLOURS, QUIET, heading, new_figure, quiet_axes

__all__ = ["asynchrony_figure"]


def asynchrony_figure(rows: Sequence[AsynchronyRow], title: str = "") -> Figure:
    """Error over B, one line per model, with the spread of the runs; dashed, the error of the model in lock-step.

    Args:
        rows: Of one dataset.
        title: Heading.
    """
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    names = list(dict.fromkeys(row.model for row in rows))
    for index, name in enumerate(names):
        own, colour = [row for row in rows if row.model == name], COLOURS[index % len(COLOURS)]
        bounds, means = [row.staleness for row in own], [row.mean for row in own]
        axes.errorbar(bounds, means, yerr=[row.std for row in own], color=colour, marker="o", ms=5, lw=1.6, label=name)
        axes.axhline(own[0].synchronous, color=colour, ls=(0, (4, 3)), lw=0.9, alpha=0.7)
    axes.set_xscale("log")
    axes.set_xticks(sorted({row.staleness for row in rows}))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    quiet_axes(axes, "error, per cent")
    axes.set_xlabel("staleness B, ticks", color=QUIET)
    if title:
        heading(figure, title)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure
