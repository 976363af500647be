"""What encodings that count structures have in common: where the counts go, and their scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, nearest
from gnnlab.transform import Transform

__all__ = ["CountEncoding", "Patterns", "frozen_patterns"]

Patterns = tuple[str | tuple[tuple[int, int], ...], ...]
"""Names or edge lists."""

_LEVELS = {"node": ("node",), "edge": ("edge",), "both": ("node", "edge")}

_SCALES: dict[str | None, Callable[[Tensor], Tensor]] = {None: lambda counts: counts, "log": torch.log1p}


@dataclass(frozen=True, repr=False)
class CountEncoding(Transform):
    """A transform that writes counts; subclasses say which by calling :meth:`write_counts`.

    Args:
        level: ``"node"`` writes ``pe_<name>``, ``"edge"`` writes ``edge_pe_<name>``, ``"both"`` both.
        normalise: ``None`` for the counts, ``"log"`` for log(1 + count).
    """

    level: str = field(default="node", kw_only=True)
    normalise: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        where = type(self).__name__
        if self.level not in _LEVELS:
            raise ConfigError(f"unknown level {self.level!r}", where=where, hint=nearest(str(self.level), _LEVELS))
        if self.normalise not in _SCALES:
            raise ConfigError(f"unknown normalise {self.normalise!r}", where=where, hint="known: None, 'log'")

    def write_counts(self, data: Data, name: str, count: Callable[[str], Tensor]) -> None:
        """Write ``count(level)``, [N, k] at ``"node"`` and [E, k] at ``"edge"``."""
        for level in _LEVELS[self.level]:
            key = f"pe_{name}" if level == "node" else f"edge_pe_{name}"
            values = _SCALES[self.normalise](count(level).double())
            data[key] = values.clamp(max=torch.finfo(torch.float32).max).float()


def frozen_patterns(patterns: Sequence, where: str) -> Patterns:
    """Patterns as a configuration file gives them (lists), as a hashable field."""
    if isinstance(patterns, str) or len(patterns) == 0:
        raise ConfigError(f"patterns must be a list of at least one, got {patterns!r}", where=where)
    return tuple(
        pattern if isinstance(pattern, str) else tuple((int(a), int(b)) for a, b in pattern) for pattern in patterns
    )
