"""The backend for CUDA: one pass over compressed rows per kernel, no atomics, the same bits every run.

Triton is imported, and with it every kernel, when the first of them is asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import torch

PURPOSE = "fused Triton kernels over compressed rows; CUDA"
DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})

_HOME = {
    "attention": "_attention",
    "attention_backward": "_attention_backward",
    "dropout": "_dropout",
    "extremum": "_extremum",
    "gated": "_gated",
    "gated_backward": "_gated",
    "gated_gcn": "_gated_gcn",
    "gated_gcn_backward": "_gated_gcn",
    "gine": "_gine",
    "gine_backward": "_gine",
    "sddmm": "_linear",
    "softmax": "_softmax",
    "softmax_backward": "_softmax",
    "spmm": "_linear",
    "spread": "_extremum",
}
_OLDEST = (8, 0)  # compute capability Triton supports


def unavailable(device: str) -> str | None:
    if device not in ("cuda", "cpu"):
        return "Triton runs on CUDA devices"
    if find_spec("triton") is None:
        return "triton is not installed (PyTorch's CUDA builds for Linux bring it)"
    if device == "cpu":
        return None if _interpreted() else "a CPU only interprets Triton: set TRITON_INTERPRET=1 before it is imported"
    if not torch.cuda.is_available():
        return "no CUDA device"
    if torch.cuda.get_device_capability() < _OLDEST:
        return f"Triton needs compute capability {_OLDEST[0]}.{_OLDEST[1]}"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler to build its launchers: install gcc or clang"
    return None


def __getattr__(name: str) -> Callable:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no kernel '{name}'")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def _interpreted() -> bool:
    """Whether Triton was imported with TRITON_INTERPRET=1; its own functions are then interpreted, too."""
    if os.environ.get("TRITON_INTERPRET") != "1":
        return False
    from triton.language import zeros
    from triton.runtime.interpreter import InterpretedFunction

    return isinstance(zeros, InterpretedFunction)
