"""Random edges that join nodes as far apart as those another rewiring joins."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph import connected_components, k_hop_pairs
from gnnlab.graph._noise import pair_noise
from gnnlab.ops import expand_ptr
from gnnlab.rewiring._edits import Edits
from gnnlab.rewiring._pairs import ranks, unordered

__all__ = ["edges_alike"]

_FIRST_LOOK = 4
"""Hops within which pairs are looked for first; doubled until all are found."""


def edges_alike(given: Edits, edges: Tensor, ptr: Tensor, seed: int, max_pairs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Undirected edges [2, A], orders [A] and relations [A] with the distances, graph by graph, of those given.

    Args:
        given: What the other rewiring does.
        edges: [2, 2M] long, the simple undirected graph, both directions.
        ptr: [G + 1] long, first node of every graph.
    """
    num_nodes = int(ptr[-1])
    wanted, relation, order = _inside(given, edges, num_nodes)
    pairs, distance, place = _distances(wanted, edges, ptr, max_pairs)
    apart = distance[place] > 1
    if not bool(apart.any()):
        return wanted[:, :0], order[:0], relation[:0]
    wanted, relation, order, place = wanted[:, apart], relation[apart], order[apart], place[apart]
    graph, stride = expand_ptr(ptr, num_nodes), int(distance[place].max()) + 1
    cell = graph[wanted[0]] * stride + distance[place]  # a distance in a graph
    needed = torch.bincount(cell, minlength=(ptr.numel() - 1) * stride)
    model = torch.argsort(relation, stable=True)
    model = model[torch.argsort(cell[model], stable=True)]
    pairs, distance = pairs[:, distance < stride], distance[distance < stride]
    cell = graph[pairs[0]] * stride + distance
    candidate = (needed[cell] > 0).nonzero().flatten()
    cell, sorting = torch.sort(cell[candidate], stable=True)
    pairs = pairs[:, candidate[sorting]]
    noise = pair_noise(pairs, edges, ptr, seed)
    rank = ranks(cell.unique_consecutive(return_counts=True)[1], noise, noise)
    chosen = rank < needed[cell]
    model = model[(needed.cumsum(0) - needed)[cell[chosen]] + rank[chosen]]
    return pairs[:, chosen], order[model], relation[model]


def _inside(given: Edits, edges: Tensor, num_nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Every pair of nodes of a component that is joined, once, with its relation and order."""
    component = connected_components(edges, num_nodes)
    source, target = given.added
    inside = (component[source] == component[target]) & (source != target)
    zeros = torch.zeros_like(source)
    relation = zeros if given.relation is None else given.relation
    order = zeros + 1 if given.order is None else given.order
    return unordered(given.added[:, inside], num_nodes, relation[inside], order[inside])


def _distances(wanted: Tensor, edges: Tensor, ptr: Tensor, max_pairs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (low, high) and distances, far enough to hold all those ``wanted``, and the places of these."""
    num_nodes, hops = int(ptr[-1]), _FIRST_LOOK
    key = wanted[0] * num_nodes + wanted[1]
    while True:
        pairs, distance = k_hop_pairs(edges, ptr, hops, max_pairs=max_pairs)
        upward = pairs[0] < pairs[1]
        pairs, distance = pairs[:, upward], distance[upward]
        known, sorting = torch.sort(pairs[0] * num_nodes + pairs[1])
        if bool(torch.isin(key, known).all()):
            return pairs, distance, sorting[torch.searchsorted(known, key)]
        hops *= 2
