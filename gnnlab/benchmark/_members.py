"""Members of grids as files, because everything downstream reads configuration files: kept in the cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from gnnlab.benchmark.grid import Grid
from gnnlab.errors import SourceError
from gnnlab.resources import cache_root

__all__ = ["member_file", "member_name"]


def member_file(grid: Grid, name: str) -> Path:
    """The file of a member, addressed by its content; written whole or not at all, once.

    Raises:
        SourceError: the cache cannot be written.
    """
    text = yaml.dump(grid.configuration(name), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    text = f"# {name}, a member of {grid.path.name}\n{text}"
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = _folder() / key / f"{name}.yaml"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(partial, path)
        except OSError as error:
            raise SourceError(
                f"the cache cannot be written: {error.strerror}",
                where=str(_folder()),
                hint="set GNNLAB_CACHE to a directory with room that you may write to",
            ) from error
    return path


def member_name(path: Path) -> str | None:
    """Name of the member a file in the cache belongs to; ``None`` for any other file."""
    try:
        below = path.resolve().relative_to(_folder().resolve())
    except ValueError:
        return None
    return Path(*below.parts[1:]).with_suffix("").as_posix()


def _folder() -> Path:
    return cache_root() / "experiments"


class _Plain(yaml.SafeDumper):
    """Writes out what two keys share, so that every part of the file can be read where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
