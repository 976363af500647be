"""Content-addressed cache of stores: built once, by one process, found by everyone."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError

from gnnlab.data.store import GraphStore
from gnnlab.errors import IntegrityError, SourceError
from gnnlab.resources import cache_root

__all__ = ["cached_store", "content_key"]


def content_key(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any part changes (JSON values)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def cached_store(key: str, build: Callable[[], GraphStore], root: str | Path | None = None) -> GraphStore:
    """The store saved under ``key``; built, saved and returned if there is none.

    Two processes that want the same store build it once: the second waits. A store whose bytes changed on
    disk is rebuilt, with a warning, never used.

    Args:
        key: Content address (see :func:`content_key`), usable as a directory name.
        build: Makes the store.
        root: Cache directory; see :func:`gnnlab.resources.cache_root`.

    Raises:
        SourceError: the cache directory cannot be written.
    """
    base = cache_root(root) / "stores"
    path = base / key
    found = _load(path)
    if found is not None:
        return found
    lock = FileLock(base / f".{key}.lock")
    with _cache_errors(base):
        base.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        found = _load(path)
        if found is None:
            # What a build that was killed left behind.
            for scratch in base.glob(f".{key}-*"):
                shutil.rmtree(scratch, ignore_errors=True)
            store = build()
            with _cache_errors(base):
                store.save(path)
            found = GraphStore.load(path)
        return found
    finally:
        lock.release()


@contextmanager
def _cache_errors(base: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise SourceError(
            f"the cache cannot be written: {getattr(error, 'strerror', None) or error}",
            where=str(base),
            hint="set GNNLAB_CACHE to a directory with room that you may write to",
        ) from error


def _load(path: Path) -> GraphStore | None:
    if not path.is_dir():
        return None
    try:
        return GraphStore.load(path)
    except IntegrityError as error:
        warnings.warn(f"rebuilding a damaged store: {error}", stacklevel=3)
        return None
