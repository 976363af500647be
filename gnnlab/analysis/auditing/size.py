"""Section of an audit: how many graphs, how large, how dense, and whether their edges are what one expects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gnnlab.analysis.auditing._facts import number, share
from gnnlab.analysis.auditing._histogram import Histogram, histogram
from gnnlab.analysis.auditing.report import AuditTable, Picture, Section
from gnnlab.analysis.auditing.sample import AuditSample, union_of
from gnnlab.drawing import COLOURS, heading, new_figure
from gnnlab.graph import undirected_edges
from gnnlab.ops import expand_ptr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["size_section"]


@torch.no_grad()
def size_section(sample: AuditSample, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> Section:
    """Counts of graphs, nodes and edges, degrees, and what is unusual about edges and features.

    Degrees, edges and density are those of the simple undirected graph: directions, self-loops and repetitions are
    counted apart.

    Args:
        sample: What is looked at; all of it, exactly.
        track: Not needed, as nothing takes long.
    """
    edges, ptr = union_of(sample.store)
    sizes, batch = ptr.diff(), expand_ptr(ptr)
    one_way = undirected_edges(edges, ptr, symmetrise=True)
    degree = torch.bincount(one_way.flatten(), minlength=batch.numel())
    count = torch.bincount(batch[one_way[0]], minlength=sizes.numel())
    loops = int((edges[0] == edges[1]).sum())
    distinct = (edges[0] * max(batch.numel(), 1) + edges[1]).unique().numel()
    distinct_loops = edges[0][edges[0] == edges[1]].unique().numel()
    pairs = (sizes * (sizes - 1)).double() / 2
    density = count / torch.where(pairs > 0, pairs, torch.nan)
    isolated = int((degree == 0).sum())
    values = {
        "graphs": sizes.numel(),
        "nodes": batch.numel(),
        "nodes_mean": _mean(sizes),
        "nodes_min": _extreme(sizes, torch.min),
        "nodes_max": _extreme(sizes, torch.max),
        "edges": int(count.sum()),
        "edges_mean": _mean(count),
        "edges_max": _extreme(count, torch.max),
        "degree_mean": _mean(degree),
        "degree_max": _extreme(degree, torch.max),
        "density_mean": _mean(density[density.isfinite()]),
        "isolated_share": isolated / batch.numel() if batch.numel() else None,
        "self_loops": loops,
        "duplicate_edges": edges.size(1) - distinct,
        "directed": distinct - distinct_loops != 2 * one_way.size(1),
        "level": sample.level,
        **_features(sample, "x", "node"),
        **_features(sample, "edge_attr", "edge"),
    }
    each = {"nodes": sizes, "undirected edges": count, "density": density}
    # A single graph has no distribution of sizes.
    several = {f"{name} per graph": column for name, column in each.items()} if sizes.numel() > 1 else each
    of_nodes = histogram(sizes), histogram(degree)
    return Section(
        key="size",
        title="Size and degrees",
        question="How large are the graphs, and is anything odd about how they are stored?",
        text=(
            "Nodes and edges say what a batch costs; degrees say how many messages a node has to add up. "
            "Edges are counted once for both directions; the density is their share of all possible edges.",
            "Self-loops and repeated edges are easy to overlook, and layers that sum over edges count them. "
            "A node without neighbours learns nothing from the graph, whatever the network.",
        ),
        tables=(_sizes({**several, "neighbours per node": degree}), _storage(values, isolated)),
        pictures=(Picture(lambda: _figure(*of_nodes, sizes.numel()), _seen(values)),),
        values=values,
    )


def _features(sample: AuditSample, column: str, of: str) -> dict[str, int | bool | str | None]:
    """Columns of features, whether they are numbers or categories, and whether they say anything at all."""
    store = sample.store
    if column not in store.columns:
        return {f"{of}_features": 0, f"{of}_feature_kind": None, f"{of}_features_constant": None}
    stored = store.columns[column]
    rows = stored.data.reshape(stored.data.size(0), -1) if stored.data.size(0) else stored.data.reshape(0, 0)
    return {
        f"{of}_features": rows.size(1),
        f"{of}_feature_kind": "numbers" if stored.dtype.is_floating_point else "categories",
        f"{of}_features_constant": bool((rows == rows[:1]).all()) if rows.numel() else None,
    }


def _sizes(columns: dict[str, Tensor]) -> AuditTable:
    lines = []
    for name, column in columns.items():
        kept = column[column.isfinite()].double()
        cells = [kept.mean(), kept.min(), kept.median(), kept.max()] if kept.numel() else []
        if column.numel() == 1 and kept.numel():
            cells = cells[:1]
        lines.append((name, *(number(float(cell)) for cell in cells), *["-"] * (4 - len(cells))))
    return AuditTable(("", "mean", "least", "median", "most"), tuple(lines))


def _storage(values: dict, isolated: int) -> AuditTable:
    described = {of: _described(values, of) for of in ("node", "edge")}
    lines = (
        ("direction", "some edges go one way only" if values["directed"] else "every edge in both directions"),
        ("self-loops", f"{values['self_loops']:,}"),
        ("repeated edges", f"{values['duplicate_edges']:,}"),
        ("nodes without neighbours", f"{isolated:,} ({share(values['isolated_share'] or 0.0)})"),
        ("node features", described["node"]),
        ("edge features", described["edge"]),
        ("target of a", values["level"] or "nothing: there are no targets"),
    )
    return AuditTable(("", "found"), lines)


def _described(values: dict, of: str) -> str:
    kind, constant = values[f"{of}_feature_kind"], values[f"{of}_features_constant"]
    text = f"{values[f'{of}_features']:,} columns of {kind}" if kind else "none"
    return f"{text}, all alike: they say nothing" if constant else text


def _figure(sizes: Histogram, degree: Histogram, graphs: int) -> Figure:
    figure = new_figure(10, 3.4) if graphs > 1 else new_figure(6.5, 3.4)
    axes = figure.subplots(1, 2 if graphs > 1 else 1, squeeze=False)[0]
    heading(figure, "Size and degrees")
    if graphs > 1:
        sizes.draw(axes[0], "How large graphs are", "nodes of a graph", "graphs")
    degree.draw(axes[-1], "How many neighbours nodes have", "neighbours of a node", "nodes", COLOURS[2])
    return figure


def _seen(values: dict) -> str:
    if not values["nodes"]:
        return "There are no nodes to count."
    degrees = f"Nodes have {number(values['degree_mean'])} neighbours on average and up to {values['degree_max']:,}."
    if values["graphs"] == 1:
        return f"Histogram. {degrees}"
    sizes = f"Graphs have {number(values['nodes_mean'])} nodes on average and up to {values['nodes_max']:,}."
    return f"Two histograms. {sizes} {degrees}"


def _mean(column: Tensor) -> float | None:
    return float(column.double().mean()) if column.numel() else None


def _extreme(column: Tensor, which: Callable[[Tensor], Tensor]) -> int | None:
    return int(which(column)) if column.numel() else None
