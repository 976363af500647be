"""Conjugate gradients on many systems at once, each graph at its own pace."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnlab.nn.implicit._segments import Segments, steps
from gnnlab.nn.implicit.convergence import Convergence

__all__ = ["conjugate_gradients"]


@torch.no_grad()
def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    rhs: Tensor,
    ptr: Tensor,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
) -> tuple[Tensor, Convergence]:
    r"""Solve :math:`A v = b` where A is symmetric, positive definite, and block-diagonal over the graphs of a union.

    Hestenes and Stiefel, 1952. Every graph has its own step sizes, and rests when its own residual is small, so
    the solution of a graph does not depend on its batch. The matrix is never formed.

    Args:
        product: v [N, d] to A v [N, d].
        rhs: b.
        ptr: [G + 1] first node of every graph.
        tolerance: Of :math:`\lVert b - A v \rVert_2 / \lVert b \rVert_2`.
        max_iterations: Products at most; nothing is raised if they do not suffice.

    Shapes:
        rhs [N, d] -> v [N, d], and the :class:`Convergence`

    Example:
        >>> solution, record = conjugate_gradients(lambda v: 2 * v, torch.tensor([[2.0], [4.0]]), torch.tensor([0, 2]))
        >>> solution.flatten().tolist(), record.iterations.tolist()
        ([1.0, 2.0], [1])
    """
    segments = Segments(ptr, rhs)
    residual, solution = rhs.clone(), torch.zeros_like(rhs)
    direction, square = residual, segments.dot(residual, residual)
    goal = tolerance**2 * square
    iterations = torch.zeros_like(square, dtype=torch.long)
    active = square > goal
    for _, look in steps(max_iterations, rhs.device):
        if look and not bool(active.any()):
            break
        image = product(direction)
        curvature = segments.dot(direction, image)
        # A product that is no longer positive is rounding: the graph keeps what it has.
        active = active & (curvature > 0)
        step = segments.spread(torch.where(active, square / curvature, 0))
        solution = solution + step * direction
        residual = residual - step * image
        new = torch.where(active, segments.dot(residual, residual), square)
        direction = residual + segments.spread(torch.where(active, new / square, 0)) * direction
        iterations += active
        square, active = new, active & (new > goal)
    norm = segments.dot(rhs, rhs).sqrt()
    relative = torch.where(norm > 0, square.sqrt() / norm, 0)
    # A norm that is not a number must not pass for zero.
    return solution, Convergence(iterations, torch.where(norm.isnan(), norm, relative), tolerance)
