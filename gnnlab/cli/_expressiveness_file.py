"""The file of rows of ``gnnlab bench expressiveness``: it grows with every row, over several runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gnnlab.benchmark import provenance
from gnnlab.cli._expressiveness_tables import KIND
from gnnlab.errors import DataError

__all__ = ["RowFile", "read_rows"]

_KEY = ("model", "set", "weights", "groups", "seed")
"""What a row is about: another of the same takes its place."""


class RowFile:
    """Writes rows as they come, so that nothing is lost; those of other networks and sets stay.

    Args:
        path: The file; what it holds of an earlier run is kept.
        command: That the rows come from.

    Raises:
        DataError: the file exists and holds something else.
    """

    def __init__(self, path: Path, command: str) -> None:
        self.path, self.rows = path, read_rows(path) if path.exists() else []
        self.run = {
            "command": command,
            "date": provenance.now(),
            "commit": provenance.commit(),
            "hardware": provenance.hardware(),
            "versions": provenance.versions(),
        }

    def add(self, row: dict[str, Any]) -> None:
        """Put a row in, with its command, date and commit."""
        stamp = {name: self.run[name] for name in ("command", "date", "commit")}
        place = next((i for i, other in enumerate(self.rows) if _key(other) == _key(row)), len(self.rows))
        self.rows[place : place + 1] = [row | stamp]
        self.close([], interrupted=True)

    def close(self, left_out: list[str], interrupted: bool) -> None:
        """Write the file with what the run could not do."""
        content = {"kind": KIND, **self.run, "interrupted": interrupted, "rows": self.rows, "left_out": left_out}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.part")
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(self.path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise DataError("holds no rows of 'gnnlab bench expressiveness'", where=str(path))
    stamp = {name: content[name] for name in ("command", "date", "commit") if name in content}
    return [stamp | row for row in content["rows"]]


def _key(row: dict[str, Any]) -> list[Any]:
    return [row.get(name) for name in _KEY]
