"""Eigenpairs of one small symmetric matrix after the other, compiled. CPU, when numba is installed.

Householder reflections to a tridiagonal matrix and implicit QL with vectors as rows, so that every inner loop runs
along a row. A matrix of 25 rows stays in the first cache throughout; LAPACK spends more on its blocks and calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gnnlab.errors import GnnlabError
from gnnlab.graph.buckets import SortedUnion, size_buckets
from gnnlab.ops._numba._jit import bound, claim, compiled, index
from gnnlab.ops._numba._threads import run

__all__ = ["entries", "solve"]

_CELLS = 1 << 20
"""Numbers in the eigenvectors of a range of components: 8 MB."""


def solve(
    values: Tensor, vectors: Tensor, union: SortedUnion, diagonal: Tensor, constant: Tensor, first: int, last: int
) -> None:
    """Write the smallest pairs of components ``[first, last)``: see :mod:`gnnlab.graph._eigensolvers`."""
    arrays = (union.ptr, union.edge_ptr, union.column, union.weight, diagonal, constant, vectors, values[first:last])
    ptr, *rest = (tensor.numpy() for tensor in arrays)
    ptr = ptr[first : last + 1]
    work = _work(ptr)
    run(_solve, int(work[-1]), work, ptr, *rest)
    _check(rest[-1][:, 0])


def entries(union: SortedUnion, diagonal: Tensor, kernel: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """[P, k] entries of functions of all components: see :mod:`gnnlab.graph.laplacian_kernel`.

    Args:
        union: Components by increasing size.
        diagonal: [N] by row.
        kernel: Eigenvalues [...] to [..., k].
        rows: [2, P], increasing in the first row.
    """
    sizes = union.ptr.diff()
    out = diagonal.new_empty(rows.size(1), kernel(diagonal.new_zeros(1)).size(-1))
    starts = torch.searchsorted(rows[0].contiguous(), union.ptr)
    ptr, pairs, source, target = union.ptr.numpy(), starts.numpy(), *rows.contiguous().numpy()
    edges = tuple(tensor.numpy() for tensor in (union.edge_ptr, union.column, union.weight, diagonal))
    for first, last in size_buckets(union.ptr, sizes, _CELLS):
        own = ptr[first : last + 1]
        cells = np.append(0, np.cumsum(np.diff(own) ** 2))
        values, vectors = np.empty(own[-1] - own[0]), np.empty(cells[-1])
        work = _work(own)
        run(_decompose_all, int(work[-1]), work, own, *edges, cells, values, vectors)
        _check(values)
        function = kernel(torch.from_numpy(values)).contiguous().numpy()
        wanted = pairs[first : last + 1]
        work = int(np.dot(np.diff(wanted), np.diff(own))) * out.size(1)
        run(_contract, work, own, wanted, cells, source, target, vectors, function, out.numpy())
    return out


def _check(values: np.ndarray) -> None:
    if np.isnan(values).any():
        raise GnnlabError("the eigensolver did not converge", hint="check the edge weights for NaN or infinity")


def _work(ptr: np.ndarray) -> np.ndarray:
    """[C + 1] numbers that all components before one need; a matrix of 25 rows takes as long as reading 100 000."""
    return np.append(0, np.cumsum(6 * np.diff(ptr) ** 3))


@compiled
def _share(work, chunk, chunks):
    """First and last component of a chunk."""
    total = work[work.size - 1]
    low, high = total * chunk // chunks, total * (chunk + 1) // chunks
    return np.searchsorted(work[: work.size - 1], low), np.searchsorted(work[: work.size - 1], high)


@compiled
def _solve(counter, chunks, work, ptr, pointers, column, weight, diagonal, constant, vectors, values):
    widest = _widest(ptr)
    first, second, lines = np.empty(widest * widest), np.empty(widest * widest), np.empty((3, widest))
    chunk = claim(counter, 0)
    while chunk < chunks:
        low, high = _share(work, chunk, chunks)
        for place in range(low, high):
            begin, end = ptr[place], ptr[place + 1]
            n, pairs = end - begin, min(end - begin - 1, values.shape[1])
            matrix, rows = first[: n * n].reshape(n, n), second[: n * n].reshape(n, n)
            found = lines[0, :n]
            scale = _assemble(begin, pointers, column, weight, diagonal, matrix)
            _move(matrix, constant[begin:end])
            if not _decompose(matrix, rows, found, lines[1, :n], lines[2, :n]):
                values[place, 0] = np.nan
                continue
            _smallest_first(found, rows, pairs)
            for pair in range(pairs):
                values[place, pair] = max(found[pair], 0.0) * scale
            for u in range(n):
                for pair in range(pairs):
                    vectors[begin + u, pair] = rows[pair, u]
        chunk = claim(counter, 1)


@compiled
def _decompose_all(counter, chunks, work, ptr, pointers, column, weight, diagonal, cells, values, vectors):
    """All pairs; a row of vectors belongs to a node."""
    widest = _widest(ptr)
    first, second, lines = np.empty(widest * widest), np.empty(widest * widest), np.empty((2, widest))
    chunk = claim(counter, 0)
    while chunk < chunks:
        low, high = _share(work, chunk, chunks)
        for place in range(low, high):
            begin, n = ptr[place], ptr[place + 1] - ptr[place]
            matrix, rows = first[: n * n].reshape(n, n), second[: n * n].reshape(n, n)
            found, out = values[begin - ptr[0] : begin - ptr[0] + n], vectors[cells[place] : cells[place + 1]]
            scale = _assemble(begin, pointers, column, weight, diagonal, matrix)
            if not _decompose(matrix, rows, found, lines[0, :n], lines[1, :n]):
                found[0] = np.nan
                continue
            for i in range(n):
                found[i] = max(found[i], 0.0) * scale
                row = rows[i]
                for u in range(n):
                    out[u * n + i] = row[u]
        chunk = claim(counter, 1)


@compiled
def _contract(counter, chunks, ptr, starts, cells, source, target, vectors, function, out):
    chunk = claim(counter, 0)
    while chunk < chunks:
        for place in range(bound(starts, chunk, chunks), bound(starts, chunk + 1, chunks)):
            begin, n = ptr[place], ptr[place + 1] - ptr[place]
            rows = vectors[cells[place] : cells[place + 1]].reshape(n, n)
            values = function[begin - ptr[0] : begin - ptr[0] + n]
            for pair in range(starts[place], starts[place + 1]):
                left, right, total = rows[source[pair] - begin], rows[target[pair] - begin], out[pair]
                total[:] = 0.0
                for i in range(n):
                    factor, row = left[i] * right[i], values[i]
                    for column in range(total.size):
                        total[column] += factor * row[column]
        chunk = claim(counter, 1)


@compiled
def _widest(ptr):
    widest = 0
    for place in range(ptr.size - 1):
        widest = max(widest, ptr[place + 1] - ptr[place])
    return widest


@compiled
def _assemble(begin, pointers, column, weight, diagonal, matrix):
    """``diag(diagonal) - A`` in units of a power of two, which is returned: so squares neither overflow nor vanish."""
    n = len(matrix)
    top = 0.0
    for u in range(begin, begin + n):
        top = max(top, diagonal[u])
    scale = math.ldexp(1.0, math.frexp(top)[1]) if top > 0.0 else 1.0
    for u in range(n):
        row = matrix[u]
        row[:] = 0.0
        row[u] = diagonal[begin + u] / scale
        for slot in range(pointers[begin + u], pointers[begin + u + 1]):
            row[column[slot] - begin] -= weight[slot] / scale
    return scale


@compiled
def _move(matrix, constant):
    """Lift the trivial pair above all others: no eigenvalue exceeds twice the largest diagonal entry, at most 1."""
    n = len(matrix)
    square = 0.0
    for u in range(n):
        square += constant[u] * constant[u]
    for u in range(n):
        row, factor = matrix[u], 3.0 * (constant[u] / square)
        for v in range(n):
            row[v] += factor * constant[v]


@compiled
def _decompose(matrix, rows, values, off, extra):
    """Eigenvalues in no order, and eigenvectors as rows; destroys the matrix. Returns whether it converged."""
    _tridiagonalise(matrix, rows, values, off, extra)
    return _diagonalise(rows, values, off)


@compiled
def _tridiagonalise(matrix, rows, diagonal, off, image):
    """``matrix = Q T Q'``: the diagonals of T, the lower one from place 0, and Q' in ``rows``."""
    n = diagonal.size
    # Row i of the matrix keeps the reflection that clears it, left of the diagonal.
    for i in range(n - 1, 0, -1):
        u = matrix[i, :i]
        square = 0.0
        for j in range(i - 1):
            square += u[j] * u[j]
        diagonal[i] = matrix[i, i]
        last = u[i - 1]
        if square == 0.0:
            off[i - 1], image[i] = last, 0.0
            continue
        norm = math.copysign(math.sqrt(square + last * last), last)
        off[i - 1] = -norm
        u[i - 1] = last + norm
        inverse = 1.0 / (norm * (last + norm))
        image[i] = inverse  # 2 / |u|^2, kept where later steps do not write
        p = image[:i]
        p[:] = 0.0
        for j in range(i):
            row, factor = matrix[j, :i], u[j]
            for v in range(i):
                p[v] += factor * row[v]
        dot = 0.0
        for j in range(i):
            dot += p[j] * u[j]
        half = 0.5 * inverse * inverse * dot
        for j in range(i):
            p[j] = inverse * p[j] - half * u[j]
        for j in range(i):
            row, a, b = matrix[j, :i], u[j], p[j]
            for v in range(i):
                row[v] -= a * p[v] + b * u[v]
    diagonal[0] = matrix[0, 0]
    off[n - 1] = 0.0
    rows[:] = 0.0
    rows[0, 0] = 1.0
    for i in range(1, n):
        rows[i, i] = 1.0
        inverse = image[i]
        if inverse == 0.0:
            continue
        # Q' = ... H_2 H_1 grows by one reflection, which moves the first i coordinates.
        u = matrix[i, :i]
        for j in range(i):
            row = rows[j, :i]
            dot = 0.0
            for v in range(i):
                dot += row[v] * u[v]
            dot *= inverse
            for v in range(i):
                row[v] -= dot * u[v]


@compiled
def _diagonalise(rows, d, e):
    n = d.size
    for low in range(n):
        for _ in range(60):
            m = low
            while m < n - 1:
                size = abs(d[m]) + abs(d[m + 1])
                if abs(e[m]) <= 1.1e-16 * size + 1e-25:
                    break
                m += 1
            if m == low:
                break
            g = (d[low + 1] - d[low]) / (2.0 * e[low])
            r = math.sqrt(g * g + 1.0)
            g = d[m] - d[low] + e[low] / (g + math.copysign(r, g))
            s, c, p = 1.0, 1.0, 0.0
            underflow = False
            for i in range(m - 1, low - 1, -1):
                f, b = s * e[i], c * e[i]
                r = math.sqrt(f * f + g * g)
                e[i + 1] = r
                if r == 0.0:
                    d[i + 1] -= p
                    e[m] = 0.0
                    underflow = True
                    break
                inverse = 1.0 / r
                s, c = f * inverse, g * inverse
                g = d[i + 1] - p
                r = (d[i] - g) * s + 2.0 * c * b
                p = s * r
                d[i + 1] = g + p
                g = c * r - b
                lower, upper = rows[index(i)], rows[index(i + 1)]
                for v in range(n):
                    x, y = lower[v], upper[v]
                    upper[v] = s * x + c * y
                    lower[v] = c * x - s * y
            if underflow:
                continue
            d[low] -= p
            e[low] = g
            e[m] = 0.0
        else:
            return False
    return True


@compiled
def _smallest_first(values, rows, count):
    for place in range(count):
        least = place
        for other in range(place + 1, values.size):
            if values[other] < values[least]:
                least = other
        if least != place:
            values[place], values[least] = values[least], values[place]
            for v in range(values.size):
                rows[place, v], rows[least, v] = rows[least, v], rows[place, v]
