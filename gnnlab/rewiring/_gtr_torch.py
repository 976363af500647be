"""Greedy edges of least total resistance as tensor programs: any device."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph._pseudo_inverse import pseudo_inverses
from gnnlab.graph.buckets import SortedUnion
from gnnlab.rewiring._greedy import TOLERANCE, Steps, no_steps

__all__ = ["resistance_steps"]


def resistance_steps(union: SortedUnion, steps: int) -> Steps:
    r"""In every component, ``steps`` times the pair that is no edge and has the largest :math:`B / (1 + R)`.

    Components of similar size advance together in one stack. R and B are kept, not :math:`L^+` and its
    square: with :math:`r = 1 + R_{st}`, :math:`v = L^+ (e_s - e_t) / \sqrt r` and
    :math:`u = (L^+)^2 (e_s - e_t) / \sqrt r - B_{st} v / 2r`, the edge st takes :math:`(v_i - v_j)^2` from
    :math:`R_{ij}` and :math:`2 (v_i - v_j)(u_i - u_j)` from :math:`B_{ij}`, and up to constants v and u are
    differences of two rows of R and B.
    """
    found = no_steps(union.ptr.diff(), steps)
    for first, last, inverse in pseudo_inverses(union):
        blocked = _blocked(union, first, last)
        ones, squares = _distances(inverse).add_(1), _distances(inverse @ inverse)
        score = torch.empty_like(ones)
        for step in range(steps):
            torch.div(squares, ones, out=score).masked_fill_(blocked, -torch.inf)
            gain, s, t = _first_of_best(score)
            found.gain[first:last, step], found.source[first:last, step], found.target[first:last, step] = gain, s, t
            _add_edge(ones, squares, s, t)
            block = torch.arange(last - first, device=s.device)
            blocked[block, s, t] = True
        # A component with nothing left to add has no better pair than -inf, and gets it until the end.
    return found


def _distances(matrix: Tensor) -> Tensor:
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    return (diagonal[:, :, None] + diagonal[:, None, :]).sub_(matrix, alpha=2)


def _blocked(union: SortedUnion, first: int, last: int) -> Tensor:
    """[B, n, n] pairs that cannot be added: edges, pairs of padding, and everything but s < t."""
    adjacency = union.blocks(first, last)
    place = torch.arange(adjacency.size(1), device=adjacency.device)
    real = place < union.ptr[first : last + 1].diff()[:, None]
    return (adjacency > 0) | ~real[:, None, :] | (place[:, None] >= place)


def _first_of_best(score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Best score of every block and the first pair that has it, up to round-off."""
    flat, width = score.flatten(1), score.size(1)
    best = flat.amax(1)
    place = (flat >= (best * (1 - TOLERANCE))[:, None]).to(torch.uint8).argmax(1)
    return best, place // width, place % width


def _add_edge(ones: Tensor, squares: Tensor, s: Tensor, t: Tensor) -> None:
    """Update ``1 + R`` and ``B`` in place, in every block."""
    block = torch.arange(s.numel(), device=s.device)
    r, beta = ones[block, s, t, None], squares[block, s, t, None]
    v = (ones[block, t] - ones[block, s]) / (2 * r.sqrt())
    u = (squares[block, t] - squares[block, s]) / (2 * r.sqrt()) - beta / (2 * r) * v
    dv, du = v[:, :, None] - v[:, None, :], u[:, :, None] - u[:, None, :]
    squares.addcmul_(dv, du, value=-2)
    ones.addcmul_(dv, dv, value=-1)
