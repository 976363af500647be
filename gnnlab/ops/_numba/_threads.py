"""Threads that help with a compiled loop: no threading layer to choose, safe after a fork and under concurrent calls.

A kernel claims chunks of rows one after the other from a counter, in as many threads as have time for it. The
calling thread works too and waits for no thread that has not begun, so a busy machine costs speed but no stall.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import numpy as np
import torch

from gnnlab.ops._numba._jit import finished

__all__ = ["run"]

_GRAIN = 1 << 15  # numbers read per chunk: about ten microseconds
_SERIAL = 8  # chunks from which waking a thread pays
_CHUNKS_PER_THREAD = 16
_SPINS = 2000  # looks at the counter, a few nanoseconds each, before giving up the processor


class _Helpers:
    """Threads that wait for work; made when first needed, and anew in a forked child, which inherits none."""

    def __init__(self) -> None:
        self.lock, self.inbox, self.size = Lock(), SimpleQueue(), 0

    def ask(self, count: int, function: Callable, arguments: tuple) -> None:
        if self.size < count:
            with self.lock:
                while self.size < count:
                    Thread(target=self._serve, name=f"gnnlab-{self.size}", daemon=True).start()
                    self.size += 1
        for _ in range(count):
            self.inbox.put((function, arguments))

    def _serve(self) -> None:
        while True:
            function, arguments = self.inbox.get()
            function(*arguments)
            del arguments  # the arrays in it


_helpers = _Helpers()


def _renew() -> None:
    global _helpers
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def run(kernel: Callable, size: int, *arguments: Any) -> None:
    """``kernel(counter, chunks, *arguments)`` in as many threads as torch uses; ``size`` is the numbers it reads."""
    counter, chunks = np.zeros(16, np.int64), size // _GRAIN
    threads = torch.get_num_threads() if chunks >= _SERIAL else 1
    if threads == 1:
        kernel(counter, 1, *arguments)
        return
    chunks = min(chunks, threads * _CHUNKS_PER_THREAD)
    arguments = (counter, chunks, *arguments)
    _helpers.ask(threads - 1, kernel, arguments)
    kernel(*arguments)
    while not finished(counter, chunks, _SPINS):
        time.sleep(1e-5)
