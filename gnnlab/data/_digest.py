"""Is a file the right one? SHA-256, computed once per state of the file and remembered."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pooch

from gnnlab.errors import IntegrityError

__all__ = ["DigestMemory", "check_digest"]


class DigestMemory:
    """Digests of files already hashed, valid while size and modification time stay the same.

    Args:
        folder: Where the memory is kept. One that cannot be written costs time, not correctness.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def digest(self, path: Path) -> str:
        """SHA-256 of ``path``, 64 hexadecimal digits."""
        path = path.resolve()
        stat = path.stat()
        note = self.folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.json"
        state = {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        remembered = _read(note)
        if state.items() <= remembered.items():
            return remembered["sha256"]
        digest = pooch.file_hash(str(path), alg="sha256")
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps(state | {"sha256": digest}))
        return digest


def check_digest(path: Path, expected: str | None, found: str) -> None:
    """Refuse a file that is not the expected one, and say what it looks like instead.

    Raises:
        IntegrityError: the digests differ, or no digest is known and the file is a web page.
    """
    page = _is_web_page(path)
    if found == expected or (expected is None and not page):
        return
    size = path.stat().st_size
    problem = "empty" if size == 0 else "it looks like an HTML page" if page else "truncated or altered"
    compared = f"; sha256 {found[:12]}..., expected {expected[:12]}..." if expected else ""
    raise IntegrityError(f"not the published file: {problem} ({size} bytes{compared})", where=str(path))


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(512).lstrip().lower()
    return head.startswith((b"<!doctype html", b"<html"))


def _read(note: Path) -> dict:
    try:
        content = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and "sha256" in content else {}
