"""Preconditioned conjugate gradients for many columns at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["conjugate_gradients", "degree_probe"]

_ROWS = 1 << 16  # of a piece that stays in the cache
_PROBE = 10


def conjugate_gradients(
    matrix: Tensor,
    precondition: Callable[[Tensor], Tensor],
    b: Tensor,
    norm: Tensor,
    tolerance: float,
    limit: int,
) -> tuple[Tensor, int, float]:
    """Step until the residual of every column is small.

    Args:
        matrix: [n, n] sparse and symmetric, positive semidefinite.
        precondition: Residuals [n, k] -> directions.
        b: [n, k], orthogonal to the null space.
        norm: [k] that the residual is compared with; 0 counts as 1.
        tolerance: Relative residual to reach.
        limit: Most steps.

    Shapes:
        returns the solution [n, k], the steps taken and the largest relative residual.
    """
    norm = torch.where(norm > 0, norm, 1.0)
    x, residual, image = torch.zeros_like(b), b.clone(), torch.empty_like(b)
    relative = _dots(residual, residual).sqrt() / norm
    step, worst = 0, float(relative.max())
    direction, product = torch.zeros_like(b), torch.zeros_like(norm)
    while step < limit and worst > tolerance:
        z = precondition(residual)
        following = _dots(residual, z)
        direction.mul_(_quotient(following, product)).add_(z)
        product = following
        torch.mm(matrix, direction, out=image)
        # A finished column rests: its rounding would lead along the null space, where steps have no bound.
        length = torch.where(relative > tolerance, _quotient(product, _dots(direction, image)), 0.0)
        x.addcmul_(direction, length)
        residual.addcmul_(image, length, value=-1)
        relative = _dots(residual, residual).sqrt() / norm
        step, worst = step + 1, float(relative.max())
    return x, step, worst


def degree_probe(laplacian: Tensor, inverse_degree: Tensor, b: Tensor) -> float:
    """What ten steps preconditioned by the degrees [n, 1] leave of the residual of b [n, 1]: little on expanders."""
    return conjugate_gradients(laplacian, lambda residual: inverse_degree * residual, b, b.norm(dim=0), 0.0, _PROBE)[2]


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """[k] inner products of the columns, in pieces that need no large buffer."""
    total = a.new_zeros(a.size(1))
    for left, right in zip(a.split(_ROWS), b.split(_ROWS), strict=True):
        total += (left * right).sum(0)
    return total


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 for a column that has nothing left to do."""
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0)
