"""Projection of the rows of a matrix onto a ball."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["project_rows"]


def project_rows(weight: Tensor, radius: float) -> Tensor:
    r"""Nearest matrix with :math:`\lVert W \rVert_\infty \leq r`: every row onto the ball of the 1-norm.

    Duchi et al., ICML 2008: with the absolute values sorted downwards, u, a row outside the ball is shrunk by
    :math:`\theta = (\sum_{i \leq k} u_i - r) / k` for the largest k with :math:`u_k > \theta`. Differentiable
    almost everywhere.

    Args:
        weight: [..., d, d'] matrices.
        radius: r, not negative.

    Shapes:
        [..., d, d'] -> [..., d, d']

    Example:
        >>> project_rows(torch.tensor([[0.5, -0.25], [3.0, -2.5]]), 1.0).tolist()
        [[0.5, -0.25], [0.75, -0.25]]
    """
    size = weight.abs()
    ordered = size.sort(-1, descending=True).values
    count = torch.arange(1, weight.size(-1) + 1, dtype=weight.dtype, device=weight.device)
    shrink = (ordered.cumsum(-1) - radius) / count
    # Rows of zeros lie inside, so that one entry always counts where it matters.
    kept = (ordered > shrink).sum(-1, keepdim=True).clamp(min=1)
    shrink = shrink.gather(-1, kept - 1)
    projected = weight.sign() * (size - shrink).relu()
    return torch.where(size.sum(-1, keepdim=True) > radius, projected, weight)
