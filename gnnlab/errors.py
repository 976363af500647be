"""One exception family. Every message says what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "GnnlabError",
    "ConfigError",
    "GraphError",
    "DataError",
    "IntegrityError",
    "SourceError",
    "BudgetError",
    "BackendError",
    "nearest",
]


class GnnlabError(Exception):
    """Base of every error gnnlab raises on purpose.

    Args:
        what: What is wrong, one sentence.
        where: The file, dataset, key, graph or attribute concerned.
        hint: What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, where, hint)
        self.what, self.where, self.hint = what, where, hint

    def __reduce__(self) -> tuple:
        # Keyword-only arguments do not survive Exception's own pickling between processes.
        return _rebuild, (type(self), self.what, self.where, self.hint)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class ConfigError(GnnlabError, ValueError):
    """A configuration that cannot be run: unknown key or name, wrong type, missing value."""

    exit_code = 2


class GraphError(GnnlabError, ValueError):
    """Tensors that do not describe a graph (index out of range, mismatched lengths, ...)."""


class DataError(GnnlabError, ValueError):
    """A dataset whose content is not what its card promises."""


class IntegrityError(DataError):
    """A file whose bytes are not the ones on the card (truncated, altered, an error page)."""


class SourceError(GnnlabError, OSError):
    """A file that could be found neither in the cache, nor in the mirror, nor upstream."""


class BudgetError(GnnlabError, MemoryError):
    """Work refused before allocating, because its estimated size is above the limit."""


class BackendError(GnnlabError, RuntimeError):
    """A kernel backend that was asked for and is not available."""


def nearest(name: str, candidates: Iterable[str]) -> str:
    """``'did you mean ...?'`` for the closest candidate, or the list of candidates if none is close.

    Example:
        >>> nearest("max_epoch", ["max_epochs", "min_epochs"])
        "did you mean 'max_epochs'?"
    """
    names = sorted(set(candidates))
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"known: {shown}" if names else "nothing is known under that heading"


def _rebuild(cls: type[GnnlabError], what: str, where: str | None, hint: str | None) -> GnnlabError:
    return cls(what, where=where, hint=hint)
