"""The sign rule that makes an eigenvector a function of the graph instead of the solver."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.ops import segment_reduce

__all__ = ["canonical_signs"]


def canonical_signs(vectors: Tensor, batch: Tensor, ptr: Tensor, tolerance: float = 1e-6) -> tuple[Tensor, Tensor]:
    """Signs [G, k] that make vectors [N, k] independent of the solver, and where the graph decides them.

    The entry of largest magnitude becomes positive. If opposite entries tie (relative ``tolerance``), the
    sum of cubes becomes positive; if it vanishes too, the first of the tied entries does, which depends
    on the order of the nodes and counts as undecided.
    """
    size = vectors.abs()
    peak = segment_reduce(size, ptr, "max")
    leading = vectors.where(size >= (1 - tolerance) * peak[batch], 0)
    top, bottom = segment_reduce(leading, ptr, "max") > 0, segment_reduce(leading, ptr, "min") < 0
    cubes = segment_reduce(vectors.pow(3), ptr, "sum")
    clear, skewed = top != bottom, cubes.abs() > tolerance * peak.pow(3)

    rows = torch.arange(1, len(vectors) + 1, device=vectors.device, dtype=vectors.dtype)[:, None]
    first = segment_reduce(rows.where(leading != 0, len(vectors)), ptr, "min").long() - 1
    tied = leading.gather(0, first.clamp(min=0)) if len(vectors) else cubes

    sign = torch.where(clear, top.to(cubes) - bottom.to(cubes), torch.where(skewed, cubes, tied).sign())
    return torch.where(sign == 0, 1.0, sign), clear | skewed
