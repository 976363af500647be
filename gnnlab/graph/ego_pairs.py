"""Ego graphs as flat tables: the vertices near every root, and those near both ends of every edge."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph._check import check_union
from gnnlab.graph._lookup import induced_degrees, lookup, neighbours
from gnnlab.graph._noise import mix
from gnnlab.graph.distances import k_hop_pairs
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import ragged_arange

__all__ = ["EgoIntersections", "EgoVertices", "ego_intersections", "ego_vertices", "multiset_codes", "row_codes"]


class EgoVertices(NamedTuple):
    """Vertices of the ego graphs :math:`S_k(r)`, sorted by ``root``, then ``vertex``.

    ``root`` [P], ``vertex`` [P] and ``distance`` [P] are long; ``degrees`` [P, 3] long counts the neighbours of the
    vertex in the ego graph that are one hop nearer to the root, as far, and one hop further.
    """

    root: Tensor
    vertex: Tensor
    distance: Tensor
    degrees: Tensor


class EgoIntersections(NamedTuple):
    r"""Vertices of :math:`S_k(u) \cap S_k(v)` for every undirected edge, sorted by ``edge``, then ``vertex``.

    ``edges`` [2, M] long with row 0 < row 1; ``edge`` [R] long counts in them; ``vertex`` [R] long; ``distance`` [R, 2]
    long to both ends; ``degree`` [R, k] long, column j - 1 being the neighbours inside
    :math:`S_j(u) \cap S_j(v)`, -1 where the vertex is not in it itself.
    """

    edges: Tensor
    edge: Tensor
    vertex: Tensor
    distance: Tensor
    degree: Tensor


@torch.no_grad()
def ego_vertices(edge_index: Tensor, ptr: Tensor, k: int, *, max_pairs: int = 2 * 10**7) -> EgoVertices:
    """The k-hop ego graph of every node with the relative degrees of its vertices, all in one table.

    Graphs are taken as simple and undirected. An ego graph of fewer hops j is contained in it: its vertices
    have ``distance`` at most j, and those at distance j no neighbours further out.

    The work is the sum over all pairs of the degree of the vertex or the size of the ego graph, whichever is
    smaller; 64 bytes per pair are returned.

    Args:
        edge_index: [2, E] long, node ids of the union; an edge in one direction counts for both.
        ptr: [G + 1] long, first node of every graph.
        k: Hops, at least 0.
        max_pairs: Most (root, vertex) pairs to allocate.

    Raises:
        ConfigError: a negative ``k``.
        GraphError: tensors that do not describe a union.
        BudgetError: there are more than ``max_pairs``.

    Example:
        >>> triangle_with_tail = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 3]])
        >>> ego = ego_vertices(triangle_with_tail, torch.tensor([0, 4]), k=1)
        >>> ego.vertex[ego.root == 0].tolist(), ego.degrees[ego.root == 0].tolist()
        ([0, 1, 2], [[0, 0, 2], [1, 1, 0], [1, 1, 0]])
    """
    edges, near, size = _near(edge_index, ptr, k, max_pairs)
    root, vertex, distance = near
    counts = induced_degrees(size, vertex, distance, k + 1, neighbours(edges, size.numel()))
    # A column of zeros on both sides: nobody is nearer than the root or further than k.
    counts = torch.nn.functional.pad(counts, (1, 1))
    degrees = counts.gather(1, distance[:, None] + torch.arange(3, device=ptr.device))
    return EgoVertices(root, vertex, distance, degrees)


@torch.no_grad()
def ego_intersections(edge_index: Tensor, ptr: Tensor, k: int, *, max_pairs: int = 2 * 10**7) -> EgoIntersections:
    """What the ego graphs of both ends of every edge have in common, for 1 to k hops at once.

    Graphs are taken as simple and undirected. The work is the sum, over all edges and vertices they share, of
    the degree of the vertex or the size of the intersection, whichever is smaller.

    Args:
        edge_index: [2, E] long, node ids of the union; an edge in one direction counts for both.
        ptr: [G + 1] long, first node of every graph.
        k: Hops, at least 1.
        max_pairs: Most (root, vertex) pairs, and most (edge, vertex) candidates, to allocate.

    Raises:
        ConfigError: ``k`` below 1.
        GraphError: tensors that do not describe a union.
        BudgetError: there are more than ``max_pairs``.

    Example:
        >>> triangle_with_tail = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 3]])
        >>> shared = ego_intersections(triangle_with_tail, torch.tensor([0, 4]), k=1)
        >>> shared.edges[:, 0].tolist(), shared.vertex[shared.edge == 0].tolist()
        ([0, 1], [0, 1, 2])
        >>> shared.distance[shared.edge == 0].tolist(), shared.degree[shared.edge == 0, 0].tolist()
        ([[0, 1], [1, 0], [1, 1]], [2, 2, 2])
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}")
    edges, (root, vertex, distance), size = _near(edge_index, ptr, k, max_pairs)
    num_nodes = size.numel()
    # Look through the smaller of the two ego graphs for members of the larger one.
    swap = size[edges[0]] > size[edges[1]]
    small, large = torch.where(swap, edges.flip(0), edges)
    candidates = int(size[small].sum())
    if candidates > max_pairs:
        raise BudgetError(
            f"{edges.size(1):,} edges have {candidates:,} candidates for common vertices within {k} hops, more than "
            f"max_pairs={max_pairs:,}",
            hint="take fewer hops or a smaller union, or raise max_pairs",
        )
    edge = torch.repeat_interleave(size[small], output_size=candidates)
    place = (size.cumsum(0) - size)[small[edge]] + ragged_arange(size[small], candidates)
    found, other = lookup(root * num_nodes + vertex, large[edge] * num_nodes + vertex[place])
    edge, place, other = edge[found], place[found], other[found]
    shared, pair = vertex[place], torch.stack([distance[place], distance[other]], 1)
    pair = torch.where(swap[edge, None], pair.flip(1), pair)
    level = pair.amax(1)
    members = torch.bincount(edge, minlength=edges.size(1))
    degree = induced_degrees(members, shared, level, k + 1, neighbours(edges, num_nodes)).cumsum(1)[:, 1:]
    outside = level[:, None] > torch.arange(1, k + 1, device=ptr.device)
    return EgoIntersections(edges, edge, shared, pair, degree.masked_fill_(outside, -1))


