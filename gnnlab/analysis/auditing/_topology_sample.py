"""Measures of the topology of a sample: exact where that is cheap, of part of the graphs or estimated elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis.auditing._bridges import is_bridge
from gnnlab.analysis.auditing.sample import AuditSample, Excerpt, union_of
from gnnlab.analysis.topology import topology_profile
from gnnlab.data import GraphStore
from gnnlab.graph import (
    balanced_forman_curvature,
    breadth_first_layers,
    cheeger_bounds,
    connected_components,
    distance_histogram,
    undirected_edges,
)
from gnnlab.ops import expand_ptr, segment_reduce
from gnnlab.rewiring.report import graph_measures

__all__ = ["HOPS", "LARGEST", "SOLVED", "TopologySample", "measure_topology"]

HOPS = 8
"""Most layers whose reach is looked at."""

LARGEST = 20_000
"""Nodes of a graph up to which resistances of pairs are looked at, and curvatures of all edges."""

SOLVED = 200_000
"""Nodes of a graph up to which its spectral gap and total resistance are found: about a minute of one core."""

_NODES = 45_000
"""Nodes of all graphs that are looked at: about 12 seconds of one core where graphs have 150 nodes."""

_GRAPHS = 2000
_PAIRS = 2000
_EXACT = 3000
"""Nodes of a graph up to which distances are searched from all of them."""

_SOURCES = 500
_VISITS = 5 * 10**8
"""Hops times edges times nodes searched from, of a graph of more than ``LARGEST`` nodes."""

_HEAVY = 2e7
"""Sum of squared degrees of a graph from which curvatures are not measured: minutes, as triangles are counted."""

_FROM_PROFILE = (
    "nodes",
    "edges",
    "diameter",
    "resistance_mean",
    "resistance_by_degree",
    "spectral_gap",
    "cheeger_lower",
    "cheeger_upper",
)


@dataclass
class TopologySample:
    """What was measured.

    Args:
        part: The graphs that were looked at, as simple undirected graphs.
        large: [G] bool, which of them are too large for all measures.
        graph: [S] float64 by name, measures of all graphs of the sample, exact.
        values: [G] float64 by name, of the graphs of ``part``; NaN where not defined or not measured.
        estimated: [G] bool by name, which values are estimates or bounds.
        near: [G, HOPS] share of the pairs at most so many hops apart.
        curvature: [M] of the edges of ``part`` that are as in the whole graph.
    """

    part: Excerpt
    large: Tensor
    graph: dict[str, Tensor]
    values: dict[str, Tensor]
    estimated: dict[str, Tensor]
    near: Tensor
    curvature: Tensor


def measure_topology(
    sample: AuditSample, track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter
) -> TopologySample:
    """Measures of the largest components of at most 2,000 graphs; components, bridges and trees of all graphs.

    Of a graph of more than 20,000 nodes (or of large degrees) reach, spectral gap, Cheeger bounds and total resistance
    are still those of the whole graph, all but reach up to 200,000 nodes; curvatures are those of edges well inside a
    ball of 20,000 nodes, and of none where degrees are large.
    """
    bare = replace(sample, store=_simple(sample.store))
    graph = _shape(bare.store)
    mean_nodes = max(sample.store.num_nodes / len(sample.store), 1)
    part = bare.excerpt(max(min(_GRAPHS, int(_NODES / mean_nodes)), 1), LARGEST)
    near = torch.full((len(part.store), HOPS), torch.nan, dtype=torch.float64)
    values = {name: near[:, 0].clone() for name in _FROM_PROFILE}
    estimated = {name: torch.zeros(len(part.store), dtype=torch.bool) for name in (*values, "far_pairs")}
    heavy = segment_reduce(part.store.column("degree").double().square(), union_of(part.store)[1], "sum") > _HEAVY
    large = part.cut | heavy
    for rows, measure in ((~large, _of_small), (large, _of_large)):
        if bool(rows.any()):
            store = _largest_components(bare.store.subset(part.index[rows]))
            found, uncertain, near[rows] = measure(store, sample.seed, track)
            for name, column in found.items():
                values[name][rows], estimated[name][rows] = column, uncertain[name]
            estimated["far_pairs"][rows] = store.sizes("node") > _EXACT
    # Of a connected graph the commute time of all pairs follows from their resistance.
    values["commute_mean"] = values["resistance_mean"] * 2 * values["edges"]
    estimated["commute_mean"] = estimated["resistance_mean"]
    curvature, owner = _curvature(part.store, ~heavy)
    values["curvature_mean"] = torch.bincount(owner, curvature, len(part.store)) / torch.bincount(
        owner, minlength=len(part.store)
    )
    return TopologySample(part, large, graph, values, estimated, near, curvature)


def _simple(store: GraphStore) -> GraphStore:
    """The simple undirected graphs, with nothing but degrees."""
    edges, ptr = union_of(store)
    one_way = undirected_edges(edges, ptr, symmetrise=True)
    return _stored(one_way, ptr, torch.bincount(one_way.flatten(), minlength=int(ptr[-1])))


def _stored(one_way: Tensor, ptr: Tensor, degree: Tensor) -> GraphStore:
    owner = expand_ptr(ptr)[one_way[0]]
    local = one_way - ptr[owner]
    return GraphStore.from_tensors(
        num_nodes=ptr.diff(),
        num_edges=2 * torch.bincount(owner, minlength=ptr.numel() - 1),
        edge_index=torch.stack([local, local.flip(0)], 2).reshape(2, -1),
        node={"degree": degree},
    )


def _shape(store: GraphStore) -> dict[str, Tensor]:
    """Of every graph: components, share of edges that are bridges, and whether it has no cycle."""
    edges, ptr = union_of(store)
    graphs, batch = len(store), expand_ptr(ptr)
    one_way = undirected_edges(edges, ptr)
    component = connected_components(one_way, batch.numel())
    roots = torch.full((int(component.max()) + 1 if component.numel() else 0,), batch.numel())
    roots.scatter_reduce_(0, component, torch.arange(batch.numel()), "amin")
    components = torch.bincount(batch[roots], minlength=graphs)
    count = torch.bincount(batch[one_way[0]], minlength=graphs)
    bridges = torch.bincount(batch[one_way[0][is_bridge(one_way, batch.numel())]], minlength=graphs)
    return {
        "components": components.double(),
        "bridges": bridges / torch.where(count > 0, count, torch.nan),
        "tree": (count == ptr.diff() - components).double(),
    }


def _largest_components(store: GraphStore) -> GraphStore:
    """The largest component of every graph, the first one of several."""
    edges, ptr = union_of(store)
    graphs, batch = len(store), expand_ptr(ptr)
    one_way = undirected_edges(edges, ptr)
    component = connected_components(one_way, batch.numel())
    members = torch.bincount(component)[component] if component.numel() else component
    rank = members * (batch.numel() + 1) - component
    best = torch.zeros(graphs, dtype=torch.long).scatter_reduce_(0, batch, rank, "amax", include_self=False)
    kept = rank == best[batch]
    sizes = torch.bincount(batch[kept], minlength=graphs)
    number = kept.cumsum(0) - 1
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    return _stored(number[one_way[:, kept[one_way[0]]]], ptr, store.column("degree")[kept])


_Found = tuple[dict[str, Tensor], dict[str, Tensor], Tensor]


def _of_small(store: GraphStore, seed: int, track: Callable[[Sequence[Tensor]], Iterable[Tensor]]) -> _Found:
    profile = topology_profile(store, seed=seed, max_pairs=_PAIRS, track=track)
    found = {name: profile.values[name] for name in _FROM_PROFILE}
    return found, {name: profile.kinds[name] > 0 for name in found}, _reach(store, _SOURCES, seed)


def _of_large(store: GraphStore, seed: int, track: Callable[[Sequence[Tensor]], Iterable[Tensor]]) -> _Found:
    """Of graphs of more than ``LARGEST`` nodes, or with many neighbours, one after the other."""
    rows = [_of_one(store[place : place + 1], store.subset([place]), seed) for place in range(len(store))]
    found = {name: torch.tensor([row[name] for row, _ in rows], dtype=torch.float64) for name in rows[0][0]}
    bounds = {name: torch.full((len(store),), name in ("diameter", "resistance_mean")) for name in found}
    return found, bounds, torch.cat([near for _, near in rows])


def _of_one(data: Data, store: GraphStore, seed: int) -> tuple[dict[str, float], Tensor]:
    nodes, edges = data.num_nodes, data.num_edges // 2
    row = {"nodes": nodes, "edges": edges}
    if nodes <= SOLVED:
        measured, bounds = graph_measures(data, _EXACT), cheeger_bounds(data.edge_index, data.ptr)
        row |= {
            "diameter": float(measured.diameter),
            "resistance_mean": float(measured.total_resistance) / (nodes * (nodes - 1) / 2),
            "spectral_gap": float(measured.spectral_gap),
            "cheeger_lower": float(bounds.lower),
            "cheeger_upper": float(bounds.upper),
        }
    else:
        row["diameter"] = float(breadth_first_layers(data.edge_index, nodes).depth.max())
    sources = min(max(int(_VISITS / (2 * edges * HOPS)), 2), _SOURCES)
    return row, _reach(store, sources, seed)


def _reach(store: GraphStore, sources: int, seed: int) -> Tensor:
    """[G, HOPS] share of the pairs at most so many hops apart, from so many nodes of graphs of more than 3,000."""
    edges, ptr = union_of(store)
    sizes, batch = ptr.diff(), expand_ptr(ptr)
    exact = sizes <= _EXACT
    targets = None
    if not bool(exact.all()):
        place = torch.rand(batch.numel(), generator=torch.Generator().manual_seed(seed)).argsort()
        place = place[batch[place].argsort(stable=True)]
        rank = torch.empty_like(place).index_copy_(0, place, torch.arange(place.numel()) - ptr[batch[place]])
        targets = exact[batch] | (rank < sources)
    counts = distance_histogram(edges, ptr, HOPS, targets)[:, 1:]
    found = segment_reduce(counts.double(), ptr, "sum").cumsum(1)
    searched = torch.where(exact, sizes, sizes.clamp(max=sources))
    pairs = (searched * (sizes - 1)).double()
    return found / torch.where(pairs > 0, pairs, torch.nan)[:, None]


def _curvature(store: GraphStore, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Of the edges of the chosen graphs whose ends kept all their neighbours, and which graph they are of."""
    rows = chosen.nonzero().flatten()
    store = store.subset(rows)
    edges, ptr = union_of(store)
    one_way = undirected_edges(edges, ptr)
    kept = torch.bincount(one_way.flatten(), minlength=int(ptr[-1])) == store.column("degree")
    inside = kept[one_way].all(0)
    curvature = balanced_forman_curvature(one_way, ptr, symmetrise=True)[inside]
    return curvature, rows[expand_ptr(ptr)[one_way[0][inside]]]
