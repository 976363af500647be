"""What every compiled kernel is made of: the decorator, flat arrays, and chunks of rows claimed from a counter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from torch import Tensor

__all__ = ["NONE", "bound", "claim", "compiled", "finished", "flat", "index", "inlined", "reordered"]

index = np.uintp
"""Offsets are unsigned, which frees the inner loops of checks for negative ones: they vectorise."""

NONE = np.empty(0, np.int32)
"""Stands for an absent index."""

_FILES = [path.stat() for path in Path(__file__).parent.glob("*.py")]
_STAMP = max(file.st_mtime for file in _FILES), sum(file.st_size for file in _FILES)

_NEXT, _DONE = 0, 8  # places in a counter, one cache line apart


def compiled(function: Callable, **options: Any) -> Callable:
    """Compile for the dtypes of the first call and keep the machine code on disk, where there is a place for it.

    Products and sums are contracted to multiply-adds, but never reordered; NaN and infinities hold.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, **options}
    try:
        kernel = njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the user has a directory that can be written
        return njit(**options)(function)
    # Numba asks whether a kernel's own file has changed; but the kernel also holds what it inlines from others.
    kept = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if not hasattr(kept, "_source_stamp"):  # a numba that cannot be told: rather compile anew than run what was
        return njit(**options)(function)
    own = Path(function.__code__.co_filename).stat()  # it may lie in another package
    kept._source_stamp = (*_STAMP, own.st_mtime, own.st_size)
    return kernel


def reordered(function: Callable) -> Callable:
    """Compile, and let the terms of a sum be added in an order of the compiler's: products of rows need it."""
    return compiled(function, fastmath={"contract", "reassoc", "nsz"})


def inlined(function: Callable) -> Callable:
    """A part of other kernels, written out in them: passing arrays costs as much as a row of numbers."""
    return compiled(function, inline="always")


def flat(tensor: Tensor | None, like: Tensor | None = None) -> np.ndarray:
    """The numbers of a tensor in row order, as a vector that shares its memory if it can; empty for ``None``."""
    if tensor is None:
        return NONE if like is None else like.new_empty(0).numpy()
    return tensor.detach().numpy().reshape(-1)


@intrinsic
def _add(typing: Any, counter: types.Array, place: types.Integer, amount: types.Integer) -> tuple:
    """Add to an element of an int64 array atomically; returns what it was."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list) -> ir.Value:
        array = context.make_array(counter)(context, builder, arguments[0])
        return builder.atomic_rmw("add", builder.gep(array.data, [arguments[1]]), arguments[2], "seq_cst")

    return types.int64(counter, types.intp, types.int64), generate


@compiled
def claim(counter, finished_before):
    """The next chunk nobody has; ``finished_before`` is 1 if the caller has just finished one."""
    if finished_before:
        _add(counter, _DONE, 1)
    return _add(counter, _NEXT, 1)


@compiled
def finished(counter, chunks, spins):
    """Whether every chunk is done, or becomes so while we watch."""
    done = _add(counter, _DONE, 0)
    while done < chunks and spins > 0:
        done = _add(counter, _DONE, 0)
        spins -= 1
    return done == chunks


@compiled
def bound(ptr, chunk, chunks):
    """First row of a chunk: chunks have about equally many rows and entries together."""
    num_rows = ptr.shape[0] - 1
    goal = (np.int64(ptr[num_rows]) + num_rows) * chunk // chunks
    low, high = 0, num_rows
    while low < high:
        middle = (low + high) // 2
        if ptr[middle] + middle < goal:
            low = middle + 1
        else:
            high = middle
    return index(low)
