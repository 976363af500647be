"""Pictures of graphs: places for the nodes, and colours that are values or classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import networkx as nx
import torch
from torch import Tensor

from gnnlab.drawing import COLOURS, INK, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Colormap

__all__ = ["DIVERGING", "SEQUENTIAL", "class_colours", "draw_graph", "place_nodes"]

SEQUENTIAL = ("#f5f7fa", "#9ecae9", "#0072B2", "#08304f")
DIVERGING = ("#0b4f78", "#6fb1d8", "#f7f7f7", "#eea272", "#9c3d00")
"""Stops of the two colour maps; the middle of the second is zero."""

_PASTEL, _QUIET_EDGE = "#d8dee6", "#b6c0cc"


def place_nodes(edge_index: Tensor, num_nodes: int, ring: bool = False) -> Tensor:
    """Places for the nodes of one graph, so that hops look like distances; components stand side by side.

    Args:
        edge_index: [2, E] long.
        num_nodes: Number N of nodes.
        ring: Along a circle, in the order of their numbers, in place of that.

    Shapes:
        returns [N, 2] float

    Example:
        >>> place_nodes(torch.tensor([[0, 1], [1, 0]]), 3).shape
        torch.Size([3, 2])
    """
    if ring:
        angle = torch.pi / 2 - 2 * torch.pi * torch.arange(num_nodes) / max(num_nodes, 1)
        return torch.stack([angle.cos(), angle.sin()], 1)
    graph = nx.Graph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edge_index.t().tolist())
    place, right = torch.zeros(num_nodes, 2), 0.0
    for part in sorted(nx.connected_components(graph), key=min):
        nodes = sorted(part)
        around = nx.circular_layout(nodes)
        found = nx.kamada_kawai_layout(graph.subgraph(nodes), pos=around) if len(nodes) > 1 else around
        spots = _lying(torch.tensor([found[node].tolist() for node in nodes])) * len(nodes) ** 0.5
        spots = spots - spots.amin(0)
        place[nodes] = spots - torch.tensor([0.0, float(spots[:, 1].max()) / 2]) + torch.tensor([right, 0.0])
        right += float(spots[:, 0].max()) + 1.2
    return place


def draw_graph(
    axes: Axes,
    edge_index: Tensor,
    place: Tensor,
    *,
    values: Tensor | None = None,
    classes: Tensor | None = None,
    edge_classes: Tensor | None = None,
    limits: tuple[float, float] | None = None,
    marked: Sequence[int] = (),
    labels: Sequence[str] | None = None,
    size: float = 150,
    title: str = "",
) -> PathCollection:
    """Draw one graph, its nodes coloured by values or by classes.

    Args:
        axes: Where to.
        edge_index: [2, E] long.
        place: [N, 2] of :func:`place_nodes`.
        values: [N], shown from light to dark; from blue over white to orange if any is negative.
        classes: [N] long, nodes of one class have one colour, the same in every picture.
        edge_classes: [E] long, edges of class 0 stay behind, others have a colour: ``edge_type`` shows a rewiring.
        limits: Values of the ends of the colours; those of ``values`` by default.
        marked: Nodes with a heavy rim.
        labels: Texts inside the nodes.
        size: Of a node, in square points.
        title: Above the graph, at the left.

    Returns:
        The nodes, for a colour bar.
    """
    from matplotlib.collections import LineCollection

    one_way = edge_index[0] < edge_index[1]
    kinds = torch.zeros_like(edge_index[0]) if edge_classes is None else edge_classes
    for kind in kinds[one_way].unique().tolist():
        lines = place[edge_index[:, one_way & (kinds == kind)].t()].tolist()
        colour = COLOURS[kind % len(COLOURS)] if kind else _QUIET_EDGE
        axes.add_collection(LineCollection(lines, colors=colour, lw=1.3, zorder=1 if kind else 0.9))
    heavy = torch.zeros(len(place), dtype=torch.bool)
    heavy[list(marked)] = True
    style = {"s": size, "zorder": 2, "edgecolors": [INK if mark else QUIET for mark in heavy.tolist()]}
    style["linewidths"] = torch.where(heavy, 2.6, 0.8).tolist()
    x, y = place.t().tolist()
    if values is not None:
        low, high = limits or _limits(values)
        nodes = axes.scatter(x, y, c=values.tolist(), cmap=_map(low < 0), vmin=low, vmax=high, **style)
    else:
        colours = [_PASTEL] * len(place) if classes is None else class_colours(classes)
        nodes = axes.scatter(x, y, c=colours, **style)
    for spot, text in zip(place.tolist(), labels or (), strict=False):
        axes.text(*spot, text, ha="center", va="center", fontsize=8, color=INK, zorder=3)
    axes.set_aspect("equal")
    axes.margins(0.14)
    axes.set_axis_off()
    if title:
        axes.set_title(title, loc="left", fontsize=10, color=INK)
    return nodes


def class_colours(classes: Tensor) -> list[str]:
    """A colour for every class: those of gnnlab, then steps around the circle of hues."""
    from colorsys import hls_to_rgb

    from matplotlib.colors import to_hex

    numbers = classes.tolist()
    more = range(max(numbers, default=0) + 1 - len(COLOURS))
    palette = [*COLOURS, *(to_hex(hls_to_rgb((0.38 * step) % 1, 0.62, 0.55)) for step in more)]
    return [palette[number] for number in numbers]


def _lying(spots: Tensor) -> Tensor:
    """Turned so that what is long lies; what is round stays as it is."""
    spots = spots - spots.mean(0)
    scales, axes = torch.linalg.eigh(spots.t() @ spots)
    return spots @ axes.flip(1) if scales[1] > 1.5 * scales[0] else spots


def _limits(values: Tensor) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
    largest = max(abs(low), abs(high))
    if low < -1e-9:
        return -largest, largest
    return (low, high) if high - low > 1e-6 * largest else (low - 0.5, high + 0.5)


def _map(diverging: bool) -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("gnnlab", DIVERGING if diverging else SEQUENTIAL)
