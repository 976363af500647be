"""How every picture of gnnlab looks: colours, quiet axes, headings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "GRID", "INK", "QUIET", "heading", "new_figure", "quiet_axes"]

# Okabe-Ito, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#4D4D4D")
INK = "#1f2933"
QUIET = "#616e7c"
GRID = "#e4e7eb"


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of so many inches, laid out by matplotlib; it needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def quiet_axes(axes: Axes, title: str = "", *, grid: Literal["x", "y", "both"] = "y") -> None:
    """Axes that stay behind what they carry: one line below, a faint grid, the title at the left."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis=grid, color=GRID, lw=0.8)
    axes.tick_params(length=0, colors=QUIET)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, loc="left", fontsize=11, color=INK)


def heading(figure: Figure, title: str) -> None:
    """The heading of a figure, at its left."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)
