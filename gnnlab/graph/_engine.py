"""Compiled loops where they win, tensor programs everywhere else."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any, TypeVar

import torch

__all__ = ["engine"]

_Engine = TypeVar("_Engine")


def engine(device: torch.device, tensor_program: _Engine, compiled: str) -> _Engine:
    """What ``compiled`` names on a CPU with numba, else ``tensor_program``: two functions, or modules of such.

    Args:
        device: Of the tensors.
        tensor_program: Runs anywhere.
        compiled: ``package.module`` or ``package.module:function``; imported when first needed.
    """
    return (_compiled(compiled) if device.type == "cpu" else None) or tensor_program


@cache
def _compiled(name: str) -> Any:
    return resolve_name(name) if find_spec("numba") else None
