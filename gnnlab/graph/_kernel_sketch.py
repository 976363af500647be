"""Entries of functions of large sparse matrices, estimated from random signs and Chebyshev polynomials."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._random_signs import random_signs
from gnnlab.graph.buckets import SortedUnion
from gnnlab.ops import CSR, aggregate, expand_ptr

__all__ = ["sketch_kernel"]

_CELLS = 1 << 25  # rows x functions x probes at a time: 256 MB
_BLOCK = 16  # most probes at a time
_TERMS = 16  # of a polynomial at a time
_TOLERANCE, _LARGEST_DEGREE = 1e-9, 1 << 14


def sketch_kernel(
    source: tuple[Tensor, Tensor, int],
    union: SortedUnion,
    begin: int,
    diagonal: Tensor,
    kernel: Callable[[Tensor], Tensor],
    rows: Tensor,
    probes: int,
) -> Tensor:
    """[P, k], mean over random signs z of ``(g(L) z)_u (g(L) z)_v`` with ``g^2`` the functions of ``kernel``.

    Args:
        source: Edges, pointers and seed that the signs are hashed from.
        union: Components by increasing size; weights are those of A.
        begin: First row of the components that are meant.
        diagonal: [N] of L, by row.
        kernel: Eigenvalues to non-negative values.
        rows: [2, P] pairs of rows, from ``begin`` on.
        probes: Number of sign vectors.
    """
    edge_index, ptr, seed = source
    count = union.row.numel() - begin
    pointers, column, weight = union.edges(begin, begin + count)
    adjacency = CSR.from_edge_index(torch.stack([column, expand_ptr(pointers, column.numel())]), count)
    diagonal, rows = diagonal[begin:], rows - begin
    bound = _largest_eigenvalue(pointers, column, weight, diagonal)
    coefficients = _chebyshev(lambda values: kernel(values).clamp(min=0).sqrt(), bound, diagonal)
    product = partial(_shifted, partial(aggregate, adj=adjacency, edge_weight=weight), diagonal, bound)
    nodes = union.row.argsort()[begin:].expand(2, -1)
    step = max(1, min(_BLOCK, _CELLS // max(1, count * coefficients.size(1))))
    out = diagonal.new_zeros(rows.size(1), coefficients.size(1))
    for first in range(0, probes, step):
        signs = random_signs(nodes, edge_index, ptr, seed, first, min(first + step, probes))
        images = _apply(product, coefficients, signs)
        for sketch in images.unbind(1):
            out += sketch[rows[0]] * sketch[rows[1]]
    return out / probes


def _shifted(multiply: Callable[[Tensor], Tensor], diagonal: Tensor, bound: float, x: Tensor) -> Tensor:
    """``2 L / bound - 1`` times x: the spectrum moved to [-1, 1]."""
    return (diagonal[:, None] * x - multiply(x)) * (2 / bound) - x


def _apply(product: Callable[[Tensor], Tensor], coefficients: Tensor, x: Tensor) -> Tensor:
    """[N, q, k], the k polynomials applied to the q columns of x."""
    result = x.new_zeros(x.numel(), coefficients.size(1))
    before, now = x, product(x)
    # Every sum over some terms at once passes over the result once, and is a matrix product.
    for chosen in coefficients.split(_TERMS):
        terms = []
        for _ in chosen:
            terms.append(before.flatten())
            before, now = now, 2 * product(now) - before
        result.addmm_(torch.stack(terms).t(), chosen)
    return result.view(*x.shape, -1)


def _chebyshev(function: Callable[[Tensor], Tensor], bound: float, like: Tensor) -> Tensor:
    """[degree + 1, k] coefficients on [0, bound], cut where what is left is below the tolerance."""
    degree = 32
    while degree <= _LARGEST_DEGREE:
        # Interpolation in the degree's roots, its coefficients by a Fourier transform of the mirrored values.
        angles = (torch.arange(degree, dtype=torch.float64) + 0.5) * (torch.pi / degree)
        values = function((angles.cos().to(like) + 1) * (bound / 2))
        mirrored = torch.cat([values, values.flip(0)])
        turn = torch.exp(-0.5j * torch.pi * torch.arange(degree, dtype=torch.float64) / degree).to(like.device)
        coefficients = (torch.fft.fft(mirrored, dim=0)[:degree] * turn[:, None]).real / degree
        coefficients[0] /= 2
        rest = coefficients.abs().flip(0).cumsum(0).flip(0)
        large = (rest > _TOLERANCE * values.amax(0).clamp(min=1e-30)).any(1).nonzero()
        kept = int(large[-1]) + 1 if large.numel() else 1
        if kept <= degree // 2:
            return coefficients[:kept]
        degree *= 2
    raise BudgetError(
        f"a polynomial of degree {_LARGEST_DEGREE:,} does not reach the kernel on a spectrum up to {bound:.0f}",
        hint="normalise the Laplacian, or choose a smoother kernel (smaller times)",
    )


def _largest_eigenvalue(pointers: Tensor, column: Tensor, weight: Tensor, diagonal: Tensor) -> float:
    """Gershgorin's bound."""
    reach = weight.new_zeros(diagonal.numel()).index_add_(0, expand_ptr(pointers, column.numel()), weight)
    return max(float((diagonal + reach).max()), 1e-30)
