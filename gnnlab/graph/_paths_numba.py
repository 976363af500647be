"""Shortest paths from one far end after the other, compiled. CPU, when numba is installed.

A search knows which nodes it has reached, so a path is found as its root and the path that it prolongs, and written
out once, where the tensor program of :mod:`gnnlab.graph._paths_torch` gathers every candidate several times.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnlab.ops._numba._jit import bound, claim, compiled, index
from gnnlab.ops._numba._threads import run

__all__ = ["shortest_paths"]

_MOST_CELLS = 1 << 25
"""Far ends times lengths that are counted: 256 MB for each of three tables."""

_MOST_WAYS = 1 << 40
"""Where the count of paths between two nodes stops: far beyond what fits."""


def shortest_paths(
    edge_index: Tensor, ptr: Tensor, batch: Tensor, length: int, kind: str, max_paths: int, max_gigabytes: float
) -> list[Tensor] | None:
    """As :func:`gnnlab.graph._paths_torch.lengthened`, of shortest paths; ``None`` if they are too many for us."""
    num_nodes, every = batch.numel(), kind == "all_shortest"
    if num_nodes * (length + 1) > _MOST_CELLS:
        return None
    rows, columns = _into_every_node(edge_index.numpy(), num_nodes)
    limits = np.minimum(max_gigabytes * 2**30 / (8 * np.arange(1, length + 2)), 2.0**62).astype(np.int64)
    paths, candidates = np.zeros((2, num_nodes, length + 1), np.int64)
    stop, work = np.zeros(1, np.int64), (rows.size + columns.size) * (length + 1)
    run(_count, work, rows, columns, batch.numpy(), every, max_paths, limits, paths, candidates, stop)
    if stop[0] or _too_many(candidates, ptr.numpy(), max_paths, limits):
        return None
    totals = paths.sum(0)
    begins = totals.cumsum() - totals
    starts = paths.cumsum(0) - paths + begins
    nodes, prolonged = np.empty((2, totals.sum()), np.int64)
    nodes[:num_nodes] = np.arange(num_nodes)
    run(_search, work + 2 * nodes.size, rows, columns, every, paths, starts, begins, nodes, prolonged)
    tables = [nodes[:num_nodes, None]]
    for begin, total in zip(begins[1:], totals[1:], strict=True):
        part = slice(begin, begin + total)
        tables.append(np.empty((total, len(tables) + 1), np.int64))
        run(_write, tables[-1].size, nodes[part], prolonged[part], *tables[-2:])
    return [torch.from_numpy(table) for table in tables[1:]]


def _into_every_node(edge_index: np.ndarray, num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """As in the tensor program, whose sort would wait for threads: on a busy machine that takes longest of all."""
    source, target = edge_index
    key = np.sort((target * num_nodes + source)[source != target])
    key = key[np.diff(key, prepend=-1) > 0]
    target, source = np.divmod(key, max(num_nodes, 1))
    return np.append(0, np.bincount(target, minlength=num_nodes).cumsum()), source


def _too_many(candidates: np.ndarray, ptr: np.ndarray, max_paths: int, limits: np.ndarray) -> bool:
    total = candidates.sum(0)
    if (total > limits).any():
        return True
    if total.max(initial=0) <= max_paths:
        return False
    before = np.pad(candidates.cumsum(0), ((1, 0), (0, 0)))
    return bool((np.diff(before[ptr], axis=0) > max_paths).any())


@compiled
def _count(counter, chunks, pointers, sources, graph, every, max_paths, limits, paths, candidates, stop):
    """Paths from every far end by length, and ways to prolong those before them, unless these are too many."""
    num_nodes, lengths = paths.shape
    seen, hops, queue = np.full(num_nodes, -1), np.empty(num_nodes, np.int64), np.empty(num_nodes, np.int64)
    ways, total, of_graph = np.empty(num_nodes, np.int64), np.zeros(lengths, np.int64), np.zeros(lengths, np.int64)
    chunk = claim(counter, 0)
    while chunk < chunks:
        of_graph[:] = 0
        first = np.int64(bound(pointers, chunk, chunks))
        for end in range(first, np.int64(bound(pointers, chunk + 1, chunks))):
            if stop[0]:
                break
            if end > first and graph[end] != graph[end - 1]:
                of_graph[:] = 0
            seen[end], hops[end], ways[end], queue[0], paths[end, 0] = end, 0, 1, end, 1
            begin, last, length = 0, 1, 1
            while length < lengths and begin < last:
                stage, found, tried = last, 0, 0
                for place in range(begin, stage):
                    u = index(queue[place])
                    tried += ways[u] * np.int64(pointers[u + index(1)] - pointers[u])
                    for slot in range(index(pointers[u]), index(pointers[u + index(1)])):
                        v = index(sources[slot])
                        if seen[v] != end:
                            seen[v], hops[v], ways[v] = end, length, ways[u] if every else 1
                            found += ways[v]
                            queue[last] = v
                            last += 1
                        elif every and hops[v] == length:
                            ways[v] = min(ways[v] + ways[u], _MOST_WAYS)
                            found += ways[u]
                begin = stage
                paths[end, length], candidates[end, length] = found, tried
                total[length] += tried
                of_graph[length] += tried
                if total[length] > limits[length] or of_graph[length] > max_paths:
                    stop[0] = 1
                    break
                length += 1
        chunk = claim(counter, 1)


@compiled
def _search(counter, chunks, pointers, sources, every, paths, starts, begins, nodes, prolonged):
    """The root of every path, and the row of the path it prolongs in the table of those."""
    num_nodes, lengths = paths.shape
    seen, hops = np.full(num_nodes, -1), np.empty(num_nodes, np.int64)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for end in range(np.int64(bound(pointers, chunk, chunks)), np.int64(bound(pointers, chunk + 1, chunks))):
            seen[end], hops[end] = end, 0
            for length in range(1, lengths):
                first, to = starts[end, length - 1], index(starts[end, length])
                for path in range(first, first + paths[end, length - 1]):
                    u = index(nodes[path])
                    for slot in range(index(pointers[u]), index(pointers[u + index(1)])):
                        v = index(sources[slot])
                        if seen[v] != end:
                            seen[v], hops[v] = end, length
                        elif not (every and hops[v] == length):
                            continue
                        nodes[to], prolonged[to] = v, path - begins[length - 1]
                        to += index(1)
        chunk = claim(counter, 1)


@compiled
def _write(counter, chunks, nodes, prolonged, table, longer):
    rows, width = longer.shape
    chunk = claim(counter, 0)
    while chunk < chunks:
        for row in range(rows * chunk // chunks, rows * (chunk + 1) // chunks):
            longer[row, 0] = nodes[row]
            for place in range(1, width):
                longer[row, place] = table[prolonged[row], place - 1]
        chunk = claim(counter, 1)
