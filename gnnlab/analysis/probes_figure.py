"""Pictures of a sweep over probes: sensitivity by commute time, by distance and width, by depth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gnnlab.analysis.probes import ProbeRow
from gnnlab.drawing import COLOURS, QUIET, heading, new_figure, quiet_axes
from gnnlab.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["sweep_figure"]


def sweep_figure(rows: Sequence[ProbeRow], title: str = "How much one node hears of another") -> Figure:
    """Three panels on logarithmic axes: median over the seeds, and the middle half of them.

    Left, commute time, a colour per family, at the largest width. Middle, distance, a colour per width, the first
    family. Both at the smallest depth that reaches all targets (the largest if none does). Right, depth, a colour per
    distance, the same family at the largest width, with a ring where there are as many layers as hops. Without
    sensitivity there is no point.

    Args:
        rows: Of :func:`gnnlab.analysis.sensitivity_sweep`.
        title: Heading.

    Raises:
        ConfigError: no rows.

    Example:
        >>> from gnnlab.analysis.probes import sensitivity_sweep, transfer_probes
        >>> rows = sensitivity_sweep(transfer_probes("ring", [4, 8]), depths=[4, 6], seeds=[0, 1])
        >>> len(sweep_figure(rows).axes)
        3
    """
    from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

    if not rows:
        raise ConfigError("no rows to draw", where="sweep_figure")
    width, family, farthest = max(row.width for row in rows), rows[0].family, max(row.distance for row in rows)
    depths = {row.depth for row in rows}
    depth = min((layers for layers in depths if layers >= farthest), default=max(depths))
    figure = new_figure(13, 4.2)
    by_time, by_distance, by_depth = figure.subplots(1, 3, sharey=True)
    deep = [row for row in rows if row.depth == depth]
    _lines(by_time, [row for row in deep if row.width == width], lambda row: row.family, lambda row: row.commute_time)
    of_family = [row for row in deep if row.family == family]
    _lines(by_distance, of_family, lambda row: f"width {row.width}", lambda row: row.distance)
    wide = [row for row in rows if row.family == family and row.width == width]
    _lines(by_depth, wide, lambda row: f"{row.distance} hops", lambda row: row.depth)
    exact = [row for row in wide if row.depth == row.distance and row.sensitivity > 0]
    for hops in sorted({row.distance for row in exact}):
        level = np.median([row.sensitivity for row in exact if row.distance == hops])
        by_depth.plot(hops, level, "o", ms=10, mfc="none", mec=QUIET, mew=1.2)
    name = _words(family)
    titles = (
        (by_time, f"width {width}, depth {depth}", "commute time"),
        (by_distance, f"{name}, depth {depth}", "distance, hops"),
        (by_depth, f"{name}, width {width}", "depth, layers"),
    )
    for axes, text, label in titles:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        quiet_axes(axes, text)
        axes.set_xlabel(label, color=QUIET)
        axes.legend(frameon=False, fontsize=9)
    by_time.set_xscale("log")
    by_time.xaxis.set_minor_formatter(NullFormatter())
    by_distance.xaxis.set_major_locator(MaxNLocator(integer=True))
    by_depth.xaxis.set_major_locator(MaxNLocator(integer=True))
    by_time.set_ylabel("sensitivity", color=QUIET)
    heading(figure, title)
    return figure


def _lines(
    axes: Axes, rows: Iterable[ProbeRow], series: Callable[[ProbeRow], str], at: Callable[[ProbeRow], float]
) -> None:
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.sensitivity > 0:
            found[series(row)][at(row)].append(row.sensitivity)
    for colour, (name, points) in zip(COLOURS * (1 + len(found) // len(COLOURS)), found.items(), strict=False):
        places = sorted(points)
        low, middle, high = np.transpose([np.quantile(points[place], [0.25, 0.5, 0.75]) for place in places])
        axes.plot(places, middle, color=colour, marker="o", ms=4, lw=1.6, label=_words(name))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)


def _words(name: str) -> str:
    return name.replace("_", " ")
