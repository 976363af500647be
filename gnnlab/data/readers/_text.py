"""Text files of numbers: plain, compressed or inside a zip archive, parsed without a loop over lines."""

from __future__ import annotations

import gzip
import lzma
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np

from gnnlab.errors import DataError

__all__ = ["Archive", "numbers", "read_bytes", "table", "tokens_per_line"]

_OPENERS = {".xz": lzma.open, ".gz": gzip.open}
_INTEGER = re.compile(r"[+-]?\d+")
_REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def read_bytes(path: Path) -> bytes:
    """Content of a file, decompressed if its name ends in ``.xz`` or ``.gz``."""
    opener = _OPENERS.get(path.suffix, open)
    try:
        with opener(path, "rb") as file:
            return file.read()
    except (EOFError, OSError, lzma.LZMAError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path), hint="delete it and fetch it again") from error


class Archive:
    """The members of a zip file by base name; what file managers leave behind is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if "__MACOSX" not in name]
        except zipfile.BadZipFile as error:
            raise DataError(f"not a zip archive: {error}", where=str(path), hint="fetch it again") from error
        self._members = {name.rsplit("/", 1)[-1]: name for name in names}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> bytes:
        if name not in self._members:
            held = ", ".join(sorted(filter(None, self._members))[:12])
            raise DataError(f"the archive holds no '{name}'", where=str(self.path), hint=f"it holds: {held}")
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(self._members[name])

    def where(self, name: str) -> str:
        return f"{self.path}:{name}"


def numbers(text: bytes, where: str, dtype: type = np.int64) -> np.ndarray:
    """All numbers of a text separated by blanks, commas or line breaks.

    Raises:
        DataError: something that is no number, naming the line.
    """
    plain = text.replace(b",", b" ").decode("latin1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            return np.fromstring(plain, dtype=dtype, sep=" ")
    except (DeprecationWarning, ValueError):
        raise DataError(_culprit(plain, dtype), where=where) from None


def table(text: bytes, where: str, dtype: type = np.int64) -> np.ndarray:
    """[rows, columns] numbers of a text whose lines all have as many of them as the first."""
    counts = tokens_per_line(text)
    if counts.size and (counts != counts[0]).any():
        line = int((counts != counts[0]).argmax())
        raise DataError(f"row {line + 1} has {counts[line]} numbers, the first has {counts[0]}", where=where)
    return numbers(text, where, dtype).reshape(counts.size, -1)


def tokens_per_line(text: bytes) -> np.ndarray:
    """[lines] number of tokens of every line that is not blank."""
    raw = np.frombuffer(text, dtype=np.uint8)
    blank = (raw <= 32) | (raw == ord(","))
    starts = ~blank
    starts[1:] &= blank[:-1]
    ends = np.append(np.flatnonzero(raw == ord("\n")), raw.size)
    counts = np.diff(np.searchsorted(np.flatnonzero(starts), ends), prepend=0)
    return counts[counts > 0]


def _culprit(text: str, dtype: type) -> str:
    pattern = _INTEGER if np.issubdtype(dtype, np.integer) else _REAL
    for token in re.finditer(r"\S+", text):
        if not pattern.fullmatch(token[0]):
            return f"line {text.count(chr(10), 0, token.start()) + 1}: '{token[0]}' is not a number"
    return "holds something that is not a number"
