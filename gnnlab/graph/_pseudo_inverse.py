"""Pseudo-inverses of the Laplacians of connected components, components of similar size in one stack."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph.buckets import SortedUnion, size_buckets
from gnnlab.ops import expand_ptr

__all__ = ["DENSE_LIMIT", "check_dense", "places", "pseudo_inverses"]

DENSE_LIMIT = 10_000
"""Largest component that is solved as a dense matrix, by default."""

_CELLS, _GROWTH = 2**14, 1.25  # rows x width of a stack of dense matrices, which should stay in the cache
_CUDA_CELLS = 2**24


def check_dense(union: SortedUnion, limit: int, hint: str) -> None:
    """Refuse components of more than ``limit`` nodes before anything is allocated for them."""
    sizes = union.ptr.diff()
    if sizes.numel() and int(sizes[-1]) > limit:
        size = int(sizes[-1])
        raise BudgetError(
            f"a component of {size:,} nodes needs dense matrices of {8 * size**2 / 2**30:.1f} GiB each", hint=hint
        )


def pseudo_inverses(union: SortedUnion, component: Tensor | None = None) -> Iterator[tuple[int, int, Tensor]]:
    """Ranges of components with the pseudo-inverses of their Laplacians, [B, n, n]; padding rows hold nonsense.

    ``L^+ = (L + J/n)^{-1} - J/n`` by a Cholesky factorisation in float64.

    Args:
        union: Components side by side, or groups of several components.
        component: [N] long, component of every row; one per group by default.
    """
    sizes = union.ptr.diff()
    cells = _CUDA_CELLS if sizes.is_cuda else _CELLS
    for first, last in size_buckets(union.ptr, sizes, cells, _GROWTH):
        adjacency = union.blocks(first, last)
        if adjacency.size(-1) == 0:  # groups without nodes
            continue
        degree = adjacency.sum(-1)
        real = torch.arange(adjacency.size(-1), device=degree.device) < sizes[first:last, None]
        joined = real[:, :, None] & real[:, None, :]
        if component is not None:
            label = torch.full(real.shape, -1, dtype=component.dtype, device=real.device)
            label[places(union, first, last)] = component[int(union.ptr[first]) : int(union.ptr[last])]
            joined &= label[:, :, None] == label[:, None, :]
        # A constant on the pairs of a component makes up for its null vector; its size keeps the condition small.
        level = degree.amax(-1).clamp(min=1)[:, None, None]
        shift = joined / joined.sum(-1, keepdim=True).clamp(min=1).double()
        matrix = torch.diag_embed(torch.where(real, degree, level[:, :, 0])) - adjacency + level * shift
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
        yield first, last, inverse - shift / level


def places(union: SortedUnion, first: int, last: int) -> tuple[Tensor, Tensor]:
    """Block, and row in it, of every row of a range of components."""
    starts = union.ptr[first : last + 1] - union.ptr[first]
    block = expand_ptr(starts, int(starts[-1]))
    return block, torch.arange(block.numel(), device=block.device) - starts[block]
