"""What checks of layers and of models have in common: graphs, comparisons, and the name of what failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["DEGENERATE", "finite", "identical", "name_of", "require", "run_checks", "same"]

T = TypeVar("T")

DEGENERATE: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "no nodes": (0, []),
    "one node": (1, []),
    "no edges": (4, []),
    "only self-loops": (3, [(0, 0), (1, 1), (1, 1)]),
    "duplicate edges": (3, [(0, 1), (0, 1), (1, 0), (0, 1)]),
    "disconnected": (5, [(0, 1), (1, 0), (3, 4)]),
}
"""Number of nodes and edges of the graphs that formulas forget."""


def run_checks(checks: Mapping[str, Callable[[T], None]], subject: T, name: str, seed: int) -> None:
    """Run checks in their order, each from the same random state, and say which one failed."""
    for title, check in checks.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                check(subject)
            except AssertionError as error:
                raise AssertionError(f"{name}: {title}: {error}") from error
            except Exception as error:
                raise AssertionError(f"{name}: {title}: raised {error!r}") from error


def name_of(factory: Callable) -> str:
    """The name of what a factory builds."""
    inner = getattr(factory, "func", factory)
    return getattr(inner, "__name__", type(inner).__name__)


def require(holds: bool, message: str) -> None:
    """Not an assert statement: python -O would turn every check into a pass."""
    if not holds:
        raise AssertionError(message)


def finite(tensor: Tensor | None) -> bool:
    return tensor is None or bool(tensor.isfinite().all())


def same(actual: Tensor | None, expected: Tensor | None, message: str, rtol: float = 1e-8, atol: float = 1e-10) -> None:
    """Equal up to rounding."""
    if actual is None or expected is None:
        require(actual is expected, message)
        return
    require(actual.shape == expected.shape, f"{message} (shape {list(actual.shape)}, not {list(expected.shape)})")
    if not torch.allclose(actual, expected, rtol=rtol, atol=atol):
        apart = float((actual - expected).detach().abs().nan_to_num(float("inf")).max())
        raise AssertionError(f"{message} (by up to {apart:.2g})")


def identical(first: tuple[Tensor | None, ...], second: tuple[Tensor | None, ...], message: str) -> None:
    """Equal in every bit."""
    for a, b in zip(first, second, strict=True):
        require((a is None and b is None) or torch.equal(a, b), message)
