"""What a rewiring did: edges, resistance, spectral gap, diameter and homophily before and after."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import GraphError
from gnnlab.graph import (
    breadth_first_layers,
    connected_components,
    diameter,
    homophily,
    spectral_gap,
    undirected_edges,
)
from gnnlab.graph._check import check_union
from gnnlab.graph.kirchhoff import total_effective_resistance_estimate
from gnnlab.ops import expand_ptr
from gnnlab.transform import graph_ptr

__all__ = ["GraphMeasures", "RewiringReport", "describe_rewiring", "graph_measures", "node_chunks"]


class GraphMeasures(NamedTuple):
    """Measures of every graph, [G] each: counts long, the others float64.

    ``edges`` are directed and as stored. The others belong to the simple undirected graph, without weights:
    ``total_resistance`` (summed over components) with its standard error, ``spectral_gap`` (normalised Laplacian),
    ``diameter`` (the largest distance that is finite), ``components``, and ``edge_homophily`` (NaN where no edge joins
    labelled nodes).
    """

    nodes: Tensor
    edges: Tensor
    total_resistance: Tensor
    resistance_error: Tensor
    spectral_gap: Tensor
    diameter: Tensor
    components: Tensor
    edge_homophily: Tensor


@dataclass(frozen=True)
class RewiringReport:
    """Graphs before and after a rewiring; ``print`` it for the means.

    Args:
        before: Of the graphs as they were.
        after: Of the graphs as they are.
        added: [G] long, directed edges that came.
        removed: [G] long, directed edges that went.
    """

    before: GraphMeasures
    after: GraphMeasures
    added: Tensor
    removed: Tensor

    def table(self) -> Table:
        """Means over the graphs before and after, and their ratio."""
        table = Table("mean over the graphs", title=_counted(self.added.numel()))
        for name in ("before", "after", "ratio"):
            table.add_column(name, justify="right")
        for name, label in _LABELS.items():
            old, new = (_mean(getattr(side, name)) for side in (self.before, self.after))
            if old != old and new != new:
                continue  # no labels
            cells = [_number(value) + _error(side, name) for value, side in ((old, self.before), (new, self.after))]
            table.add_row(label, *cells, f"{new / old:.3f}" if old else "")
            if name == "edges":
                table.add_row("  added", "", _number(_mean(self.added)), "")
                table.add_row("  removed", "", _number(_mean(self.removed)), "")
        return table

    def __str__(self) -> str:
        console = Console(file=StringIO(), width=100, color_system=None)
        console.print(self.table())
        return console.file.getvalue().rstrip()


_LABELS = {
    "nodes": "nodes",
    "edges": "directed edges",
    "total_resistance": "total resistance",
    "spectral_gap": "spectral gap",
    "diameter": "diameter",
    "components": "components",
    "edge_homophily": "edge homophily",
}


class _Store(Protocol):
    """What is asked of a store of graphs, such as :class:`gnnlab.data.GraphStore`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> Data: ...

    def sizes(self, level: str) -> Tensor: ...


@torch.no_grad()
def describe_rewiring(
    before: Data | _Store, after: Data | _Store, *, exact_limit: int = 3000, chunk_nodes: int = 2**17
) -> RewiringReport:
    """Compare graphs with what a rewiring made of them.

    Added nodes (``node_type`` 1) are nodes like any other in all measures but homophily, as they have no label;
    in particular the total resistance includes their pairs.

    Args:
        before: A graph, a batch, or a store.
        after: The same graphs in the same order; they may have more nodes, at the end of each graph.
        exact_limit: Above that many nodes, the total resistance of a component is estimated (see ``resistance_error``
            and :func:`gnnlab.graph.kirchhoff.total_effective_resistance_estimate`), and the diameter of a graph
            bounded from below by the distances from a peripheral node of every component.
        chunk_nodes: Nodes of a store that are looked at together.

    Returns:
        tensors per graph, and a table of means

    Raises:
        GraphError: another number of graphs, or graphs that lost nodes.

    Example:
        >>> from gnnlab.rewiring import VirtualNode
        >>> steps = torch.arange(9)
        >>> one_way = torch.stack([steps, steps + 1])
        >>> path = Data(edge_index=torch.cat([one_way, one_way.flip(0)], 1), num_nodes=10)
        >>> report = describe_rewiring(path, VirtualNode()(path))
        >>> report.added.tolist(), report.before.diameter.tolist(), report.after.diameter.tolist()
        ([20], [9], [2])
    """
    if isinstance(before, Data) and isinstance(after, Data):
        return _compare(before, after, exact_limit)
    if isinstance(before, Data) or isinstance(after, Data) or len(before) != len(after):
        raise GraphError("before and after are not the same graphs", hint="compare two graphs, batches, or stores")
    chunks = node_chunks(before.sizes("node"), chunk_nodes)
    parts = [_compare(before[chunk], after[chunk], exact_limit) for chunk in chunks]
    sides = ([getattr(part, side) for part in parts] for side in ("before", "after"))
    measures = (GraphMeasures(*map(torch.cat, zip(*side, strict=True))) for side in sides)
    counts = (torch.cat([getattr(part, side) for part in parts]) for side in ("added", "removed"))
    return RewiringReport(*measures, *counts)


