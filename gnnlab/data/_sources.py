"""Bring the bytes of a file here: from an address, or out of an archive. Atomic, and nothing is trusted."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import pooch

from gnnlab.data._progress import DownloadBar
from gnnlab.errors import IntegrityError, SourceError, nearest

__all__ = ["UNPACKERS", "download", "extract", "unpack", "unwritable"]

_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 2**20

UNPACKERS: dict[str, Callable[[Path], BinaryIO]] = {".xz": lzma.open, ".gz": gzip.open}
"""Suffix -> what opens such a file for reading its content."""


def download(url: str, target: Path, check: Callable[[Path], None]) -> Path:
    """Fetch ``url`` into ``target``; the file appears only after ``check`` accepted it.

    Raises:
        SourceError: no answer, an error status, a connection that broke off, a disk that cannot be written.
        IntegrityError: whatever ``check`` raises.
    """
    import requests

    with _scratch(target) as scratch:
        try:
            with closing(DownloadBar(target.name)) as bar:
                fetch = pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK_BYTES, timeout=_TIMEOUT_SECONDS)
                fetch(url, str(scratch), None)
        except requests.HTTPError as error:
            raise SourceError(f"the server answers {error.response.status_code}", where=url) from error
        except requests.RequestException as error:
            raise SourceError(f"no connection ({type(error).__name__})", where=url) from error
        check(scratch)
    return target


def extract(archive: Path, member: str, target: Path, check: Callable[[Path], None]) -> Path:
    """Copy one member of a zip or tar archive to ``target``, after ``check`` accepted it.

    Raises:
        IntegrityError: no archive, a truncated one, no such member, or whatever ``check`` raises.
    """
    with _scratch(target) as scratch:
        try:
            with _member(archive, member) as source, scratch.open("wb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
            raise IntegrityError(f"a damaged archive: {error}", where=str(archive)) from error
        check(scratch)
    return target


def unpack(packed: Path, target: Path, check: Callable[[Path], None]) -> Path:
    """Decompress an ``.xz`` or ``.gz`` file into ``target``, after ``check`` accepted the content.

    Raises:
        IntegrityError: a truncated or damaged file, or whatever ``check`` raises.
    """
    with _scratch(target) as scratch:
        try:
            with UNPACKERS[packed.suffix](packed) as source, scratch.open("wb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)
        except (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise IntegrityError(f"a damaged file: {error}", where=str(packed)) from error
        check(scratch)
    return target


@contextmanager
def _member(archive: Path, member: str) -> Iterator[BinaryIO]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            _require(member, opened.namelist(), archive)
            with opened.open(member) as stream:
                yield stream
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened:
            _require(member, opened.getnames(), archive)
            stream = opened.extractfile(member)
            if stream is None:
                raise IntegrityError(f"'{member}' is no regular file", where=str(archive))
            yield stream
    else:
        raise IntegrityError("neither a zip nor a tar archive (truncated?)", where=str(archive))


def _require(member: str, names: list[str], archive: Path) -> None:
    if member not in names:
        raise IntegrityError(f"'{member}' is not in the archive", where=str(archive), hint=nearest(member, names))


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """A file beside ``target`` that takes its place if the block succeeds, and vanishes if not."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    except OSError as error:
        raise unwritable(target, error) from error
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o644)
        os.replace(scratch, target)
    except OSError as error:
        if isinstance(error, SourceError) or error.errno not in _DISK:
            raise
        raise unwritable(target, error) from error
    finally:
        scratch.unlink(missing_ok=True)


_DISK = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EIO}


def unwritable(target: Path, error: OSError) -> SourceError:
    """What to raise where ``target`` could not be written."""
    return SourceError(
        f"the cache cannot be written: {error.strerror or error}",
        where=str(target.parent),
        hint="set GNNLAB_CACHE to a directory with room that you may write to",
    )
