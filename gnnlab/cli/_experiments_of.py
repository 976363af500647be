"""The experiments there are on a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gnnlab.benchmark.grid import SUFFIX, read_grid
from gnnlab.resources import experiments_dir

__all__ = ["experiments_of"]


def experiments_of(dataset: str) -> tuple[str, ...]:
    """Names of the experiments whose ``data.dataset`` is this one, sorted.

    Example:
        >>> experiments_of("minesweeper")
        ('cognn/minesweeper/co-mean-mean', 'cognn/minesweeper/co-sum-sum', 'nodes/minesweeper/gat', ...)
    """
    root = experiments_dir()
    # Reading all files takes seconds; those that do not mention the dataset cannot be on it.
    files = [path for path in sorted(root.rglob("*.yaml")) if dataset in path.read_text(encoding="utf-8")]
    named = (each for path in files for each in _named(root, path))
    return tuple(sorted(name for name, content in named if (content.get("data") or {}).get("dataset") == dataset))


def _named(root: Path, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.name.endswith(SUFFIX):
        grid = read_grid(path)
        yield from ((name, grid.configuration(name)) for name in grid.members)
    else:
        yield path.relative_to(root).with_suffix("").as_posix(), yaml.safe_load(path.read_text(encoding="utf-8"))
