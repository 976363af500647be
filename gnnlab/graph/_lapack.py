"""LAPACK's partial symmetric eigensolver, called without the interpreter lock so that threads help; such threads."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from scipy.linalg import cython_lapack
from threadpoolctl import ThreadpoolController

from gnnlab.errors import GnnlabError

__all__ = ["in_threads", "single_threaded_blas", "smallest_eigenpairs"]


def smallest_eigenpairs(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k smallest eigenvalues [k] and their orthonormal eigenvectors as rows [k, n] (``dsyevr``).

    ``scipy.linalg.eigh`` calls the same routine, but holds the interpreter lock while it runs.

    Args:
        matrix: [n, n] float64, symmetric, rows contiguous (a view into a wider block is fine). Destroyed.
        k: Between 1 and n.
    """
    n = len(matrix)
    values, vectors, found, info = np.empty(n), np.empty((k, n)), ctypes.c_int(), ctypes.c_int()
    support, work, iwork = np.empty(2 * k, np.intc), np.empty(64 * n), np.empty(10 * n, np.intc)
    nothing = ctypes.byref(ctypes.c_double(0.0))
    _dsyevr()(
        b"V", b"I", b"L", _int(n), matrix.ctypes.data, _int(max(matrix.strides[0] // 8, n)),
        nothing, nothing, _int(1), _int(k), nothing, ctypes.byref(found), values.ctypes.data,
        vectors.ctypes.data, _int(n), support.ctypes.data, work.ctypes.data, _int(work.size),
        iwork.ctypes.data, _int(iwork.size), ctypes.byref(info),
    )  # fmt: skip
    if info.value != 0 or found.value != k:
        raise GnnlabError(
            f"the eigensolver returned {found.value} of {k} eigenpairs of a {n} x {n} matrix (info {info.value})",
            hint="check the edge weights for NaN or infinity",
        )
    return values[:k], vectors


def single_threaded_blas() -> Any:
    """Context in which BLAS uses one thread: small matrices lose far more to its threads than they gain."""
    return _controller().limit(limits=1, user_api="blas")


def in_threads(function: Callable[[int], None], count: int) -> None:
    """``function(place)`` for ``count`` places, last (largest) first, in as many threads as torch uses.

    In each of them torch, and the library behind its linear algebra, which no BLAS controller reaches, has one thread.
    """
    threads = torch.get_num_threads()
    with single_threaded_blas():
        if threads == 1 or count == 1:  # torch may use its threads on a single one
            for place in reversed(range(count)):
                function(place)
            return
        begin = {"initializer": torch.set_num_threads, "initargs": (1,)}
        with _threads.kept(), ThreadPoolExecutor(min(threads, count), **begin) as pool:
            for _ in pool.map(function, reversed(range(count))):
                pass


class _Threads:
    """The number of torch's threads, which is partly one for the whole process: the last user of many restores it."""

    def __init__(self) -> None:
        self.lock, self.users, self.number = Lock(), 0, 1

    @contextmanager
    def kept(self) -> Iterator[None]:
        with self.lock:
            if self.users == 0:
                self.number = torch.get_num_threads()
            self.users += 1
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if self.users == 0:
                    torch.set_num_threads(self.number)


_threads = _Threads()


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@lru_cache(maxsize=1)
def _dsyevr() -> Any:
    capsule = cython_lapack.__pyx_capi__["dsyevr"]
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 21)(pointer(capsule, name(capsule)))


def _int(value: int) -> Any:
    return ctypes.byref(ctypes.c_int(value))
