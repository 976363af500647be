"""Smoothed aggregation: a hierarchy of ever smaller Laplacians, and one cycle through it for many columns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

__all__ = ["Multigrid", "sparse_tensor"]

_COARSEST, _LARGEST_DENSE, _STAGNANT = 400, 2000, 0.7


def sparse_tensor(matrix: csr_array, device: torch.device) -> Tensor:
    """A compressed tensor with 32-bit indices, which the sparse kernels of CPU and GPU take as they are."""
    matrix.sort_indices()
    pointers, columns = (torch.from_numpy(part.astype(np.int32)).to(device) for part in (matrix.indptr, matrix.indices))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            pointers, columns, torch.from_numpy(matrix.data).to(device), size=matrix.shape, check_invariants=False
        )


@dataclass(frozen=True)
class _Level:
    """A matrix, the damped inverse of its diagonal, and the ways to the next level and back."""

    matrix: Tensor
    smoother: Tensor
    restriction: Tensor
    prolongation: Tensor


class Multigrid:
    """Algebraic multigrid for Laplacians by smoothed aggregation (Vaněk, Mandel and Brezina, 1996).

    Aggregates are the nodes around roots no two of which share a neighbour; the matrix of the next level is
    the Galerkin product with the indicators of the aggregates, smoothed once. A symmetric cycle is a
    preconditioner for conjugate gradients whose quality hardly falls with the size of a mesh. Being a
    preconditioner only, it runs in float32, on all columns at once.

    Args:
        laplacian: n x n, symmetric, rows sum to zero; no row is empty.
        device: Where cycles run; the hierarchy is built on the CPU.
    """

    def __init__(self, laplacian: csr_array, device: torch.device) -> None:
        self._levels: list[_Level] = []
        matrix = laplacian
        while matrix.shape[0] > _COARSEST:
            smoother = _smoother(matrix)
            tentative = _aggregates(matrix)
            if tentative.shape[1] > _STAGNANT * matrix.shape[0]:
                break
            prolongation = (tentative - diags_array(smoother) @ (matrix @ tentative)).tocsr()
            restriction = prolongation.T.tocsr()
            parts = (sparse_tensor(part.astype(np.float32), device) for part in (matrix, restriction, prolongation))
            fine, down, up = parts
            self._levels.append(_Level(fine, _column(smoother, device), down, up))
            matrix = (restriction @ matrix @ prolongation).tocsr()
        self._bottom = _column(_smoother(matrix), device)
        if matrix.shape[0] <= _LARGEST_DENSE:
            self._bottom = torch.from_numpy(_pseudo_inverse(matrix).astype(np.float32)).to(device)

    def __call__(self, residual: Tensor) -> Tensor:
        """[n, k] -> [n, k], the outcome of one cycle from zero."""
        return self._cycle(0, residual.float()).to(residual.dtype)

    def _cycle(self, depth: int, b: Tensor) -> Tensor:
        if depth == len(self._levels):
            return self._bottom @ b if self._bottom.size(1) == b.size(0) else self._bottom * b
        level = self._levels[depth]
        x = level.smoother * b
        # One buffer for both residuals: the memory of a large one costs more than the product.
        residual = torch.addmm(b, level.matrix, x, alpha=-1)
        correction = self._cycle(depth + 1, level.restriction @ residual)
        torch.addmm(x, level.prolongation, correction, out=x)
        residual.copy_(b)
        torch.addmm(residual, level.matrix, x, alpha=-1, out=residual)
        return x.addcmul_(level.smoother, residual)


def _column(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[:, None].to(device)


def _smoother(matrix: csr_array) -> np.ndarray:
    """[n]: 4/3 of the inverse diagonal over the largest eigenvalue of the matrix divided by its diagonal."""
    diagonal = matrix.diagonal()
    # What is left of a component that became a single row is rounding.
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=np.diff(matrix.indptr) > 1)
    vector = np.cos(np.arange(inverse.size, dtype=np.float64) ** 2)
    for _ in range(12):
        vector = inverse * (matrix @ (vector / max(np.linalg.norm(vector), 1e-300)))
    return 4 / 3 * inverse / max(1.05 * np.linalg.norm(vector), 1e-300)


def _aggregates(matrix: csr_array) -> csr_array:
    """[n, aggregates] indicators: every node joins a root within two steps; single rows join none."""
    n, (start, column) = matrix.shape[0], (matrix.indptr[:-1], matrix.indices)
    rank = np.random.default_rng(0).permutation(n) + 1
    free, root = np.diff(matrix.indptr) > 1, np.zeros(n, dtype=bool)

    def around(values: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(values[column], start)  # every row has its diagonal

    while free.any():
        own = np.where(free, rank, 0)
        new = free & (around(around(own)) == own)
        root |= new
        free &= around(around(new.astype(np.int8))) == 0
    label = np.where(root, np.cumsum(root), 0)
    for _ in range(2):
        label = np.where(label > 0, label, around(label))
    node = label.nonzero()[0]
    return csr_array((np.ones(node.size), (node, label[node] - 1)), shape=(n, int(root.sum())))


def _pseudo_inverse(matrix: csr_array) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix.toarray())
    null = connected_components(matrix, directed=False, return_labels=False)
    return (vectors[:, null:] / values[null:]) @ vectors[:, null:].T
