"""How often a pattern occurs at every node, every edge or in every graph of a disjoint union."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._homomorphisms import Homomorphisms, at_edges, elimination_order
from gnnlab.graph._matching import copies, ranked
from gnnlab.graph._neighbours import Neighbours
from gnnlab.graph._pattern import Pattern, PatternLike, pattern_of
from gnnlab.graph._quotients import spasm
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import expand_ptr

__all__ = ["subgraph_counts"]

_WHERE = "subgraph_counts"

_FEW = 2 * 10**7
"""Partial matches that are looked at in a few seconds."""


@torch.no_grad()
def subgraph_counts(
    edge_index: Tensor,
    ptr: Tensor,
    pattern: PatternLike,
    *,
    level: str = "node",
    induced: bool = False,
    directed_orbits: bool = False,
    method: str = "auto",
    max_matches: int = 2 * 10**8,
) -> Tensor:
    r"""Number of subgraphs isomorphic to a pattern, by the role a node or an edge plays in them.

    The structural features of "Improving Graph Neural Network Expressivity via Subgraph Isomorphism Counting"
    (Bouritsas et al., TPAMI 2022, arXiv 2006.09252). Two vertices play the same role if a symmetry of the
    pattern H maps one to the other (an orbit of its automorphism group):

    .. math:: x_{v, o} = |\{ S \subseteq G : S \cong H, \; v \in S \text{ plays a role in } o \}|

    Exact integers of the simple undirected graph: self-loops and duplicates change nothing, an edge in one direction
    counts for both. Two methods:

    ``enumerate`` joins tables of partial matches along an order of the vertices; conditions on the numbers of the
    nodes (by falling degree) leave one match per copy. The time is the number of partial matches times
    :math:`\log E`: for a path of k vertices that of the paths in the graph, at most
    :math:`\sum_v d_v \Delta^{k-2}`, for a clique :math:`O(M d^{k-2})` with the degeneracy d. Memory is bounded.

    ``homomorphisms`` lists nothing: the counts are a combination of :func:`gnnlab.graph.homomorphism_counts`
    of what the pattern becomes when vertices are merged (Curticapean, Dell and Marx, STOC 2017). It costs
    scalar products as described there, and serves where there are too many copies to list: stars at hubs, cycles up to
    7 in dense graphs. Not for induced counts, nor where one of these patterns has a tree-width above two (cliques of
    four, cycles of eight).

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        pattern: Name (``"cycle-k"``, ``"clique-k"``, ``"path-k"`` of k vertices, ``"star-k"`` of k leaves,
            ``"chordal-square"``, ``"paw"``, ``"house"``, ``"bowtie"``) or edges, at most 8 vertices.
        level: ``"node"``, ``"edge"`` or ``"graph"``.
        induced: Count induced subgraphs (no further edges between the nodes of a copy) only.
        directed_orbits: Tell the ends of an edge apart (an edge from a leaf of a star to its centre from
            the reverse one), for ``"edge"``.
        method: ``"enumerate"``, ``"homomorphisms"``, or ``"auto"``: the second where it serves and there are more
            than 2e7 partial matches.
        max_matches: Most partial matches to look at, or scalar products to compute.

    Shapes:
        returns [N, orbits of vertices], [E, orbits of edges] (0 for self-loops) or [G, 1] long; orbits are numbered
        by their first vertex or edge.

    Raises:
        GraphError: tensors that do not describe a union.
        ConfigError: unknown pattern, ``level`` or ``method``, a pattern that is too large or not connected, or
            one (or induced counts) for which ``"homomorphisms"`` does not serve.
        BudgetError: more than ``max_matches``, before they are computed; or homomorphisms above :math:`2^{53}`.

    Example:
        >>> paw = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 3]])
        >>> subgraph_counts(paw, torch.tensor([0, 4]), "path-3").tolist()  # as an end, as the middle
        [[2, 3], [3, 1], [3, 1], [2, 0]]
        >>> subgraph_counts(paw, torch.tensor([0, 4]), "cycle-3", level="edge").flatten().tolist()
        [1, 1, 1, 0]
    """
    for given, known, what in ((level, _ENUMERATED, "level"), (method, _METHODS, "method")):
        if given not in known:
            raise ConfigError(f"unknown {what} {given!r}", where=_WHERE, hint=nearest(given, known))
    shape = pattern_of(pattern, _WHERE)
    num_nodes = check_union(edge_index, ptr).numel()
    pairs = undirected_edges(edge_index, ptr, symmetrise=True)
    task = _Task(edge_index, ptr, pairs, num_nodes, shape, level, induced, directed_orbits, max_matches)
    return _METHODS[method](task)


class _Task(NamedTuple):
    edge_index: Tensor
    ptr: Tensor
    pairs: Tensor
    num_nodes: int
    shape: Pattern
    level: str
    induced: bool
    directed: bool
    limit: int


def _auto(task: _Task) -> Tensor:
    if not _reducible(task):
        return _enumerate(task)
    try:
        return _enumerate(task._replace(limit=min(task.limit, _FEW)))
    except BudgetError:  # too many to list, which says nothing about the other way
        return _combine(task)


def _enumerate(task: _Task) -> Tensor:
    graph, node = ranked(task.pairs, task.num_nodes)
    tables = copies(graph, task.shape, task.induced, task.limit, _WHERE)
    return _ENUMERATED[task.level](task, tables, graph, node)


def _at_nodes(task: _Task, tables: Iterator[Tensor], graph: Neighbours, node: Tensor) -> Tensor:
    orbits = task.shape.node_orbits
    counts = node.new_zeros(max(orbits) + 1, node.numel())
    for table in tables:
        for vertex, orbit in enumerate(orbits):
            counts[orbit] += torch.bincount(table[vertex], minlength=node.numel())
    return torch.empty_like(counts).index_copy_(1, node, counts).t().contiguous()


def _at_edges(task: _Task, tables: Iterator[Tensor], graph: Neighbours, node: Tensor) -> Tensor:
    orbits = task.shape.arc_orbits(task.directed)
    counts = node.new_zeros(max(orbits) + 1, graph.key.numel())
    for table in tables:
        for (a, b), orbit in zip(task.shape.arcs, orbits, strict=True):
            slot = torch.searchsorted(graph.key, table[a] * node.numel() + table[b])
            counts[orbit] += torch.bincount(slot, minlength=graph.key.numel())
    source, target = node.argsort()[task.edge_index]
    place = graph.slot(source, target)
    counts = torch.cat([counts, counts.new_zeros(counts.size(0), 1)], 1)  # self-loops read the last column
    return counts[:, torch.where(place < 0, graph.key.numel(), graph.ptr[source] + place)].t().contiguous()


def _in_graphs(task: _Task, tables: Iterator[Tensor], graph: Neighbours, node: Tensor) -> Tensor:
    batch, counts = expand_ptr(task.ptr, node.numel())[node], task.ptr.new_zeros(task.ptr.numel() - 1)
    for table in tables:
        counts += torch.bincount(batch[table[0]], minlength=counts.numel())
    return counts[:, None]


def _reducible(task: _Task) -> bool:
    """Whether homomorphisms of tree-width two are enough."""
    roots = (
        [task.shape.arcs[place] for place in _first(task.shape.arc_orbits(True))] if task.level == "edge" else [(0,)]
    )
    every = (image for ends in roots for image, _ in spasm(task.shape, ends))
    return not task.induced and all(elimination_order(*image) is not None for image in every)


def _combine(task: _Task) -> Tensor:
    if not _reducible(task):
        raise ConfigError(
            "homomorphisms of tree-width two are not enough for this pattern, or for induced counts",
            where=_WHERE,
            hint="method='enumerate' lists its copies",
        )
    graph = Neighbours.of(task.pairs, task.num_nodes)
    return _COMBINED[task.level](task, Homomorphisms(graph, task.limit, "max_matches", _WHERE))


def _roles(task: _Task, maps: Homomorphisms, roots: tuple[int, ...]) -> Tensor:
    """Copies in which a node (or an edge) plays the role of the roots."""
    total, largest = maps.adjacency.value.new_zeros(()), maps.adjacency.value.new_zeros(())
    for image, coefficient in spasm(task.shape, roots):
        counts = coefficient * maps.count(*image)
        total = total + counts
        largest = largest + counts.abs().sum()
    if float(largest) >= 2**53:
        raise BudgetError(
            f"up to {float(largest):.0e} homomorphisms, beyond what float64 counts exactly",
            where=_WHERE,
            hint="method='enumerate' lists the copies; smaller patterns have fewer",
        )
    return total.long() // task.shape.symmetries(roots)


def _combined_nodes(task: _Task, maps: Homomorphisms) -> Tensor:
    return torch.stack([_roles(task, maps, (root,)) for root in _first(task.shape.node_orbits)], 1)


def _combined_edges(task: _Task, maps: Homomorphisms) -> Tensor:
    orbits = task.shape.arc_orbits(task.directed)
    counts = maps.adjacency.key.new_zeros(maps.adjacency.key.numel(), max(orbits) + 1)
    for place in _first(task.shape.arc_orbits(True)):
        counts[:, orbits[place]] += _roles(task, maps, task.shape.arcs[place])
    return at_edges(counts, maps.adjacency, task.edge_index)


def _combined_graphs(task: _Task, maps: Homomorphisms) -> Tensor:
    roles = _roles(task, maps, (0,))
    counts = roles.new_zeros(task.ptr.numel() - 1)
    counts.index_add_(0, expand_ptr(task.ptr, task.num_nodes), roles)
    return (counts // task.shape.node_orbits.count(0))[:, None]


def _first(orbits: tuple[int, ...]) -> list[int]:
    """First member of every orbit."""
    return [orbits.index(orbit) for orbit in range(max(orbits) + 1)]


_ENUMERATED: dict[str, Callable[..., Tensor]] = {"node": _at_nodes, "edge": _at_edges, "graph": _in_graphs}
_COMBINED: dict[str, Callable[..., Tensor]] = {
    "node": _combined_nodes,
    "edge": _combined_edges,
    "graph": _combined_graphs,
}
_METHODS: dict[str, Callable[[_Task], Tensor]] = {
    "auto": _auto,
    "enumerate": _enumerate,
    "homomorphisms": _combine,
}