def node_chunks(sizes: Tensor, chunk_nodes: int) -> list[Tensor]:
    """Places of graphs with ``sizes`` [G] nodes in runs of about ``chunk_nodes`` nodes."""
    full = torch.div(sizes.cumsum(0) - 1, chunk_nodes, rounding_mode="floor")
    bounds = [0, *((full.diff() > 0).nonzero().flatten() + 1).tolist(), sizes.numel()]
    return [torch.arange(low, high) for low, high in pairwise(bounds)]


def _compare(before: Data, after: Data, exact_limit: int) -> RewiringReport:
    old_ptr, new_ptr = graph_ptr(before), graph_ptr(after)
    if old_ptr.numel() != new_ptr.numel() or bool((new_ptr.diff() < old_ptr.diff()).any()):
        raise GraphError("before and after are not the same graphs", hint="a rewiring keeps graphs, nodes and order")
    owner = expand_ptr(old_ptr)
    place = torch.arange(owner.numel(), device=owner.device) + (new_ptr - old_ptr)[owner]
    num_nodes = int(new_ptr[-1])
    old, new = (ends[0] * num_nodes + ends[1] for ends in (place[before.edge_index], after.edge_index))
    pairs, which = torch.cat([old, new]).unique(return_inverse=True)
    count = torch.bincount(which[old.numel() :], minlength=pairs.numel())
    surplus = count - torch.bincount(which[: old.numel()], minlength=pairs.numel())
    graph = expand_ptr(new_ptr)[torch.div(pairs, max(num_nodes, 1), rounding_mode="floor")]
    added, removed = (
        torch.zeros_like(new_ptr[1:]).index_add_(0, graph, part.clamp(min=0)) for part in (surplus, -surplus)
    )
    return RewiringReport(graph_measures(before, exact_limit), graph_measures(after, exact_limit), added, removed)


def graph_measures(data: Data, exact_limit: int = 3000) -> GraphMeasures:
    """Measures of every graph of a batch; ``exact_limit`` as in :func:`describe_rewiring`."""
    ptr = graph_ptr(data)
    batch = check_union(data.edge_index, ptr)
    one_way = undirected_edges(data.edge_index, ptr, symmetrise=True)
    edges, sizes = torch.cat([one_way, one_way.flip(0)], 1), ptr.diff()
    component = connected_components(edges, batch.numel())
    roots = torch.full_like(sizes.new_empty(int(component.max()) + 1 if batch.numel() else 0), batch.numel())
    roots = roots.scatter_reduce_(0, component, torch.arange(batch.numel(), device=ptr.device), "amin")
    resistance = total_effective_resistance_estimate(edges, ptr, dense_limit=exact_limit)
    return GraphMeasures(
        nodes=sizes,
        edges=torch.bincount(batch[data.edge_index[0]], minlength=sizes.numel()),
        total_resistance=resistance.value,
        resistance_error=resistance.standard_error,
        spectral_gap=spectral_gap(edges, ptr),
        diameter=_diameter(edges, ptr, exact_limit),
        components=torch.bincount(batch[roots], minlength=sizes.numel()),
        edge_homophily=_label_agreement(data, edges, ptr),
    )


def _diameter(edges: Tensor, ptr: Tensor, exact_limit: int) -> Tensor:
    sizes = ptr.diff()
    found = torch.zeros_like(sizes)
    small = sizes <= exact_limit
    found[small] = diameter(*_part(edges, ptr, small))
    if not bool(small.all()):
        edges, ptr = _part(edges, ptr, ~small)
        depth = breadth_first_layers(edges, int(ptr[-1])).depth
        found[~small] = torch.zeros_like(ptr[1:]).scatter_reduce_(0, expand_ptr(ptr), depth, "amax")
    return found


def _part(edges: Tensor, ptr: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The union of the chosen graphs alone."""
    owner = expand_ptr(ptr)
    sizes = torch.where(chosen, ptr.diff(), 0)
    start = sizes.cumsum(0) - sizes
    mine = edges[:, chosen[owner[edges[0]]]]
    return mine - (ptr[:-1] - start)[owner[mine[0]]], torch.cat([sizes.new_zeros(1), sizes[chosen].cumsum(0)])


def _label_agreement(data: Data, edges: Tensor, ptr: Tensor) -> Tensor:
    y, nodes = data.get("y"), int(ptr[-1])
    labels = isinstance(y, Tensor) and not y.is_floating_point() and y.numel() == nodes != ptr.numel() - 1
    if not labels:
        return torch.full_like(ptr[1:], torch.nan, dtype=torch.float64)
    return homophily(edges, y, ptr).edge


def _counted(graphs: int) -> str:
    return "1 graph" if graphs == 1 else f"{graphs:,} graphs"


def _mean(values: Tensor) -> float:
    return float(values.double().nanmean())


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e4 <= value < 1e15 else f"{value:,.5g}"


def _error(side: GraphMeasures, name: str) -> str:
    if name != "total_resistance" or not side.resistance_error.any():
        return ""
    return f" ± {_number(float(side.resistance_error.square().sum().sqrt()) / side.nodes.numel())}"
