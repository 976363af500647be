"""Numbers of homomorphisms of small patterns, rooted at nodes or edges, on a disjoint union of graphs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._homomorphisms import Homomorphisms, at_edges, elimination_order
from gnnlab.graph._neighbours import Neighbours
from gnnlab.graph._pattern import Pattern, PatternLike, pattern_of
from gnnlab.graph._quotients import images
from gnnlab.graph.subgraph_counts import subgraph_counts
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import expand_ptr

__all__ = ["homomorphism_counts"]


@torch.no_grad()
def homomorphism_counts(
    edge_index: Tensor,
    ptr: Tensor,
    pattern: PatternLike,
    *,
    level: str = "node",
    max_products: int = 2 * 10**8,
) -> Tensor:
    r"""Number of maps of a pattern into a graph that keep its edges, one vertex (or edge) of the pattern held fixed.

    .. math:: \hom_r(H, v) = |\{ \varphi : V(H) \to V(G) \;|\; \varphi(r) = v, \;
        (a, b) \in E(H) \Rightarrow (\varphi(a), \varphi(b)) \in E(G) \}|

    These are not numbers of subgraphs: vertices may fall on the same node as long as they are not adjacent, and
    symmetric maps count each ("Graph Homomorphism Convolution", NT and Maehara, ICML 2020, arXiv 2005.01214).
    A path gives walks, a cycle closed walks, a clique each clique as often as it has symmetries. For subgraphs see
    :func:`gnnlab.graph.subgraph_counts`.

    Patterns of tree-width two (trees, cycles, chordal squares, ...) are summed over one vertex at a time: a leaf
    is a product of a sparse matrix with a vector, a vertex of two neighbours one of two sparse matrices,
    restricted to the entries of a third where there is one. Time and, at worst, memory (24 bytes each) is the number
    of scalar products; a cycle of k takes that of :math:`A^{\lceil k/2 \rceil}`, at most
    :math:`E \Delta^{\lceil k/2 \rceil - 1}`; a tree takes E for each vertex.
    Other patterns (cliques of four and more) are counted as the subgraphs they can be mapped to, one by one.

    Counts are float64: exact up to :math:`2^{53}`, rounded above. Self-loops and duplicates change nothing, an
    edge in one direction counts for both.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        pattern: As for :func:`gnnlab.graph.subgraph_counts`.
        level: ``"node"``, ``"edge"`` or ``"graph"``.
        max_products: Most scalar products (or partial matches) to compute.

    Shapes:
        returns float64 [N, orbits] (the first vertex of every orbit of the pattern is held fixed), [E, orbits] (the
        first edge of every orbit, its directions told apart; 0 for self-loops) or [G, 1].

    Raises:
        GraphError: tensors that do not describe a union.
        ConfigError: unknown pattern or ``level``, or a pattern that is too large or not connected.
        BudgetError: more than ``max_products``, before they are computed.

    Example:
        >>> triangle, ptr = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.tensor([0, 3])
        >>> homomorphism_counts(triangle, ptr, "cycle-3").flatten().tolist()
        [2.0, 2.0, 2.0]
        >>> homomorphism_counts(triangle, ptr, "path-3", level="graph").tolist()  # walks of two steps
        [[12.0]]
    """
    if level not in _LEVELS:
        raise ConfigError(f"unknown level {level!r}", where="homomorphism_counts", hint=nearest(level, _LEVELS))
    shape = pattern_of(pattern, "homomorphism_counts")
    num_nodes = check_union(edge_index, ptr).numel()
    graph = Neighbours.of(undirected_edges(edge_index, ptr, symmetrise=True), num_nodes)
    return _LEVELS[level](
        Homomorphisms(graph, max_products, "max_products", "homomorphism_counts"), shape, edge_index, ptr
    )


def _at_nodes(maps: Homomorphisms, pattern: Pattern, edge_index: Tensor, ptr: Tensor) -> Tensor:
    return torch.stack([_count(maps, pattern, (root,), ptr) for root in _first(pattern.node_orbits)], 1)


def _at_edges(maps: Homomorphisms, pattern: Pattern, edge_index: Tensor, ptr: Tensor) -> Tensor:
    arcs = [pattern.arcs[place] for place in _first(pattern.arc_orbits(directed=True))]
    counts = torch.stack([_count(maps, pattern, arc, ptr) for arc in arcs], 1)
    return at_edges(counts, maps.adjacency, edge_index)


def _in_graphs(maps: Homomorphisms, pattern: Pattern, edge_index: Tensor, ptr: Tensor) -> Tensor:
    counts = _count(maps, pattern, (0,), ptr)
    batch = expand_ptr(ptr, counts.numel())
    return counts.new_zeros(ptr.numel() - 1).index_add_(0, batch, counts)[:, None]


def _count(maps: Homomorphisms, pattern: Pattern, roots: tuple[int, ...], ptr: Tensor) -> Tensor:
    """[N] for one root, one per entry of the adjacency matrix for two adjacent ones."""
    if elimination_order(pattern, roots) is not None:
        return maps.count(pattern, roots)
    # Every map is an injective one of a single image of the pattern.
    edges = torch.stack([maps.adjacency.row, maps.adjacency.column])
    total = maps.adjacency.value.new_zeros(())
    for (image, ends), times in images(pattern, roots):
        level, orbits, place = "node", image.node_orbits, ends[0]
        if len(ends) == 2:
            level, orbits, place = "edge", image.arc_orbits(directed=True), image.arcs.index(ends)
        counts = subgraph_counts(edges, ptr, image.edges, level=level, directed_orbits=True, max_matches=maps.limit)
        total = total + times * image.symmetries(ends) * counts[:, orbits[place]].double()
    return total


def _first(orbits: tuple[int, ...]) -> list[int]:
    """First member of every orbit."""
    return [orbits.index(orbit) for orbit in range(max(orbits) + 1)]


_LEVELS: dict[str, Callable[[Homomorphisms, Pattern, Tensor, Tensor], Tensor]] = {
    "node": _at_nodes,
    "edge": _at_edges,
    "graph": _in_graphs,
}
