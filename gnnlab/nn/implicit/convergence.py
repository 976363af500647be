"""Whether an iteration came to rest, and what happens if it did not."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

from gnnlab.errors import ConfigError, GnnlabError, nearest

__all__ = ["Convergence", "ConvergenceError", "ConvergenceWarning", "NotConverged", "check_not_converged"]

NotConverged: TypeAlias = Literal["warn", "error"]
"""What an iteration that ran out of steps does: it is never silent."""


class ConvergenceError(GnnlabError, RuntimeError):
    """An iteration that ran out of steps where that is not allowed."""


class ConvergenceWarning(UserWarning):
    """An iteration that ran out of steps: states, or gradients, are off by about the residual."""


@dataclass(frozen=True)
class Convergence:
    """How an iteration over a union of graphs ended.

    Args:
        iterations: [G] evaluations until the graph was done.
        residual: [G] what was left, in the unit of the tolerance.
        tolerance: Residual at which a graph is done.
    """

    iterations: Tensor
    residual: Tensor
    tolerance: float

    @property
    def converged(self) -> Tensor:
        """[G] bool; a residual that is not a number is none that converged."""
        return self.residual <= self.tolerance

    def report(self, what: str, not_converged: NotConverged) -> Convergence:
        """Itself, after a warning or an error if a graph was not done.

        Raises:
            ConvergenceError: a graph that was not done, with ``not_converged="error"``.
        """
        failed = ~self.converged
        if bool(failed.any()):
            worst = float(self.residual[failed].max())
            text = (
                f"{what} did not converge on {int(failed.sum())} of {failed.numel()} graphs: residual up to "
                f"{worst:.2g} after {int(self.iterations.max())} evaluations, tolerance {self.tolerance:.2g}"
            )
            _REPORT[not_converged](text)
        return self


def check_not_converged(value: str, where: str) -> None:
    """Raise a ConfigError for anything but the two options."""
    if value not in _REPORT:
        raise ConfigError(f"unknown not_converged {value!r}", where=where, hint=nearest(str(value), _REPORT))


def _warn(text: str) -> None:
    warnings.warn(text, ConvergenceWarning, stacklevel=3)


def _raise(text: str) -> None:
    raise ConvergenceError(text, hint="raise max_iterations or tolerance, or use not_converged='warn'")


_REPORT = {"warn": _warn, "error": _raise}
