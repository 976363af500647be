"""Fixed points of contractions, and the adjoint iteration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnlab.nn.implicit._segments import Segments, steps
from gnnlab.nn.implicit.convergence import Convergence

__all__ = ["fixed_point"]


@torch.no_grad()
def fixed_point(
    function: Callable[[Tensor], Tensor],
    start: Tensor,
    ptr: Tensor,
    tolerance: float = 3e-6,
    max_iterations: int = 300,
) -> tuple[Tensor, Convergence]:
    r"""Picard iteration :math:`h \leftarrow F(h)` on a union of graphs; a graph that is done rests.

    Args:
        function: F, [N, d] to [N, d], whose graphs do not see one another.
        start: First states.
        ptr: [G + 1] first node of every graph.
        tolerance: Of the largest change of an entry in one step, relative to the largest entry where that is
            above 1.
        max_iterations: Steps at most; nothing is raised if they do not suffice.

    Shapes:
        start [N, d] -> h [N, d], and the :class:`Convergence`

    Example:
        >>> h, record = fixed_point(lambda h: h / 2 + 1, torch.zeros(1, 1), torch.tensor([0, 1]))
        >>> round(h.item(), 4)
        2.0
    """
    segments, h = Segments(ptr, start), start
    active = ptr.diff() > 0
    change = torch.where(active, torch.inf, 0.0).to(start.dtype)
    iterations = torch.zeros_like(active, dtype=torch.long)
    for _, look in steps(max_iterations, start.device):
        if look and not bool(active.any()):
            break
        new = torch.where(segments.spread(active), function(h), h)
        moved = segments.largest(new - h) / segments.largest(new).clamp(min=1)
        change, h = torch.where(active, moved, change), new
        iterations += active
        # Written so that a change that is not a number goes on, and is reported.
        active = active & ~(change <= tolerance)
    return h, Convergence(iterations, change, tolerance)