def multiset_codes(items: Tensor, owner: Tensor, num_owners: int) -> Tensor:
    """[num_owners] long: equal for equal multisets of rows, and different for others but for collisions of 64 bits.

    Args:
        items: [R, c] long, rows of integers.
        owner: [R] long, whom a row belongs to.
        num_owners: Number of multisets; an empty one gets 0.

    Example:
        >>> codes = multiset_codes(torch.tensor([[1], [2], [2], [1], [1]]), torch.tensor([0, 0, 1, 1, 2]), 4)
        >>> bool(codes[0] == codes[1]), bool(codes[0] == codes[2]), int(codes[3])
        (True, False, 0)
    """
    total = torch.zeros(num_owners, dtype=torch.long, device=owner.device).index_add_(0, owner, row_codes(items))
    return mix(total)


def row_codes(items: Tensor) -> Tensor:
    """[R] long, a hash of 64 bits of every row of the integers ``items`` [R, c]."""
    word = torch.full_like(items[:, 0], items.size(1))
    for column in items.unbind(1):
        word = mix(word * 31 + column + 1)
    return word


def _near(
    edge_index: Tensor, ptr: Tensor, k: int, max_pairs: int
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor], Tensor]:
    """The undirected edges; root, vertex and distance of all pairs at most k apart; and how many every root has."""
    num_nodes = check_union(edge_index, ptr).numel()
    edges = undirected_edges(edge_index, ptr, symmetrise=True)
    pairs, distance = k_hop_pairs(torch.cat([edges, edges.flip(0)], 1), ptr, k, max_pairs=max_pairs)
    nodes = torch.arange(num_nodes, device=ptr.device)
    root, vertex = torch.cat([pairs, nodes.expand(2, -1)], 1)
    distance = torch.cat([distance, torch.zeros_like(nodes)])
    order = (root * num_nodes + vertex).argsort()
    return edges, (root[order], vertex[order], distance[order]), torch.bincount(root, minlength=num_nodes)
