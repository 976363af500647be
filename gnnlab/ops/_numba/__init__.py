"""The backend for CPUs: every formula as one compiled loop over rows, with no array of size E x F in between.

Rows are handed out to threads in small pieces and every row is summed in slot order by one of them, so that
results do not depend on the number of threads. A kernel torch computes as fast is left to torch. Importing
this package is free: numba is imported, and a kernel compiled (once, then kept on disk), when first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import torch

PURPOSE = "fused loops compiled by numba; CPU"
DTYPES = frozenset({torch.float32, torch.float64})

_KERNELS = {
    "batch_norm": "_batch_norm",
    "batch_norm_backward": "_batch_norm",
    "spmm": "_linear",
    "sddmm": "_linear",
    "extremum": "_extremum",
    "spread": "_extremum",
    "dropout": "_dropout",
    "gine": "_gine",
    "gine_backward": "_gine",
    "gated": "_gated",
    "gated_backward": "_gated",
    "gated_gcn": "_gated_gcn",
    "gated_gcn_backward": "_gated_gcn",
    "attention": "_attention",
    "attention_backward": "_attention",
    "softmax": "_softmax",
    "softmax_backward": "_softmax",
}


def unavailable(device: str) -> str | None:
    if device != "cpu":
        return "it runs on the CPU only"
    if find_spec("numba") is None:
        return "numba is not installed (pip install 'gnnlab[cpu]')"
    return None


def __getattr__(name: str) -> Callable:
    if name not in _KERNELS:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_KERNELS[name]}"), name)
