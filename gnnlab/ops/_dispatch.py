"""Which backend serves an operation: asked for by name, or the fastest one that can run it here.

A backend is one module with a function per operation (named as the operation), a line ``PURPOSE``, the set
``DTYPES`` it computes in, and ``unavailable(device)``, which says why it cannot serve a device, or ``None``.
A new backend is one such file, and its name below.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BackendError, nearest

__all__ = ["BackendStatus", "backend_report", "kernel", "use_backend"]

_MODULES = {
    name: f"gnnlab.ops._{name}" for name in ("triton", "numba", "torch", "torch_scatter", "torch_sparse", "reference")
}
_AUTOMATIC = {"cpu": ("numba", "torch"), "cuda": ("triton", "torch")}  # fastest first
_ANYWHERE = ("torch",)  # runs everything


class _Choice(NamedTuple):
    name: str | None  # None = automatic
    origin: str


_choice: _Choice | None = None  # None until first needed: the environment is read once, and late


class use_backend:
    """Serve every operation by one backend, from now on or for the length of a ``with`` block.

    An operation or dtype the backend has no kernel for falls back to the automatic choice. The setting
    belongs to the process, because gradients are computed in other threads; a gradient uses the backend
    active when it is computed. The environment variable ``GNNLAB_BACKEND`` sets the initial value.

    Args:
        name: ``"triton"`` (CUDA), ``"numba"`` (CPU), ``"torch"`` (any device), ``"torch_scatter"`` or
            ``"torch_sparse"`` (where installed), ``"reference"`` (slow, float64), or ``None`` for the automatic
            choice: on CUDA triton, on the CPU numba, torch for what they lack and everywhere else.

    Raises:
        BackendError: an unknown name.

    Example:
        >>> from gnnlab.ops import aggregate
        >>> with use_backend("reference"):
        ...     out = aggregate(torch.ones(2, 1), torch.tensor([[0], [1]]))
        >>> out.tolist()
        [[0.0], [1.0]]
    """

    def __init__(self, name: str | None) -> None:
        self._previous = _chosen()
        _choose(_checked(name, "use_backend"))

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        _choose(self._previous)


@dataclass(frozen=True)
class BackendStatus:
    """One line of :func:`backend_report`.

    Args:
        name: The backend.
        active: Device types whose operations it serves now.
        reason: Why it is active or not.
    """

    name: str
    active: tuple[str, ...]
    reason: str


def backend_report() -> list[BackendStatus]:
    """Which backend serves which device now, and why.

    Example:
        >>> any("cpu" in status.active for status in backend_report())
        True
    """
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    return [_status(name, devices) for name in _MODULES]


def kernel(operation: str, like: Tensor) -> Callable:
    """The function that computes ``operation`` for tensors of the device and dtype of ``like``."""
    return _find(operation, like.device.type, like.dtype, _chosen().name)


@cache
def _find(operation: str, device: str, dtype: torch.dtype, chosen: str | None) -> Callable:
    if chosen is not None and (why := _module(chosen).unavailable(device)):
        raise BackendError(
            f"backend '{chosen}' cannot serve {device} tensors: {why}", hint="use_backend(None) chooses automatically"
        )
    for name in (*((chosen,) if chosen else ()), *_AUTOMATIC.get(device, _ANYWHERE)):
        module = _module(name)
        if module.unavailable(device) is None and dtype in module.DTYPES and hasattr(module, operation):
            return getattr(module, operation)
    raise BackendError(f"no backend computes '{operation}' for {dtype} on {device}")


def _status(name: str, devices: tuple[str, ...]) -> BackendStatus:
    chosen, module = _chosen(), _module(name)
    obstacles = {device: module.unavailable(device) for device in devices}
    usable = tuple(device for device, why in obstacles.items() if why is None)
    if chosen.name is None:
        active = tuple(device for device in usable if _first_usable(device) == name)
    else:
        active = usable if name == chosen.name else ()
    blocked = [f"not on {device}: {why}" for device, why in obstacles.items() if why]
    return BackendStatus(name, active, "; ".join([f"{module.PURPOSE} ({_why(name, active, chosen)})", *blocked]))


def _why(name: str, active: tuple[str, ...], chosen: _Choice) -> str:
    if chosen.name:
        return f"chosen by {chosen.origin}" if active else f"'{chosen.name}' is chosen by {chosen.origin}"
    if active:
        return "automatic"
    automatic = any(name in names for names in _AUTOMATIC.values())
    return "for what the fastest here lacks" if automatic else "on request only"


def _first_usable(device: str) -> str:
    return next(name for name in _AUTOMATIC.get(device, _ANYWHERE) if _module(name).unavailable(device) is None)


def _chosen() -> _Choice:
    if _choice is None:
        _choose(_checked(os.environ.get("GNNLAB_BACKEND") or None, "GNNLAB_BACKEND"))
    return _choice


def _choose(choice: _Choice) -> None:
    global _choice
    _choice = choice


def _checked(name: str | None, origin: str) -> _Choice:
    if name is not None and name not in _MODULES:
        raise BackendError(f"unknown backend '{name}'", where=origin, hint=nearest(name, _MODULES))
    return _Choice(name, origin)


def _module(name: str) -> ModuleType:
    return import_module(_MODULES[name])
