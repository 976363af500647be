"""Transition probabilities of random walks, what their powers cost, and which way of multiplying is cheaper."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._walk_columns import WalkColumns

__all__ = ["MAX_WORK", "cheaper_method", "check_dense_work", "check_sparse_work", "dense_cells", "transition"]

MAX_WORK = 1e13
"""Multiply-adds after which exact walks are refused by default: hours on a few cores."""

_DENSE_CELLS = {"cpu": 1 << 18, "cuda": 1 << 27}


def dense_cells(device: torch.device) -> int:
    """Cells of one batch of dense transition matrices."""
    return _DENSE_CELLS.get(device.type, _DENSE_CELLS["cpu"])


def transition(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None, dtype: torch.dtype) -> Tensor:
    """[E] entries of P, one per edge."""
    source = edge_index[0]
    if edge_weight is None:
        weight = torch.ones(source.numel(), dtype=dtype, device=source.device)
    else:
        weight = edge_weight.to(dtype)
    total = weight.new_zeros(num_nodes).index_add_(0, source, weight)
    return torch.where(total > 0, total.reciprocal(), 0)[source] * weight


def cheaper_method(edge_index: Tensor, ptr: Tensor, batch: Tensor) -> str:
    """``"dense"`` or ``"sparse"`` powers."""
    sizes = ptr.diff()
    if int(sizes.max()) > 2048:
        return "sparse"
    if edge_index.is_cuda:
        return "dense"
    sparse_work = int(sizes[batch[edge_index[0]]].sum())
    return "dense" if 4 * sparse_work >= int(sizes.pow(3).sum()) else "sparse"


def check_sparse_work(columns: WalkColumns, steps: int, max_work: float, hint: str) -> None:
    """Refuse ``steps * E * columns`` multiply-adds above ``max_work`` before the first one."""
    edges = columns.union.edge_ptr[columns.union.ptr].diff()
    _check(float(steps * (edges * columns.width).double().sum()), steps, max_work, hint)


def check_dense_work(sizes: Tensor, steps: int, max_work: float, hint: str) -> None:
    """The same for ``steps * n^3``."""
    _check(steps * float(sizes.double().pow(3).sum()), steps, max_work, hint)


def _check(work: float, steps: int, max_work: float, hint: str) -> None:
    if work > max_work:
        raise BudgetError(
            f"exact walks of {steps} steps take {work:.1e} multiply-adds, more than max_work={max_work:.1e}", hint=hint
        )
