"""Transition probabilities of random walks, what their powers cost, and which way of multiplying is cheaper."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._engine import engine
from gnnlab.graph._walk_columns import WalkColumns

__all__ = [
    "MAX_WORK",
    "cheaper_method",
    "check_dense_work",
    "check_sparse_work",
    "compiled_walks",
    "dense_cells",
    "surely_within",
    "transition",
]

MAX_WORK = 1e13
"""Multiply-adds after which exact walks are refused by default: hours on a few cores."""

_COMPILED_WINS = 128
"""Nodes up to which compiled sparse products beat dense ones whatever the number of edges."""

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


def compiled_walks(weight: Tensor) -> ModuleType | None:
    """The compiled products, where there are some for the device and the dtype of the weights."""
    if weight.dtype not in (torch.float32, torch.float64):
        return None
    return engine(weight.device, None, "gnnlab.graph._walk_probabilities_numba")


def cheaper_method(edge_index: Tensor, ptr: Tensor, batch: Tensor, weight: Tensor) -> str:
    """``"dense"`` or ``"sparse"`` powers."""
    sizes = ptr.diff()
    largest = int(sizes.max())
    if largest > 2048 or (largest <= _COMPILED_WINS and compiled_walks(weight)):
        return "sparse"
    if edge_index.is_cuda:
        return "dense"
    sparse_work = int(sizes[batch[edge_index[0]]].sum())
    return "dense" if 4 * sparse_work >= int(sizes.pow(3).sum()) else "sparse"


def surely_within(edge_index: Tensor, ptr: Tensor, batch: Tensor, steps: int, max_work: float) -> bool:
    """Whether not even a column for every node of a graph makes more than ``max_work`` multiply-adds."""
    return float(steps * ptr.diff().double()[batch[edge_index[0]]].sum()) <= max_work


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
