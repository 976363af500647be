"""How often a pattern occurs at every node, every edge or in every graph of a disjoint union."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._matching import copies, ranked
from gnnlab.graph._neighbours import Neighbours
from gnnlab.graph._pattern import Pattern, PatternLike, pattern_of
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import expand_ptr

__all__ = ["subgraph_counts"]


@torch.no_grad()
def subgraph_counts(
    edge_index: Tensor,
    ptr: Tensor,
    pattern: PatternLike,
    *,
    level: str = "node",
    induced: bool = False,
    directed_orbits: bool = False,
    max_matches: int = 10**9,
) -> Tensor:
    r"""Number of subgraphs isomorphic to a pattern, by the role a node or an edge plays in them.

    The structural features of "Improving Graph Neural Network Expressivity via Subgraph Isomorphism Counting"
    (Bouritsas et al., TPAMI 2022, arXiv 2006.09252). Two vertices play the same role if a symmetry of the
    pattern H maps one to the other (an orbit of its automorphism group):

    .. math:: x_{v, o} = |\{ S \subseteq G : S \cong H, \; v \in S \text{ plays a role in } o \}|

    Exact integers of the simple undirected graph: self-loops and duplicates change nothing, an edge in one direction
    counts for both. Copies are found by joining tables of partial matches along an order of the vertices; conditions
    on the numbers of the nodes (by falling degree) leave one match per copy, so nothing is divided. The time
    is the number of partial matches times :math:`\log E`: for a path of k vertices that of the paths in the graph,
    at most :math:`\sum_v d_v \Delta^{k-2}`, for a clique :math:`O(M d^{k-2})` with the degeneracy d. Memory is bounded.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        pattern: Name (``"cycle-k"``, ``"clique-k"``, ``"path-k"`` of k vertices, ``"star-k"`` of k leaves,
            ``"chordal-square"``, ``"paw"``, ``"house"``, ``"bowtie"``) or edges, at most 8 vertices.
        level: ``"node"``, ``"edge"`` or ``"graph"``.
        induced: Count induced subgraphs (no further edges between the nodes of a copy) only.
        directed_orbits: Tell the ends of an edge apart (an edge from a leaf of a star to its centre from
            the reverse one), for ``"edge"``.
        max_matches: Most partial matches to look at.

    Shapes:
        returns [N, orbits of vertices], [E, orbits of edges] (0 for self-loops) or [G, 1] long; orbits are numbered
        by their first vertex or edge.

    Raises:
        GraphError: tensors that do not describe a union.
        ConfigError: unknown pattern or ``level``, or a pattern that is too large or not connected.
        BudgetError: more than ``max_matches`` partial matches, before the first table that exceeds them.

    Example:
        >>> paw = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 3]])
        >>> subgraph_counts(paw, torch.tensor([0, 4]), "path-3").tolist()  # as an end, as the middle
        [[2, 3], [3, 1], [3, 1], [2, 0]]
        >>> subgraph_counts(paw, torch.tensor([0, 4]), "cycle-3", level="edge").flatten().tolist()
        [1, 1, 1, 0]
    """
    if level not in _LEVELS:
        raise ConfigError(f"unknown level {level!r}", where="subgraph_counts", hint=nearest(level, _LEVELS))
    shape = pattern_of(pattern, "subgraph_counts")
    batch = check_union(edge_index, ptr)
    graph, node = ranked(undirected_edges(edge_index, ptr, symmetrise=True), batch.numel())
    tables = copies(graph, shape, induced, max_matches, "subgraph_counts")
    return _LEVELS[level](tables, shape, graph, node, edge_index, ptr, directed_orbits)


def _at_nodes(
    tables: Iterator[Tensor],
    shape: Pattern,
    graph: Neighbours,
    node: Tensor,
    edges: Tensor,
    ptr: Tensor,
    directed: bool,
) -> Tensor:
    orbits = shape.node_orbits
    counts = node.new_zeros(max(orbits) + 1, node.numel())
    for table in tables:
        for vertex, orbit in enumerate(orbits):
            counts[orbit] += torch.bincount(table[vertex], minlength=node.numel())
    return torch.empty_like(counts).index_copy_(1, node, counts).t().contiguous()


def _at_edges(
    tables: Iterator[Tensor],
    shape: Pattern,
    graph: Neighbours,
    node: Tensor,
    edges: Tensor,
    ptr: Tensor,
    directed: bool,
) -> Tensor:
    orbits = shape.arc_orbits(directed)
    counts = node.new_zeros(max(orbits) + 1, graph.key.numel())
    for table in tables:
        for (a, b), orbit in zip(shape.arcs, orbits, strict=True):
            slot = torch.searchsorted(graph.key, table[a] * node.numel() + table[b])
            counts[orbit] += torch.bincount(slot, minlength=graph.key.numel())
    rank = node.argsort()
    source, target = rank[edges]
    place = graph.slot(source, target)
    counts = torch.cat([counts, counts.new_zeros(counts.size(0), 1)], 1)  # self-loops read the last column
    return counts[:, torch.where(place < 0, graph.key.numel(), graph.ptr[source] + place)].t().contiguous()


def _in_graphs(
    tables: Iterator[Tensor],
    shape: Pattern,
    graph: Neighbours,
    node: Tensor,
    edges: Tensor,
    ptr: Tensor,
    directed: bool,
) -> Tensor:
    batch, counts = expand_ptr(ptr, node.numel())[node], ptr.new_zeros(ptr.numel() - 1)
    for table in tables:
        counts += torch.bincount(batch[table[0]], minlength=counts.numel())
    return counts[:, None]


_LEVELS: dict[str, Callable[..., Tensor]] = {"node": _at_nodes, "edge": _at_edges, "graph": _in_graphs}
