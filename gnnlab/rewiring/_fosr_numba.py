"""First-order spectral additions, one group after the other in the cache. CPU, when numba is installed.

Where the tensor program of :mod:`gnnlab.rewiring._fosr_torch` asks for the best partner of every node, only nodes
whose bound beats the best pair so far are asked here.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gnnlab.graph.buckets import SortedUnion
from gnnlab.ops._numba._jit import bound, claim, compiled
from gnnlab.ops._numba._threads import run
from gnnlab.rewiring._fosr_torch import LEVELS
from gnnlab.rewiring._greedy import Steps, no_steps

__all__ = ["spectral_steps"]

_INSERTED = 64  # nodes up to which the order of the step before is mended rather than made anew


def spectral_steps(union: SortedUnion, steps: int, power_steps: int, x: Tensor) -> Steps:
    """As :func:`gnnlab.rewiring._fosr_torch.spectral_steps`."""
    found = no_steps(union.ptr.diff(), steps)
    size = (union.column.numel() + 4 * x.numel()) * (steps + power_steps)
    columns = (column.numpy() for column in (union.ptr, union.edge_ptr, union.column, x, *found))
    run(_groups, size, power_steps, *columns)
    return found


@compiled
def _groups(counter, chunks, power_steps, ptr, edge_ptr, column, start, gain, source, target):
    chunk = claim(counter, 0)
    while chunk < chunks:
        last = chunks - chunk  # the largest groups first
        for c in range(bound(ptr, last - 1, chunks), bound(ptr, last, chunks)):
            begin, end = ptr[c], ptr[c + 1]
            if end - begin > 1:
                pointers = edge_ptr[begin : end + 1]
                neighbours = column[pointers[0] : pointers[-1]] - begin
                x, shifted = start[begin:end].copy(), pointers - pointers[0]
                _add_edges(x, shifted, neighbours, power_steps, gain[c], source[c], target[c])
        chunk = claim(counter, 1)


@compiled
def _add_edges(x, pointers, column, power_steps, gain, source, target):
    n = x.shape[0]
    degree = np.empty(n)
    for i in range(n):
        degree[i] = pointers[i + 1] - pointers[i]
    z, y = np.empty(n), np.empty(n, np.int64)
    order, mark = np.arange(n), np.full(n, -1)
    for _ in range(power_steps):
        _power(x, z, degree, pointers, column, source[:0], target[:0])
    for step in range(gain.shape[0]):
        largest = 0.0
        for i in range(n):
            z[i] = x[i] / np.sqrt(degree[i] + 1)
            largest = max(largest, abs(z[i]))
        for i in range(n):
            y[i] = np.int64(np.rint(z[i] / (largest if largest > 0 else 1.0) * LEVELS))
        order = _descending(y, order)
        mark[:] = -1
        s, t = _least_product(y, order, mark, pointers, column, source[:step], target[:step])
        if s < 0:
            break
        gain[step], source[step], target[step] = -z[s] * z[t], s, t
        degree[s] += 1
        degree[t] += 1
        _power(x, z, degree, pointers, column, source[: step + 1], target[: step + 1])


@compiled
def _power(x, z, degree, pointers, column, source, target):
    n = x.shape[0]
    along, volume, norm = 0.0, 0.0, 0.0
    for i in range(n):
        along += x[i] * np.sqrt(degree[i])
        volume += degree[i]
    along /= max(volume, 1.0)
    for i in range(n):
        root = np.sqrt(degree[i])
        x[i] -= along * root
        z[i] = x[i] / root if root > 0 else x[i]
    for i in range(n):
        total = 0.0
        for slot in range(pointers[i], pointers[i + 1]):
            total += z[column[slot]]
        if degree[i] > 0:
            x[i] += total / np.sqrt(degree[i])
    for e in range(source.shape[0]):
        s, t = source[e], target[e]
        x[s] += z[t] / np.sqrt(degree[s])
        x[t] += z[s] / np.sqrt(degree[t])
    for i in range(n):
        norm += x[i] * x[i]
    if norm > 0:
        x /= np.sqrt(norm)


@compiled
def _descending(y, order):
    """Rows from the largest value down, equals by row."""
    n = y.shape[0]
    if n > _INSERTED:
        return np.argsort(-y, kind="mergesort")
    for k in range(1, n):
        row, place = order[k], k
        while place > 0:
            other = order[place - 1]
            if y[other] > y[row] or (y[other] == y[row] and other < row):
                break
            order[place] = other
            place -= 1
        order[place] = row
    return order


@compiled
def _least_product(y, order, mark, pointers, column, source, target):
    """The first pair of least product that is no edge; (-1, -1) if there is none."""
    n = y.shape[0]
    top, bottom = y[order[0]], y[order[n - 1]]
    best, s, t = np.int64(2**62), -1, -1
    for u in range(n):
        if s >= 0 and y[u] * (top if y[u] < 0 else bottom) >= best:
            continue
        mark[u] = u
        for slot in range(pointers[u], pointers[u + 1]):
            mark[column[slot]] = u
        for e in range(source.shape[0]):
            if source[e] == u:
                mark[target[e]] = u
            elif target[e] == u:
                mark[source[e]] = u
        partner = _largest(order, mark, u) if y[u] < 0 else _smallest(y, order, mark, u)
        if partner >= 0 and (s < 0 or y[u] * y[partner] < best):
            best, s, t = y[u] * y[partner], u, partner
    return min(s, t), max(s, t)


@compiled
def _largest(order, mark, u):
    for k in range(order.shape[0]):
        if mark[order[k]] != u:
            return order[k]
    return -1


@compiled
def _smallest(y, order, mark, u):
    """From the other end, and there too the first row among equals."""
    k = order.shape[0] - 1
    while k >= 0 and mark[order[k]] == u:
        k -= 1
    if k < 0:
        return -1
    found = order[k]
    while k > 0 and y[order[k - 1]] == y[found]:
        k -= 1
        if mark[order[k]] != u:
            found = order[k]
    return found
