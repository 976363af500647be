"""The package torch-sparse, on request: products of a compressed matrix, one per head.

Its sums and means are served. Its maximum is not: it passes over NaN, takes -inf for the lowest finite number and
leaves the winner of such a row undefined. Half precision falls back, as the package sums in half precision.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from gnnlab.ops._layout import Layout

PURPOSE = "sparse matrix products of the package torch-sparse"
DTYPES = frozenset({torch.float32, torch.float64})


@cache
def unavailable(device: str) -> str | None:
    if find_spec("torch_sparse") is None:
        return "torch-sparse is not installed"
    try:
        import_module("torch_sparse")
    except (ImportError, OSError, RuntimeError) as error:  # built for another torch, or another CUDA
        return f"torch-sparse cannot be imported: {str(error).splitlines()[0]}"
    without = device == "cuda" and torch.ops.torch_sparse.cuda_version() == -1
    return "torch-sparse was built without CUDA" if without else None


def spmm(x: Tensor, weight: Tensor | None, mean: bool, layout: Layout) -> Tensor:
    ptr, idx = layout.ptr.long(), layout.idx.long()
    if weight is None:
        return _product(ptr, idx, None, x.flatten(1), mean).view(-1, *x.shape[1:])
    weight = weight if layout.eid is None else weight.index_select(0, layout.eid)
    by_head = zip(x.unbind(1), weight.unbind(1), strict=True)
    return torch.stack([_product(ptr, idx, factor.contiguous(), part, mean) for part, factor in by_head], dim=1)


def _product(ptr: Tensor, idx: Tensor, value: Tensor | None, x: Tensor, mean: bool) -> Tensor:
    # The package looks for what its own gradient needs as soon as an input asks for one; ours is elsewhere.
    x, value = x.detach(), None if value is None else value.detach()
    if mean:
        return torch.ops.torch_sparse.spmm_mean(None, ptr, idx, value, None, None, None, x)
    return torch.ops.torch_sparse.spmm_sum(None, ptr, idx, value, None, None, x)
