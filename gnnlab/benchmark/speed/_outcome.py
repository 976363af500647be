"""Whether a candidate computes the right thing: its outputs and gradients beside those of the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from gnnlab.benchmark.speed._operations import Operation, Result

__all__ = ["TOLERANCE", "Outcome", "attempt", "check", "difference"]

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference from the reference, as a part of its largest value. Peers that add up in half precision
are off by several per cent in rows of a thousand edges."""

_BLOCK = 2**18
_T = TypeVar("_T")


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate.

    Args:
        seconds: Median per call; ``None`` if it was not timed.
        ratio: Median over rounds of its time / ours.
        error: Largest difference from the reference, as a part of the reference's largest value (at least 1).
        verdict: ``ok``; ``wrong``, ``failed`` (it raised) or ``skipped`` (too large): not timed.
        why: Reason of a verdict other than ``ok``.
    """

    seconds: float | None = None
    ratio: float | None = None
    error: float | None = None
    verdict: str = "ok"
    why: str = ""


def check(operation: Operation, run: Callable[[], Result], wanted: Result, dtype: torch.dtype) -> Outcome:
    """Run a candidate and compare its outputs and gradients with the reference."""
    result, why = attempt(run)
    if why:
        return Outcome(verdict="failed", why=why)
    grads, wanted_grads = result.grads, wanted.grads
    if operation.ties and dtype.itemsize < 4:
        # Half precision has too few values to keep neighbours apart: only the total of a column is settled.
        grads, wanted_grads = ([g.float().sum(0, keepdim=True) for g in group] for group in (grads, wanted_grads))
    error = max(difference(result.outputs, wanted.outputs), difference(grads, wanted_grads))
    if error <= TOLERANCE[dtype]:
        return Outcome(error=error)
    why = f"off by {error:.2g} of the largest value, {TOLERANCE[dtype]:.0e} is tolerated"
    return Outcome(error=error if math.isfinite(error) else None, verdict="wrong", why=why)


def difference(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Largest difference over the tensors, as a part of the largest value wanted (at least 1) of each.

    Infinite where shapes differ, or where one of two is not a number.
    """
    if [t.shape for t in found] != [t.shape for t in wanted]:
        return math.inf
    return max(map(_difference, found, wanted), default=0.0)


def attempt(work: Callable[[], _T]) -> tuple[_T | None, str]:
    """The result, or why there is none: packages refuse dtypes, devices and sizes each in its own way."""
    try:
        return work(), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:120]}"


def _difference(found: Tensor, wanted: Tensor) -> float:
    if not wanted.numel():
        return 0.0
    # In blocks of rows, because the tensors may fill half the memory.
    parts = (torch.atleast_1d(tensor.detach()).split(_BLOCK) for tensor in (found, wanted))
    blocks = zip(*parts, strict=True)
    worst = torch.stack([(part.to(right.dtype) - right).abs().max() for part, right in blocks]).max()
    # Features are of order one; a gradient that cancels to nothing has no scale of its own.
    scale = max(float(wanted.abs().max()), 1.0)
    return math.inf if worst.isnan() else float(worst) / scale
