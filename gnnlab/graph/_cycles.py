"""Triangles and squares at every edge, by expanding two steps from one of its ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.graph._neighbours import Neighbours, slices

__all__ = ["EdgeCycles", "edge_cycles"]

_BUDGET = 1 << 21  # two-step paths in memory at a time


class EdgeCycles(NamedTuple):
    """What closes at the edges (i, j) of a range of pairs.

    A square is i - p - q - j with p in N(i) \\ {j}, q in N(j). Those with q = i are none; they are counted
    unless squares are to be chordless, once for every p.

    Args:
        edges: The range of pairs.
        degree_i, degree_j: [n] long.
        triangles: [n] long, common neighbours of i and j.
        near_edge: [P] long, edge (from 0 in the range) of every p.
        near: [P] long, squares through p.
        near_common: [P] long, 1 if p is a neighbour of j too.
        far_edge: [Q] long, edge of every q in N(j).
        far: [Q] long, squares through q.
        far_common: [Q] long, 1 if q is a neighbour of i too.
    """

    edges: slice
    degree_i: Tensor
    degree_j: Tensor
    triangles: Tensor
    near_edge: Tensor
    near: Tensor
    near_common: Tensor
    far_edge: Tensor
    far: Tensor
    far_common: Tensor


def edge_cycles(graph: Neighbours, pairs: Tensor, chordless: bool, squares: bool = True) -> Iterator[EdgeCycles]:
    """Count triangles and squares at the edges ``pairs`` [2, M] of ``graph``, a range of edges at a time.

    i is the end from which fewer paths of two steps lead away. The work is their number, the sum over p in
    N(i) of the degree of p, with one bisection each; a range holds about 2 million of them in memory.

    Args:
        graph: A simple undirected graph.
        pairs: Edges of it.
        chordless: Count only squares without diagonals.
        squares: Whether to count squares at all; without, ``near`` and ``far`` are zero.
    """
    degree = graph.degree
    reach = torch.zeros_like(degree).index_add_(0, torch.repeat_interleave(degree), degree[graph.column])
    ahead, behind = reach[pairs[0]] - degree[pairs[1]], reach[pairs[1]] - degree[pairs[0]]
    i, j = torch.where(ahead <= behind, pairs, pairs.flip(0))
    cost = degree[i] + degree[j] + (torch.minimum(ahead, behind) if squares else 0)
    for edges in slices(cost, _BUDGET):
        yield _count(graph, edges, i[edges], j[edges], degree, chordless, squares)


def _count(
    graph: Neighbours, edges: slice, i: Tensor, j: Tensor, degree: Tensor, chordless: bool, squares: bool
) -> EdgeCycles:
    near_edge, p = graph.expand(i)
    elsewhere = p != j[near_edge]
    near_edge, p = near_edge[elsewhere], p[elsewhere]
    place = graph.slot(j[near_edge], p)
    common = place >= 0
    degree_j = degree[j]
    first = degree_j.cumsum(0) - degree_j
    far_edge = torch.repeat_interleave(degree_j)
    far_common = torch.zeros_like(far_edge)
    far_common[(first[near_edge] + place)[common]] = 1
    near, far = torch.zeros_like(near_edge), torch.zeros_like(far_edge)
    if squares:
        through = ((~common) if chordless else torch.ones_like(common)).nonzero().flatten()
        step, q = graph.expand(p[through])
        through = through[step]
        edge = near_edge[through]
        place = graph.slot(j[edge], q)
        closed = (place >= 0).nonzero().flatten()
        if chordless:
            e, end = edge[closed], q[closed]
            closed = closed[(end != i[e]) & ~graph.joined(i[e], end)]
        near = torch.bincount(through[closed], minlength=near_edge.numel())
        far = torch.bincount(first[edge[closed]] + place[closed], minlength=far_edge.numel())
    triangles = torch.bincount(near_edge[common], minlength=i.numel())
    return EdgeCycles(edges, degree[i], degree_j, triangles, near_edge, near, common.long(), far_edge, far, far_common)
