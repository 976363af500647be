"""Pictures of asynchronous inference: error against staleness."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from gnnlab.analysis.asynchrony_table import AsynchronyRow

__all__ = ["asynchrony_figure"]

# Okabe-Ito, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#4D4D4D")
_INK, _QUIET, _GRID = "#1f2933", "#616e7c", "#e4e7eb"


def asynchrony_figure(rows: Sequence[AsynchronyRow], title: str = "") -> Figure:
    """Error over B, one line per model, with the spread of the runs; dashed, the error of the model in lock-step.

    Args:
        rows: Of one dataset.
        title: Heading.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained", facecolor="white")
    axes = figure.subplots()
    names = list(dict.fromkeys(row.model for row in rows))
    for index, name in enumerate(names):
        own, colour = [row for row in rows if row.model == name], _COLOURS[index % len(_COLOURS)]
        bounds, means = [row.staleness for row in own], [row.mean for row in own]
        axes.errorbar(bounds, means, yerr=[row.std for row in own], color=colour, marker="o", ms=5, lw=1.6, label=name)
        axes.axhline(own[0].synchronous, color=colour, ls=(0, (4, 3)), lw=0.9, alpha=0.7)
    axes.set_xscale("log")
    axes.set_xticks(sorted({row.staleness for row in rows}))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.grid(axis="y", color=_GRID, lw=0.8)
    axes.tick_params(length=0, colors=_QUIET)
    axes.set_axisbelow(True)
    axes.set_xlabel("staleness B, ticks", color=_QUIET)
    axes.set_title("error, per cent", loc="left", fontsize=11, color=_INK)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=_INK)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure
