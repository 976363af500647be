"""The package torch-scatter, on request: gather the sources, form the messages, reduce the segments.

Its sums and softmax are served. Its maximum is not: it passes over NaN, takes -inf for the lowest finite number and
leaves the winner of such a row undefined. Half precision falls back, as its GPU kernels sum in half precision.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from gnnlab.ops._layout import Layout

PURPOSE = "gather and segment_csr of the package torch-scatter"
DTYPES = frozenset({torch.float32, torch.float64})


@cache
def unavailable(device: str) -> str | None:
    if find_spec("torch_scatter") is None:
        return "torch-scatter is not installed"
    try:
        package = import_module("torch_scatter")
    except (ImportError, OSError, RuntimeError) as error:  # built for another torch, or another CUDA
        return f"torch-scatter cannot be imported: {str(error).splitlines()[0]}"
    return "torch-scatter was built without CUDA" if device == "cuda" and package.cuda_version == -1 else None


def spmm(x: Tensor, weight: Tensor | None, mean: bool, layout: Layout) -> Tensor:
    messages = x.index_select(0, layout.idx)
    if weight is not None:
        messages.mul_(_by_slot(weight, layout).unsqueeze(-1))
    return _segments(messages, layout, "mean" if mean else "sum")


def softmax(logits: Tensor, layout: Layout) -> Tensor:
    target = layout.target
    # Where all are masked the top is the lowest finite number, and the powers are 0 as they should be.
    top = _segments(_by_slot(logits, layout), layout, "max")
    powers = logits.sub(top.index_select(0, target)).exp_()
    total = _segments(_by_slot(powers, layout), layout, "sum")
    total.masked_fill_(total == 0, 1)
    return powers.div_(total.index_select(0, target))


def softmax_backward(p: Tensor, grad: Tensor, layout: Layout) -> Tensor:
    dot = _segments(_by_slot(p * grad, layout), layout, "sum")
    return grad.sub(dot.index_select(0, layout.target)).mul_(p)


def _segments(values: Tensor, layout: Layout, reduce: str) -> Tensor:
    """[E, ...] in slot order -> [R, ...]."""
    from torch_scatter import segment_csr

    return segment_csr(values.detach(), layout.ptr.long(), reduce=reduce)


def _by_slot(values: Tensor, layout: Layout) -> Tensor:
    return values if layout.eid is None else values.index_select(0, layout.eid)
