"""Section of an audit: what every rewiring would change, with as many edges, beside random edges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnnlab.analysis.auditing._facts import number, share
from gnnlab.analysis.auditing.report import AuditTable, Picture, Section
from gnnlab.analysis.auditing.sample import AuditSample, union_of
from gnnlab.data import GraphStore
from gnnlab.drawing import COLOURS, INK, QUIET, heading, new_figure, quiet_axes
from gnnlab.errors import GnnlabError
from gnnlab.graph import connected_components, undirected_edges
from gnnlab.ops import expand_ptr
from gnnlab.rewiring import (
    AFR,
    BORF,
    GTR,
    LASER,
    SDRF,
    Expander,
    FoSR,
    RandomEdges,
    Rewiring,
    VirtualNode,
)
from gnnlab.rewiring.report import GraphMeasures, graph_measures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["rewiring_section"]

_NODES, _GRAPHS = 4000, 100
_LARGEST = 1000
"""Nodes of a graph, above which a ball of that many is looked at: greedy choices take n^2 and more per edge."""

_SHARE, _MOST = 0.1, 50
"""Of the edges there are, as many are added; and no more than that."""

_TRANSPORT = 2 * 10**6
"""Sum of the products of the degrees of all edges up to which optimal transports are solved, as BORF does."""

_LEFT_OUT = (
    "DIGL, DRewShells and FullyAdjacent join so many pairs that there is no budget to compare at: "
    "a graph of few nodes becomes complete."
)


@torch.no_grad()
def rewiring_section(sample: AuditSample, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> Section:
    """Resistance, spectral gap, diameter and homophily before and after every rewiring.

    Looked at are the largest components of at most 100 graphs and 4,000 nodes, as simple undirected graphs, of a
    graph of more than 1,000 nodes a ball of that many. The budget is a tenth of the mean number of edges, at most 50.

    Args:
        sample: What is looked at.
        track: Wraps the rewirings, one after the other.
    """
    mean_nodes = max(sample.store.num_nodes / len(sample.store), 1)
    part = sample.excerpt(max(min(_GRAPHS, int(_NODES / mean_nodes)), 1), _LARGEST)
    store = _largest_components(part.store, sample.level)
    edges = store.num_edges / 2 / len(store)
    budget = max(1, min(_MOST, round(_SHARE * edges)))
    rows: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    reasons = [_LEFT_OUT]
    equal, free = _equal(budget, sample.seed), _free(sample.seed)
    if edges:
        names, before = [*equal, *free], _measured(store)
        for step in track(list(torch.arange(len(names)).unbind(0))):
            name = names[int(step)]
            try:
                _check_transport(name, store)
                row = _compared(name, before, _measured(store.map((equal | free)[name])))
            except GnnlabError as error:
                reasons.append(f"{name} is left out, because {error.what}.")
                continue
            (rows if name in equal else others).append(row)
    values = {"budget": budget, "rows": rows, "others": others, "sampled": len(store), "left_out": reasons}
    values["excerpt"] = None if part.whole else part.text
    return Section(
        key="rewiring",
        title="What rewiring would change",
        question="Would other edges bring far nodes closer, and more so than random ones?",
        text=_text(part.text, budget, bool(edges), reasons),
        tables=_tables(rows, others, budget),
        pictures=(_picture(rows, others, budget),) if rows else (),
        values=values,
    )


def _equal(budget: int, seed: int) -> dict[str, Rewiring]:
    """Rewirings that add a given number of edges, and the control."""
    return {
        "GTR": GTR(num_edges=budget),
        "FoSR": FoSR(num_edges=budget, seed=seed),
        "SDRF": SDRF(num_iterations=budget, max_curvature=None, seed=seed),
        "BORF": BORF(num_added=budget, num_removed=0),
        "AFR": AFR(num_edges=budget, num_removed=0, seed=seed),
        "RandomEdges": RandomEdges(num_edges=budget, seed=seed),
    }


def _free(seed: int) -> dict[str, Rewiring]:
    """Rewirings that add as many edges as they do, whatever the budget."""
    laser = LASER(seed=seed)
    return {
        "LASER": laser,
        "RandomEdges like LASER": RandomEdges(like=laser, seed=seed),
        "Expander": Expander(seed=seed),
        "VirtualNode": VirtualNode(),
    }


def _check_transport(name: str, store: GraphStore) -> None:
    if name != "BORF":
        return
    edges, ptr = union_of(store)
    degree = torch.bincount(edges[0], minlength=int(ptr[-1])).double()
    work = float((degree[edges[0]] * degree[edges[1]]).sum())
    if work > _TRANSPORT:
        raise GnnlabError("optimal transports between neighbourhoods as large as here take too long")


def _measured(store: GraphStore) -> GraphMeasures:
    return graph_measures(store[torch.arange(len(store))])


def _compared(name: str, before: GraphMeasures, after: GraphMeasures) -> dict[str, Any]:
    """What a rewiring that removes nothing did."""
    resistance = [_pair_mean(side.total_resistance, side.nodes) for side in (before, after)]
    return {
        "name": name,
        "added": float((after.edges - before.edges).double().mean()) / 2,
        "removed": 0.0,
        "resistance_ratio": _ratio(*resistance),
        "gap_ratio": _ratio(before.spectral_gap, after.spectral_gap),
        "diameter_ratio": _ratio(before.diameter.double(), after.diameter.double()),
        "homophily_before": _mean(before.edge_homophily),
        "homophily_after": _mean(after.edge_homophily),
    }


def _pair_mean(total: Tensor, nodes: Tensor) -> Tensor:
    pairs = nodes * (nodes - 1) / 2
    return total / torch.where(pairs > 0, pairs, torch.nan)


def _ratio(before: Tensor, after: Tensor) -> float | None:
    """Of the means over the graphs."""
    low, high = _mean(before), _mean(after)
    return high / low if low and high is not None else None


def _mean(values: Tensor) -> float | None:
    kept = values[values.isfinite()].double()
    return float(kept.mean()) if kept.numel() else None


def _largest_components(store: GraphStore, level: str | None) -> GraphStore:
    """The largest component of every graph, without features, with the classes of its nodes if they have any."""
    edges, ptr = union_of(store)
    graphs, batch = len(store), expand_ptr(ptr)
    one_way = undirected_edges(edges, ptr, symmetrise=True)
    component = connected_components(torch.cat([one_way, one_way.flip(0)], 1), batch.numel())
    members = torch.bincount(component)[component] if component.numel() else component
    rank = members * (batch.numel() + 1) - component
    best = torch.zeros(graphs, dtype=torch.long).scatter_reduce_(0, batch, rank, "amax", include_self=False)
    kept = rank == best[batch]
    one_way = one_way[:, kept[one_way[0]]]
    sizes = torch.bincount(batch[kept], minlength=graphs)
    start, owner = sizes.cumsum(0) - sizes, batch[one_way[0]]
    local = (kept.cumsum(0) - 1)[one_way] - start[owner]
    node = {}
    if level == "node":
        y = store.column("y").cpu().reshape(batch.numel(), -1)
        if y.size(1) == 1 and not y.is_floating_point():
            node["y"] = y[kept, 0]
    return GraphStore.from_tensors(
        num_nodes=sizes,
        num_edges=2 * torch.bincount(owner, minlength=graphs),
        edge_index=torch.stack([local, local.flip(0)], 2).reshape(2, -1),
        node=node,
    )


def _text(what: str, budget: int, edges: bool, reasons: list[str]) -> tuple[str, ...]:
    if not edges:
        return ("There are no edges, so there is nothing to rewire.",)
    return (
        "Rewiring changes the graph before training, so that messages between far nodes need fewer steps or have more "
        "ways. Each line adds about as many edges, one tenth of those there are (at most 50), and says how the graph "
        "changes. RandomEdges is the control: what random edges do as well is not due to a clever choice.",
        "Below 1 is better for resistance (few long detours) and diameter, above 1 for the spectral gap (no "
        "bottleneck). None of this says that a model gets better: that takes an experiment, with the control.",
        f"Measured on {what}; of a graph that falls into parts, on the largest. Budget: {budget:,} edges per graph.",
        " ".join(reasons),
    )


def _tables(rows: list[dict[str, Any]], others: list[dict[str, Any]], budget: int) -> tuple[AuditTable, ...]:
    if not rows:
        return (AuditTable(("rewiring", "edges added"), (("none", "-"),), "There was nothing to compare."),)
    few = min(row["added"] for row in rows) < 0.9 * budget
    note = "Fewer edges than the budget: no more pairs were left that the method would join." if few else ""
    tables = [_table("as many edges", rows, note)]
    if others:
        note = "These add as many edges as they need; compare them with the random edges of the same number."
        tables.append(_table("their own number of edges", others, note))
    return tuple(tables)


def _table(title: str, rows: list[dict[str, Any]], note: str) -> AuditTable:
    labelled = any(row["homophily_before"] is not None for row in rows)
    header = (title, "edges added", "resistance", "spectral gap", "diameter", *["edge homophily"] * labelled)
    lines = []
    for row in rows:
        ratios = ["-" if row[key] is None else f"x {number(row[key])}" for key in _RATIOS]
        pair = (row["homophily_before"], row["homophily_after"])
        mixed = ["-" if None in pair else f"{share(pair[0])} to {share(pair[1])}"] * labelled
        lines.append((row["name"], number(row["added"]), *ratios, *mixed))
    return AuditTable(header, tuple(lines), note)


_RATIOS = ("resistance_ratio", "gap_ratio", "diameter_ratio")


def _picture(rows: list[dict[str, Any]], others: list[dict[str, Any]], budget: int) -> Picture:
    def draw() -> Figure:
        shown = [*others[::-1], *rows[::-1]]
        figure = new_figure(10, 1.3 + 0.32 * len(shown))
        heading(figure, "What rewiring would change")
        panels = (
            ("resistance_ratio", "Resistance of a pair, after / before"),
            ("gap_ratio", "Spectral gap, after / before"),
        )
        for axes, (key, title), colour in zip(figure.subplots(1, 2), panels, COLOURS, strict=False):
            quiet_axes(axes, title, grid="x")
            found = [row[key] or 0.0 for row in shown]
            colours = [QUIET if row["name"].startswith("Random") else colour for row in shown]
            bars = axes.barh(range(len(shown)), found, 0.75, color=colours)
            axes.bar_label(bars, [number(value) for value in found], padding=3, color=INK, fontsize=8)
            axes.set_yticks(range(len(shown)), [row["name"] for row in shown], fontsize=9)
            axes.axvline(1, color=INK, lw=1)
            axes.margins(x=0.12)
            if others:
                axes.axhline(len(others) - 0.5, color=QUIET, ls=":", lw=1)
        return figure

    measured = [row for row in rows if row["resistance_ratio"] is not None]
    best = min(measured, key=lambda row: row["resistance_ratio"], default=None)
    said = f" {best['name']} lowers the resistance most, to {share(best['resistance_ratio'])}." if best else ""
    below = " Below the dotted line, rewirings with as many edges as they need." if others else ""
    return Picture(draw, f"Grey: random edges. Above, {budget:,} edges per graph.{below}{said}")
