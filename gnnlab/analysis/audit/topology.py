"""Section of an audit: how far messages have to travel, and through how narrow places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnnlab.analysis.audit._bridges import is_bridge
from gnnlab.analysis.audit._facts import number, share
from gnnlab.analysis.audit._histogram import histogram
from gnnlab.analysis.audit.report import AuditTable, Picture, Section
from gnnlab.analysis.audit.sample import AuditSample, Excerpt, union_of
from gnnlab.analysis.topology import topology_profile
from gnnlab.data import GraphStore
from gnnlab.drawing import COLOURS, INK, QUIET, heading, new_figure, quiet_axes
from gnnlab.graph import balanced_forman_curvature, connected_components, distance_histogram, undirected_edges
from gnnlab.ops import expand_ptr, segment_reduce

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["topology_section"]

_NODES = 60_000
"""Nodes of all graphs that are looked at: about 10 seconds of one core where graphs have 150 nodes."""

_GRAPHS = 2000
_LARGEST = 20_000
_SOURCES = 500
"""Nodes of a graph of more than ``_EXACT`` nodes whose distances to all others are looked at."""

_EXACT = 3000

_PAIRS = 2000
_HOPS = 8
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


@torch.no_grad()
def topology_section(sample: AuditSample, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> Section:
    """Distances, resistances, cuts and curvature.

    Components, bridges and trees are those of all graphs; the rest is of at most 60,000 nodes (2,000 graphs),
    a graph of more than 20,000 nodes represented by a ball of that many, and of the largest component of every graph.

    Args:
        sample: What is looked at.
        track: Wraps the chunks of graphs.
    """
    whole = _shape(sample.store)
    mean_nodes = max(sample.store.num_nodes / len(sample.store), 1)
    part = sample.excerpt(max(min(_GRAPHS, int(_NODES / mean_nodes)), 1), _LARGEST)
    store = _largest_components(part.store)
    profile = topology_profile(store, seed=sample.seed, max_pairs=_PAIRS, track=track)
    edges, ptr = union_of(store)
    near, all_near = _reach(edges, ptr, sample.seed)
    one_way = undirected_edges(edges, ptr)
    curvature = balanced_forman_curvature(one_way, ptr, symmetrise=True)
    names = ("diameter", "resistance_mean", "resistance_by_degree", "spectral_gap", "cheeger_lower", "cheeger_upper")
    of = {name: profile.values[name] for name in (*names, "curvature_mean")}
    # Of a connected graph the commute time of all pairs follows from their resistance.
    of["commute_mean"] = of["resistance_mean"] * 2 * profile.values["edges"]
    of["far_pairs"] = 1 - near[:, _FAR - 1]
    of |= {name: whole[name] for name in ("components", "bridges")}
    kinds = profile.kinds | {"commute_mean": profile.kinds["resistance_mean"], "far_pairs": (~all_near).long()}
    estimated = [_LABELS[name] for name in (*names, "commute_mean", "far_pairs") if bool((kinds[name] > 0).any())]
    reach = _mean_columns(near)
    values = {
        "components_mean": _of(of["components"], torch.mean),
        "disconnected_share": _of((whole["components"] > 1).double(), torch.mean),
        "tree_share": _of(whole["tree"], torch.mean),
        "bridge_share": _of(of["bridges"], torch.mean),
        "diameter_max": _of(of["diameter"], torch.max),
        "spectral_gap_min": _of(of["spectral_gap"], torch.min),
        "curvature_negative_share": float((curvature < -_ROUNDING).double().mean()) if curvature.numel() else None,
        "estimated": estimated,
        "reach": reach,
        "sampled": len(part.store),
        "whole": part.whole,
    }
    means = ("diameter", "spectral_gap", "cheeger_lower", "cheeger_upper")
    values |= {f"{name}_mean": _of(of[name], torch.mean) for name in means}
    plain = ("resistance_mean", "commute_mean", "resistance_by_degree", "curvature_mean", "far_pairs")
    values |= {name: _of(of[name], torch.mean) for name in plain}
    values |= {"errors": {name: _error(of[name]) for name in (*means, *plain)} if not part.whole else {}}
    worst = _worst(sample, part, of, profile.values["nodes"])
    figures = {"diameter": of["diameter"], "resistance": of["resistance_mean"], "curvature": curvature, "reach": reach}
    return Section(
        key="topology",
        title="Distances and bottlenecks",
        question="How far do messages have to travel, and how narrow is the way?",
        text=_text(part, whole),
        tables=(_measures(of, part, estimated), _layers(reach), *worst),
        pictures=(_picture(figures, values, len(part.store)),),
        values=values,
    )


def _shape(store: GraphStore) -> dict[str, Tensor]:
    """Of every graph, exactly: components, share of edges that are bridges, and whether it has no cycle."""
    edges, ptr = union_of(store)
    graphs, batch = len(store), expand_ptr(ptr)
    one_way = undirected_edges(edges, ptr, symmetrise=True)
    component = connected_components(one_way, batch.numel())
    # A component is numbered by its first node, so new numbers appear in the order of nodes.
    first = component.diff(prepend=component.new_tensor([-1])) > 0
    first &= component > torch.cat([component.new_tensor([-1]), component.cummax(0).values[:-1]])
    components = torch.bincount(batch[first], minlength=graphs)
    count = torch.bincount(batch[one_way[0]], minlength=graphs)
    bridges = torch.bincount(batch[one_way[0][is_bridge(one_way, batch.numel())]], minlength=graphs)
    return {
        "components": components.double(),
        "bridges": bridges / torch.where(count > 0, count, torch.nan),
        "tree": (count == ptr.diff() - components).double(),
    }


def _largest_components(store: GraphStore) -> GraphStore:
    """The largest component of every graph as simple undirected graph, without features."""
    edges, ptr = union_of(store)
    graphs, batch = len(store), expand_ptr(ptr)
    one_way = undirected_edges(edges, ptr, symmetrise=True)
    component = connected_components(one_way, batch.numel())
    members = torch.bincount(component)[component] if component.numel() else component
    # The largest one that comes first: by size, then by number.
    rank = members * (batch.numel() + 1) - component
    best = torch.zeros(graphs, dtype=torch.long).scatter_reduce_(0, batch, rank, "amax", include_self=False)
    kept = rank == best[batch]
    one_way = one_way[:, kept[one_way[0]]]
    sizes = torch.bincount(batch[kept], minlength=graphs)
    start, owner = sizes.cumsum(0) - sizes, batch[one_way[0]]
    local = (kept.cumsum(0) - 1)[one_way] - start[owner]
    return GraphStore.from_tensors(
        num_nodes=sizes,
        num_edges=2 * torch.bincount(owner, minlength=graphs),
        edge_index=torch.stack([local, local.flip(0)], 2).reshape(2, -1),
    )


def _reach(edges: Tensor, ptr: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """[G, hops] share of the pairs at most so many hops apart (NaN without pairs), and [G] whether all were counted."""
    sizes, batch = ptr.diff(), expand_ptr(ptr)
    exact = sizes <= _EXACT
    targets = None
    if not bool(exact.all()):
        place = torch.rand(batch.numel(), generator=torch.Generator().manual_seed(seed)).argsort()
        place = place[batch[place].argsort(stable=True)]
        rank = torch.empty_like(place).index_copy_(0, place, torch.arange(place.numel()) - ptr[batch[place]])
        targets = exact[batch] | (rank < _SOURCES)
    counts = distance_histogram(edges, ptr, _HOPS, targets)[:, 1:]
    found = segment_reduce(counts.double(), ptr, "sum").cumsum(1)
    searched = torch.where(exact, sizes, sizes.clamp(max=_SOURCES))
    pairs = (searched * (sizes - 1)).double()
    return found / torch.where(pairs > 0, pairs, torch.nan)[:, None], exact


def _text(part: Excerpt, whole: dict[str, Tensor]) -> tuple[str, ...]:
    apart = int((whole["components"] > 1).sum())
    fall = "the graph falls" if whole["components"].numel() == 1 else f"{apart:,} graphs fall"
    parts = f"; {fall} into parts, of which the largest is looked at" if apart else ""
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
        f"Measured on {part.text}{parts}. Parts and bridges are counted in all graphs.",
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
            error = _error(of[name]) if name not in ("components", "bridges") else None
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


def _worst(sample: AuditSample, part: Excerpt, of: dict[str, Tensor], nodes: Tensor) -> tuple[AuditTable, ...]:
    resistance = of["resistance_mean"].nan_to_num(nan=-1.0)
    chosen = resistance.topk(min(_WORST, resistance.numel())).indices
    chosen = chosen[resistance[chosen] >= 0]
    if len(part.store) < 2 or not chosen.numel():
        return ()
    graphs = sample.index[part.index[chosen]].tolist()
    columns = ("diameter", "resistance_mean", "spectral_gap", "cheeger_upper")
    lines = tuple(
        (f"graph {graph}", f"{int(nodes[row]):,}", *(number(float(of[name][row])) for name in columns))
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


def _mean_columns(near: Tensor) -> list[float | None]:
    return [_of(column, torch.mean) for column in near.unbind(1)]


def _of(column: Tensor, reduce: Callable[[Tensor], Tensor]) -> float | None:
    """Of what is finite; ``None`` of nothing."""
    kept = column[column.isfinite()].double()
    return float(reduce(kept)) if kept.numel() else None


def _error(column: Tensor) -> float | None:
    """Standard error of the mean of a sample."""
    kept = column[column.isfinite()].double()
    return float(kept.std() / kept.numel() ** 0.5) if kept.numel() > 1 else None
