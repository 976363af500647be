"""Breadth-first search from one node after the other, compiled. CPU, when numba is installed.

A search keeps to the cache and writes results only, where the tensor program of
:mod:`gnnlab.graph._search_torch` writes and sorts every visit.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnlab.ops._numba._jit import bound, claim, compiled, index
from gnnlab.ops._numba._threads import run

__all__ = ["distance_table", "pairs_within"]


def distance_table(
    pointers: Tensor, targets: Tensor, home: Tensor, begin: int, end: int, width: int, cutoff: int
) -> Tensor:
    """As :func:`gnnlab.graph._search_torch.distance_table`."""
    table = np.full((end - begin, width), -1, np.int32)
    run(_fill_table, table.size, pointers.numpy(), targets.numpy(), home.numpy(), begin, cutoff, table)
    return torch.from_numpy(table)


def pairs_within(pointers: Tensor, targets: Tensor, k: int, max_pairs: int) -> tuple[Tensor, Tensor] | None:
    """As :func:`gnnlab.graph._search_torch.pairs_within`."""
    rows, columns = pointers.numpy(), targets.numpy()
    counts, work = np.zeros(rows.size - 1, np.int64), (rows.size + columns.size) * (k + 1)
    run(_count_pairs, work, rows, columns, k, max_pairs, counts)
    starts = np.append(0, counts.cumsum())
    if starts[-1] > max_pairs:
        return None
    pairs, distance = np.empty((2, starts[-1]), np.int64), np.empty(starts[-1], np.int64)
    run(_fill_pairs, work + pairs.size, rows, columns, k, starts, pairs, distance)
    return torch.from_numpy(pairs), torch.from_numpy(distance)


@compiled
def _fill_table(counter, chunks, pointers, targets, home, begin, cutoff, table):
    queue, rows = np.empty(table.shape[1], np.int64), table.shape[0]
    chunk = claim(counter, 0)
    while chunk < chunks:
        for row in range(rows * chunk // chunks, rows * (chunk + 1) // chunks):
            distance, start = table[row], home[begin + row]
            queue[0] = begin + row
            distance[begin + row - start] = 0
            first, last = 0, 1
            while first < last:
                u = queue[first]
                first += 1
                hops = distance[u - start] + 1
                if hops > cutoff:
                    break
                for slot in range(index(pointers[u]), index(pointers[u + 1])):
                    v = targets[slot]
                    if distance[index(v - start)] < 0:
                        distance[index(v - start)] = hops
                        queue[last] = v
                        last += 1
        chunk = claim(counter, 1)


@compiled
def _search(pointers, targets, source, k, seen, queue, ends):
    """Fill ``queue`` with the nodes by distance (the source first) and ``ends`` with the end of every layer."""
    queue[0], seen[source] = source, source
    begin, last, hops = 0, 1, 0
    ends[0] = 1
    while hops < k and begin < last:
        end = last
        for place in range(begin, end):
            u = index(queue[place])
            for slot in range(index(pointers[u]), index(pointers[u + index(1)])):
                v = index(targets[slot])
                if seen[v] != source:
                    seen[v] = source
                    queue[last] = v
                    last += 1
        begin = end
        hops += 1
        ends[hops] = last
    return hops


@compiled
def _count_pairs(counter, chunks, pointers, targets, k, max_pairs, counts):
    seen, queue, ends = np.full(counts.size, -1), np.empty(counts.size, np.int64), np.empty(k + 1, np.int64)
    chunk = claim(counter, 0)
    while chunk < chunks:
        total = 0
        for source in range(np.int64(bound(pointers, chunk, chunks)), np.int64(bound(pointers, chunk + 1, chunks))):
            hops = _search(pointers, targets, source, k, seen, queue, ends)
            counts[source] = ends[hops] - 1
            total += counts[source]
            if total > max_pairs:
                break  # too many, whatever the others find
        chunk = claim(counter, 1)


@compiled
def _fill_pairs(counter, chunks, pointers, targets, k, starts, pairs, distance):
    num_nodes = starts.size - 1
    seen, queue, ends = np.full(num_nodes, -1), np.empty(num_nodes, np.int64), np.empty(k + 1, np.int64)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for source in range(np.int64(bound(pointers, chunk, chunks)), np.int64(bound(pointers, chunk + 1, chunks))):
            hops = _search(pointers, targets, source, k, seen, queue, ends)
            first, last = starts[source], starts[source + 1]
            found, hop = pairs[:, first:last], distance[first:last]
            for d in range(1, hops + 1):
                _sort(queue[ends[d - 1] : ends[d]])
                hop[ends[d - 1] - 1 : ends[d] - 1] = d
            found[0] = source
            found[1] = queue[1 : last - first + 1]
        chunk = claim(counter, 1)


@compiled
def _sort(nodes):
    if nodes.size > 32:
        nodes.sort()
        return
    for place in range(1, nodes.size):
        node, hole = nodes[place], place
        while hole > 0 and nodes[hole - 1] > node:
            nodes[hole] = nodes[hole - 1]
            hole -= 1
        nodes[hole] = node
