"""Histograms that keep counts only, and choose bins that suit whole numbers, heavy tails or anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from gnnlab.drawing import COLOURS, INK, QUIET, quiet_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Histogram", "histogram"]

_BINS = 40
_TAIL = 50
"""Largest over median from which a tail counts as heavy."""


@dataclass(frozen=True)
class Histogram:
    """Counts between edges.

    Args:
        edges: [B + 1] increasing.
        counts: [B].
        logarithmic: Whether bins and axes are.
        mean: Of the values; ``None`` of none.
    """

    edges: np.ndarray
    counts: np.ndarray
    logarithmic: bool
    mean: float | None

    def draw(self, axes: Axes, title: str, unit: str, counted: str, colour: str = COLOURS[0]) -> None:
        """Bars, with the mean as a line."""
        quiet_axes(axes, title)
        if self.mean is None:
            axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=QUIET)
            return
        gap = 0.94 if self.counts.size <= _BINS else 1.0
        axes.bar(self.edges[:-1], self.counts, gap * np.diff(self.edges), align="edge", color=colour)
        if self.logarithmic:
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.5)
        axes.axvline(self.mean, color=INK, lw=1, ls="--")
        axes.set_xlabel(f"{unit} (dashed: mean {self.mean:,.3g})", color=QUIET, fontsize=9)
        axes.set_ylabel(counted, color=QUIET, fontsize=9)


def histogram(values: Tensor, low: float | None = None, high: float | None = None) -> Histogram:
    """Of the finite values, in up to forty bins.

    Whole numbers of a small range get a bin each; positive values with a heavy tail get bins that grow.

    Args:
        values: Any shape.
        low: Where the first bin begins; the least value by default.
        high: Where the last one ends.
    """
    kept = values.detach().cpu().double().numpy().ravel()
    kept = kept[np.isfinite(kept)]
    if not kept.size:
        return Histogram(np.array([0.0, 1.0]), np.zeros(1), False, None)
    least, most = kept.min() if low is None else low, kept.max() if high is None else high
    whole = low is None and high is None and bool((kept == np.round(kept)).all())
    heavy = least >= 0 and most > _TAIL * max(float(np.median(kept)), 1.0 if whole else 0.0) > 0
    if heavy:
        start = max(least, 1.0) if whole else kept[kept > 0].min()
        edges = np.geomspace(start, most * (1 + 1e-9), _BINS + 1)
        # Zero has no place on a logarithmic axis: it is counted with the smallest.
        kept = np.maximum(kept, start)
        edges = np.unique(np.ceil(edges - 0.5) - 0.5) if whole else edges
        edges = np.append(edges[edges < most], most + 0.5) if whole else edges
    elif whole:
        width = max(1, int(np.ceil((most - least + 1) / _BINS)))
        edges = np.arange(least - 0.5, most + width + 0.5, width)
    else:
        edges = np.linspace(least, most if most > least else least + 1, _BINS + 1)
    return Histogram(edges, np.histogram(kept, edges)[0], heavy, float(values[values.isfinite()].double().mean()))
