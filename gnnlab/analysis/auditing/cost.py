"""Section of an audit: what the usual structures and encodings would take, estimated and never built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnnlab.analysis.auditing._facts import number
from gnnlab.analysis.auditing.report import AuditTable, Picture, Section
from gnnlab.analysis.auditing.sample import AuditSample, union_of
from gnnlab.drawing import COLOURS, INK, QUIET, heading, new_figure, quiet_axes
from gnnlab.encodings import RRWP, LaplacianPE
from gnnlab.graph import undirected_edges
from gnnlab.graph._pseudo_inverse import DENSE_LIMIT
from gnnlab.graph._search import by_source
from gnnlab.graph._search_torch import walk_bound
from gnnlab.lifting import NodePairs, Paths
from gnnlab.ops import expand_ptr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cost_section"]

_GIB = 2**30
_PAIR = 24
"""Bytes of a node pair while it is made: two nodes and a mark."""

_CHANNELS, _BATCH = 64, 32
_LENGTHS = (2, 3, 4)
_EGO = (2, 3)


@torch.no_grad()
def cost_section(sample: AuditSample, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter) -> Section:
    """Rows and bytes of messages, eigenvectors, resistances, node pairs and paths, beside the limits of gnnlab.

    All numbers follow from sizes, degrees and counts of walks; those of a sample are scaled to all graphs.

    Args:
        sample: What is looked at.
        track: Wraps the only step.
    """
    rows: list[dict[str, Any]] = []
    for _ in track(list(torch.arange(1).unbind(0))):
        rows = _rows(sample)
    scaled = sample.available > len(sample.store)
    values = {"rows": rows, "graphs": sample.available, "scaled": scaled}
    refused = [row["what"] for row in rows if not row["fits"]]
    return Section(
        key="cost",
        title="What it would cost",
        question="How much memory would pairs, paths and encodings of this dataset take?",
        text=_text(sample, scaled),
        tables=(_table(rows),),
        pictures=(_picture(rows, refused),),
        values=values,
    )


def _rows(sample: AuditSample) -> list[dict[str, Any]]:
    edges, ptr = union_of(sample.store)
    sizes = ptr.diff().double()
    scale = sample.available / len(sample.store)
    largest = int(sizes.max())
    pairs = float(sizes.square().sum()) * scale
    nodes, count = float(ptr[-1]) * scale, edges.size(1) * scale
    plain, spectral, walks, path = NodePairs(), LaplacianPE(), RRWP(), Paths()
    batch = sizes.topk(min(_BATCH, sizes.numel())).values.square().sum()
    rows = [
        _row(f"messages of one layer, {_CHANNELS} channels, all graphs", count, 4 * _CHANNELS * count, None),
        _row(f"Laplacian eigenvectors, k = {spectral.k}", nodes, 4 * spectral.k * nodes, None),
        _solved("exact resistances of the largest graph", largest),
        _row("RRWP on edges", count, 4 * walks.pair_channels * count, walks.max_gigabytes),
        _row("RRWP on all pairs", pairs, 4 * walks.pair_channels * pairs, walks.max_gigabytes),
        _row("node pairs, full", pairs, _PAIR * pairs, plain.max_gigabytes),
    ]
    for hops in _EGO:
        ego = _ego_pairs(edges, ptr, hops) * scale
        rows.append(_row(f"node pairs, ego of {hops} hops (at most)", ego, _PAIR * ego, plain.max_gigabytes))
    of_pairs = float(batch) * 4 * _CHANNELS
    rows.append(
        _row(f"states of all pairs, {_CHANNELS} channels, {_BATCH} largest graphs", float(batch), of_pairs, None)
    )
    for length, total, most in _paths(edges, ptr):
        row = _row(
            f"simple paths of {length} edges (at most)",
            total * scale,
            8 * (length + 1) * total * scale,
            path.max_gigabytes,
        )
        if most > path.max_paths:
            row |= {"fits": False, "limit": f"{number(most)} in one graph, limit {number(path.max_paths)}"}
        rows.append(row)
    return rows


def _row(what: str, rows: float, size: float, gigabytes: float | None) -> dict[str, Any]:
    """``gigabytes``: above which gnnlab refuses by default, if there is such a limit."""
    fits = gigabytes is None or size <= gigabytes * _GIB
    limit = "none" if gigabytes is None else f"{gigabytes:g} GiB"
    return {"what": what, "rows": round(rows), "bytes": round(size), "fits": fits, "limit": limit}


def _solved(what: str, largest: int) -> dict[str, Any]:
    row = _row(what, largest, 8 * largest**2, None)
    return row | {"fits": largest <= DENSE_LIMIT, "limit": f"{DENSE_LIMIT:,} nodes; sketches above"}


def _ego_pairs(edges: Tensor, ptr: Tensor, hops: int) -> float:
    """At most so many pairs: of a node no more than there are walks from it, or nodes in its graph."""
    nodes = ptr.diff()[expand_ptr(ptr)]
    bound = walk_bound(*by_source(edges, nodes.numel()), hops)
    return float((torch.minimum(bound, nodes - 1) + 1).double().sum())


def _paths(edges: Tensor, ptr: Tensor) -> list[tuple[int, float, float]]:
    """Length, number of walks of that length that never turn back at once, and the most in a graph.

    Every path is such a walk. From a node there are :math:`w_{l+1} = A w_l - (D - I) w_{l-1}` of them.
    """
    one_way = undirected_edges(edges, ptr, symmetrise=True)
    source, target = torch.cat([one_way, one_way.flip(0)], 1)
    batch, graphs = expand_ptr(ptr), ptr.numel() - 1
    degree = torch.bincount(source, minlength=batch.numel()).double()

    def spread(values: Tensor) -> Tensor:
        return torch.zeros_like(values).index_add_(0, target, values[source])

    before, now = degree, spread(degree) - degree
    found = []
    for length in _LENGTHS:
        of_graph = torch.zeros(graphs, dtype=torch.float64).index_add_(0, batch, now)
        found.append((length, float(of_graph.sum()), float(of_graph.max())))
        before, now = now, spread(now) - (degree - 1) * before
    return found


def _text(sample: AuditSample, scaled: bool) -> tuple[str, ...]:
    from_sample = f" Counted on {len(sample.store):,} graphs and scaled to all {sample.available:,}." if scaled else ""
    return (
        "Structures beyond nodes and edges grow fast: all pairs of a graph of n nodes are n times n. These are "
        f"estimates from sizes and degrees; nothing was built.{from_sample}",
        "A row with a limit is refused before anything is allocated when it exceeds it; raise the limit, restrict the "
        "structure, or compute it batch by batch (`data.batch_transforms`). One GiB is about 1.07 GB.",
    )


def _table(rows: list[dict[str, Any]]) -> AuditTable:
    lines = tuple(
        (row["what"], f"{row['rows']:,}", _size(row["bytes"]), row["limit"], "yes" if row["fits"] else _refused(row))
        for row in rows
    )
    note = "'At most' counts walks, which are at least as many as what they bound."
    return AuditTable(("what", "rows", "memory", "limit", "fits"), lines, note)


def _refused(row: dict[str, Any]) -> str:
    return "may be refused" if "at most" in row["what"] else "refused"


def _size(count: float) -> str:
    """Bytes in a unit that leaves one to three digits before the point.

    Example:
        >>> _size(512), _size(3 * 2**20), _size(2**41)
        ('512 B', '3 MiB', '2,048 GiB')
    """
    for unit, scale in (("GiB", _GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{number(count / scale)} {unit}"
    return f"{count:.0f} B"


def _picture(rows: list[dict[str, Any]], refused: list[str]) -> Picture:
    def draw() -> Figure:
        figure = new_figure(10, 1.3 + 0.32 * len(rows))
        heading(figure, "What it would cost")
        axes = figure.subplots()
        quiet_axes(axes, "Memory, on a logarithmic scale", grid="x")
        shown = rows[::-1]
        found = [max(row["bytes"], 1) for row in shown]
        colours = [COLOURS[0] if row["fits"] else COLOURS[1] for row in shown]
        bars = axes.barh(range(len(shown)), found, 0.75, color=colours)
        axes.bar_label(bars, [_size(row["bytes"]) for row in shown], padding=3, color=INK, fontsize=8)
        axes.set_yticks(range(len(shown)), [row["what"] for row in shown], fontsize=9)
        axes.set_xscale("log")
        axes.set_xlabel("bytes", color=QUIET, fontsize=9)
        axes.margins(x=0.12)
        return figure

    said = f"Refused by default (orange): {', '.join(refused)}." if refused else "Everything fits."
    return Picture(draw, said)
