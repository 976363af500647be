"""Walk counts of one graph after the other, compiled. CPU, when numba is installed.

Small graphs multiply a dense matrix that stays in the cache. In large ones every source has a vector of its
own, over the nodes from which the remaining steps still lead to a target. Neither needs the breadth-first
layers that the products of :mod:`gnnlab.graph._walk_columns` share their columns by.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnlab.ops import expand_ptr
from gnnlab.ops._numba._jit import bound, claim, compiled, index
from gnnlab.ops._numba._threads import run

__all__ = ["count_walks"]

_DENSE = 256  # nodes; two matrices of that size are 1 MB


def count_walks(
    ptr: Tensor, pointers: Tensor, targets: Tensor, weight: Tensor, pairs: Tensor, length: int, self_loops: bool
) -> Tensor:
    """[P] float64, walks between pairs that are sorted by source and do not leave their graph.

    Args:
        ptr: [G + 1] long, first node of every graph.
        pointers: [N + 1] long, first edge of every source.
        targets: [E] long.
        weight: [E] float64.
        pairs: [2, P] long.
        length: Number of steps.
        self_loops: Whether a step may stay where it is.
    """
    starts = torch.searchsorted(pairs[0].contiguous(), ptr)
    both_ways = bool((ptr.diff() > _DENSE).any()) and _symmetric(pointers, targets)
    out = np.zeros(pairs.size(1))
    arrays = (tensor.contiguous().numpy() for tensor in (ptr, starts, pointers, targets, weight, pairs))
    run(_count, 4 * out.size * length, *arrays, length, self_loops, both_ways, out)
    return torch.from_numpy(out)


def _symmetric(pointers: Tensor, targets: Tensor) -> bool:
    source, num_nodes = expand_ptr(pointers, targets.numel()), pointers.numel() - 1
    return torch.equal((source * num_nodes + targets).unique(), (targets * num_nodes + source).unique())


@compiled
def _count(counter, chunks, ptr, starts, pointers, targets, weight, pairs, length, self_loops, both_ways, out):
    widest = 0
    for graph in range(ptr.size - 1):
        if ptr[graph + 1] - ptr[graph] <= _DENSE:
            widest = max(widest, ptr[graph + 1] - ptr[graph])
    now, then = np.empty(widest * widest), np.empty(widest * widest)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for graph in range(bound(starts, chunk, chunks), bound(starts, chunk + 1, chunks)):
            begin, end = ptr[graph], ptr[graph + 1]
            first, last = starts[graph], starts[graph + 1]
            if first == last:
                continue
            wanted, counts = pairs[:, first:last] - begin, out[first:last]
            rows = pointers[begin : end + 1] - pointers[begin]
            columns = targets[pointers[begin] : pointers[end]] - begin
            entries = weight[pointers[begin] : pointers[end]]
            if end - begin <= _DENSE:
                _multiply(rows, columns, entries, wanted, length, self_loops, counts, now, then)
            else:
                _spread(rows, columns, entries, wanted, length, self_loops, both_ways, counts)
        chunk = claim(counter, 1)


@compiled
def _multiply(rows, columns, entries, wanted, length, self_loops, counts, now, then):
    """Powers of the matrix of a graph, in full."""
    n = rows.size - 1
    now[: n * n] = 0.0
    for u in range(n):
        now[u * n + u] = 1.0
    for _ in range(length):
        for u in range(n):
            to, here = then[u * n : u * n + n], now[u * n : u * n + n]
            for w in range(n):
                to[w] = here[w] if self_loops else 0.0
            for slot in range(rows[u], rows[u + 1]):
                there, factor = now[columns[slot] * n : columns[slot] * n + n], entries[slot]
                for w in range(n):
                    to[w] += factor * there[w]
        now, then = then, now
    for pair in range(counts.size):
        counts[pair] = now[wanted[0, pair] * n + wanted[1, pair]]


@compiled
def _spread(rows, columns, entries, wanted, length, self_loops, both_ways, counts):
    """A vector per source, over the nodes around it in order of distance."""
    n = rows.size - 1
    seen, goal, local = np.full(n, -1), np.full(n, -1), np.empty(n, np.int64)
    ball, ends, now, then = np.empty(n, np.int64), np.empty(length + 1, np.int64), np.empty(n), np.empty(n)
    edge_ptr, edge_to, edge_weight = np.zeros(n + 1, np.int64), np.empty(columns.size, np.int64), np.empty(entries.size)
    first = 0
    while first < counts.size:
        source, last = wanted[0, first], first
        while last < counts.size and wanted[0, last] == source:
            last += 1
        goals = wanted[1, first:last]
        reach = _explore(rows, columns, source, length, both_ways, goals, seen, goal, local, ball, ends)
        edges, nodes = 0, ends[length]
        for place in range(nodes):
            u = index(ball[place])
            for slot in range(index(rows[u]), index(rows[u + index(1)])):
                v = index(columns[slot])
                if seen[v] == source:
                    edge_to[edges], edge_weight[edges] = local[v], entries[slot]
                    edges += 1
            edge_ptr[place + 1] = edges
        now[0], size = 1.0, 1
        for step in range(1, length + 1):
            # Nodes further away cannot be left and be at a target in time; what they get is never read.
            following = ends[min(step, length - step + reach)]
            then[:nodes] = 0.0
            if self_loops:
                kept = min(size, following)
                then[:kept] = now[:kept]
            for place in range(size):
                value = now[place]
                for slot in range(index(edge_ptr[place]), index(edge_ptr[place + 1])):
                    then[index(edge_to[slot])] += value * edge_weight[slot]
            now, then, size = then, now, following
        for pair in range(first, last):
            v = wanted[1, pair]
            if seen[v] == source and local[v] < size:
                counts[pair] = now[local[v]]
        first = last


@compiled
def _explore(rows, columns, source, length, both_ways, goals, seen, goal, local, ball, ends):
    """Number the nodes around ``source`` by distance; returns the distance of the furthest goal within ``length``.

    Where edges lead one way only, a goal that is near says nothing about the way to it: all within ``length``
    are numbered, and ``length`` returned.
    """
    missing = 0
    for v in goals:
        if goal[v] != source:
            goal[v] = source
            missing += 1
    if goal[source] == source:
        missing -= 1
    ball[0], seen[source], local[source], ends[0] = source, source, 0, 1
    begin, nodes, hops, reach = 0, 1, 0, 0
    limit = length if missing or not both_ways else length // 2
    while hops < limit and begin < nodes:
        end = nodes
        for place in range(begin, end):
            u = index(ball[place])
            for slot in range(index(rows[u]), index(rows[u + index(1)])):
                v = index(columns[slot])
                if seen[v] != source:
                    seen[v], local[v], ball[nodes] = source, nodes, v
                    nodes += 1
                    if goal[v] == source:
                        missing -= 1
                        reach = hops + 1
        begin = end
        hops += 1
        ends[hops] = nodes
        if missing == 0 and both_ways:
            limit = (length + reach) // 2
    ends[hops + 1 :] = nodes
    return reach if both_ways else length
