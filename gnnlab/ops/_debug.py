"""When the values of an index may be looked at: it costs nothing on the CPU, and a synchronisation on a GPU."""

from __future__ import annotations

import os

import torch
from torch import Tensor

__all__ = ["debugging", "free_to_look"]


def free_to_look(tensor: Tensor) -> bool:
    """On the CPU always, elsewhere if ``GNNLAB_DEBUG=1``; never while ``torch.compile`` traces."""
    if torch.compiler.is_compiling():
        return False
    return tensor.device.type == "cpu" or debugging()


def debugging() -> bool:
    """Whether every value that reaches a kernel is to be checked, at whatever cost."""
    return os.environ.get("GNNLAB_DEBUG", "0") not in ("", "0")
