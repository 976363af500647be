"""Greedy edges of least total resistance, one component after the other in the cache. CPU, when numba is installed.

One pass over half of two matrices adds an edge, updates both and scores every pair, where the tensor program of
:mod:`gnnlab.rewiring._gtr_torch` makes six passes over the whole of them; no component is padded to the size of
another one; and a nearly-tree starts from distances in a tree instead of a matrix inversion.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from gnnlab.graph._pseudo_inverse import pseudo_inverses
from gnnlab.graph.buckets import SortedUnion
from gnnlab.ops._numba._jit import bound, claim, compiled, index
from gnnlab.ops._numba._threads import run
from gnnlab.rewiring._greedy import TOLERANCE, Steps, no_steps

__all__ = ["resistance_steps"]

_INVERTED, _GROWN = 192, 512
"""Largest component, and largest one that is nearly a tree, that a thread deals with alone in plain loops.

Beyond, BLAS inverts faster, and a single step is work for all threads.
"""


def resistance_steps(union: SortedUnion, steps: int) -> Steps:
    """As :func:`gnnlab.rewiring._gtr_torch.resistance_steps`."""
    sizes = union.ptr.diff()
    found = no_steps(sizes, steps)
    rows = [column.numpy() for column in found]
    ends = union.edge_ptr[union.ptr].diff()
    alone = torch.where(ends < 4 * sizes, sizes <= _GROWN, sizes <= _INVERTED)
    work = int(sizes[alone].square().sum()) * (steps + 8)
    run(_components, work, union.ptr.numpy(), union.edge_ptr.numpy(), union.column.numpy(), alone.numpy(), *rows)
    for place in (~alone).nonzero().flatten().tolist():
        one = replace(union, group=union.group[place : place + 1], ptr=union.ptr[place : place + 2])
        pointers, column, _ = union.edges(*one.ptr.tolist())
        for _, _, (inverse,) in pseudo_inverses(one):
            square = inverse @ inverse
            _large(inverse.numpy(), square.numpy(), pointers.numpy(), column.numpy(), *(row[place] for row in rows))
    return found


def _large(resistance: np.ndarray, biharmonic: np.ndarray, pointers: np.ndarray, column: np.ndarray, *rows: np.ndarray):
    """Steps of one component, given its pseudo-inverse and the square of that; threads share the rows of a step."""
    n = len(resistance)
    best, v, u = np.empty(n), np.zeros(n), np.zeros(n)
    _distances(resistance, biharmonic, pointers, column)
    for step in range(len(rows[0])):
        run(_sweep, n * n, resistance, biharmonic, v, u, best)
        if not _pick(resistance, biharmonic, best, v, u, step, *rows):
            break


@compiled
def _sweep(counter, chunks, resistance, biharmonic, v, u, best):
    n = v.shape[0]
    chunk = claim(counter, 0)
    while chunk < chunks:
        # Rows chunk, chunk + chunks, ...: they become shorter and shorter.
        for i in range(chunk, n, chunks):
            best[i] = _row(resistance[i], biharmonic[i], v, u, i)
        chunk = claim(counter, 1)


def _fast(function):
    """Scores are never NaN, which lets a maximum be taken eight numbers at a time."""
    return compiled(function, fastmath={"contract", "reassoc", "nsz", "nnan"})


@_fast
def _row(resistance, biharmonic, v, u, i):
    """Update the pairs (i, j > i) and return their best score.

    Pairs that are edges have a negative ``1 + R``, and hence a negative score.
    """
    best = 0.0
    vi, ui = v[i], u[i]
    after = index(i + 1)
    r, b, v, u = resistance[after:], biharmonic[after:], v[after:], u[after:]
    for j in range(r.shape[0]):
        dv, du = vi - v[j], ui - u[j]
        square = dv * dv
        r[j] -= square if r[j] > 0 else -square
        b[j] -= 2 * dv * du
        score = b[j] / r[j]
        best = score if score > best else best
    return best


@compiled
def _pick(resistance, biharmonic, best, v, u, step, gain, source, target):
    """Take the first of the best pairs and prepare the update; False if there is none."""
    n = v.shape[0]
    top = 0.0
    for i in range(n):
        top = max(top, best[i])
    if top <= 0:
        return False
    floor = top * (1 - TOLERANCE)
    s = 0
    while best[s] < floor:
        s += 1
    t = s + 1
    while biharmonic[s, t] / resistance[s, t] < floor:
        t += 1
    gain[step], source[step], target[step] = top, s, t
    r, beta = resistance[s, t], biharmonic[s, t]
    resistance[s, t] = -r
    scale, half = 1 / np.sqrt(r), beta / (2 * r)
    _between(resistance, s, t, v)
    _between(biharmonic, s, t, u)
    for i in range(n):
        v[i] *= scale
        u[i] = u[i] * scale - half * v[i]
    return True


@compiled
def _between(matrix, s, t, out):
    """Half the difference of two columns of distances: that of two columns of L^+ (or its square), up to a constant."""
    for i in range(out.shape[0]):
        to_s = abs(matrix[i, s] if i < s else matrix[s, i])
        to_t = abs(matrix[i, t] if i < t else matrix[t, i])
        out[i] = (to_t - to_s) / 2


@compiled
def _distances(inverse, square, pointers, column):
    """``1 + R`` and ``B`` above the diagonals, from the pseudo-inverse and its square; edges are marked by the sign."""
    n = inverse.shape[0]
    p, q = np.empty(n), np.empty(n)
    for i in range(n):
        p[i], q[i] = inverse[i, i], square[i, i]
    for i in range(n):
        r, b, pi, qi = inverse[i], square[i], 1 + p[i], q[i]
        for j in range(i, n):
            r[j] = pi + p[j] - 2 * r[j]
            b[j] = qi + q[j] - 2 * b[j]
    for i in range(n):
        for slot in range(pointers[i], pointers[i + 1]):
            if column[slot] > i:
                inverse[i, column[slot]] *= -1


@compiled
def _components(counter, chunks, ptr, edge_ptr, column, alone, gain, source, target):
    largest = 0
    for c in range(alone.shape[0]):
        if alone[c]:
            largest = max(largest, ptr[c + 1] - ptr[c])
    memory = np.empty((2, largest * largest))
    chunk = claim(counter, 0)
    while chunk < chunks:
        last = chunks - chunk  # the largest components first
        for c in range(bound(ptr, last - 1, chunks), bound(ptr, last, chunks)):
            begin, n = ptr[c], ptr[c + 1] - ptr[c]
            if n < 3 or not alone[c]:
                continue
            inverse, square = memory[0, : n * n].reshape(n, n), memory[1, : n * n].reshape(n, n)
            pointers = edge_ptr[begin : begin + n + 1]
            neighbours = column[pointers[0] : pointers[n]] - begin
            pointers = pointers - pointers[0]
            if neighbours.shape[0] < 4 * n:
                _grow(inverse, pointers, neighbours)
            else:
                _invert(inverse, pointers, neighbours)
            _square(inverse, square)
            _distances(inverse, square, pointers, neighbours)
            best, v, u = np.empty(n), np.zeros(n), np.zeros(n)
            for step in range(gain.shape[1]):
                for i in range(n):
                    best[i] = _row(inverse[i], square[i], v, u, i)
                if not _pick(inverse, square, best, v, u, step, gain[c], source[c], target[c]):
                    break
        chunk = claim(counter, 1)


@_fast
def _grow(matrix, pointers, column):
    """As :func:`_invert`, from distances in a spanning tree: O(n^2) for every edge beyond it."""
    n = matrix.shape[0]
    order, parent = np.empty(n, np.int64), np.full(n, -1)
    order[0], parent[0], matrix[0, 0], found = 0, 0, 0.0, 1
    for visit in range(n):
        node = order[visit]
        for slot in range(pointers[node], pointers[node + 1]):
            new = column[slot]
            if parent[new] < 0:
                parent[new] = node
                for place in range(found):
                    old = order[place]
                    matrix[new, old] = matrix[old, new] = matrix[node, old] + 1
                order[found], matrix[new, new] = new, 0.0
                found += 1
    v = np.empty(n)
    for s in range(n):
        for slot in range(pointers[s], pointers[s + 1]):
            t = column[slot]
            if t > s and parent[s] != t and parent[t] != s:
                _between(matrix, s, t, v)
                scale = 1 / np.sqrt(1 + matrix[s, t])
                for i in range(n):
                    v[i] *= scale
                for i in range(n):
                    row, right, vi = matrix[i, i:], v[i:], v[i]
                    for j in range(row.shape[0]):
                        row[j] -= (vi - right[j]) * (vi - right[j])
    v[:] = 0
    for i in range(n):
        for j in range(i, n):
            v[i] += matrix[i, j]
            v[j] += matrix[i, j]
    v /= n
    mean = v.sum() / n
    for i in range(n):
        row, right, vi = matrix[i, i:], v[i:], v[i] - mean
        for j in range(row.shape[0]):
            row[j] = (vi + right[j] - row[j]) / 2


@_fast
def _invert(matrix, pointers, column):
    """Pseudo-inverse of a Laplacian plus a constant, above the diagonal: ``(L + level J / n)^{-1}`` by sweeps."""
    n = matrix.shape[0]
    level = 1.0
    for i in range(n):
        level = max(level, float(pointers[i + 1] - pointers[i]))
    matrix[:] = level / n
    for i in range(n):
        matrix[i, i] += pointers[i + 1] - pointers[i]
        for slot in range(pointers[i], pointers[i + 1]):
            matrix[i, column[slot]] -= 1.0
    pivots = np.empty(n)
    for k in range(n):
        for i in range(k):
            pivots[i] = matrix[i, k]
        for j in range(k, n):
            pivots[j] = matrix[k, j]
        scale = 1 / pivots[k]
        for i in range(n):
            if i != k:
                row, right, factor = matrix[i, i:], pivots[i:], pivots[i] * scale
                for j in range(row.shape[0]):
                    row[j] -= factor * right[j]
        for i in range(k):
            matrix[i, k] = pivots[i] * scale
        for j in range(k + 1, n):
            matrix[k, j] *= scale
        matrix[k, k] = -scale
    for i in range(n):
        row = matrix[i, i:]
        for j in range(row.shape[0]):
            row[j] = -row[j]


@_fast
def _square(matrix, out):
    """The part above the diagonal of the square of a matrix of which that part is given; the rest is filled in."""
    n = matrix.shape[0]
    for i in range(n):
        for j in range(i):
            matrix[i, j] = matrix[j, i]
    for i in range(n):
        to = out[i, i:]
        to[:] = 0
        for k in range(0, n - 3, 4):
            a, b, c, d = matrix[k, i:], matrix[k + 1, i:], matrix[k + 2, i:], matrix[k + 3, i:]
            fa, fb, fc, fd = matrix[i, k], matrix[i, k + 1], matrix[i, k + 2], matrix[i, k + 3]
            for j in range(to.shape[0]):
                to[j] += fa * a[j] + fb * b[j] + fc * c[j] + fd * d[j]
        for k in range(n - n % 4, n):
            a, fa = matrix[k, i:], matrix[i, k]
            for j in range(to.shape[0]):
                to[j] += fa * a[j]
