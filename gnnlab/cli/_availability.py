"""Where the files of a dataset would come from, without opening, hashing or downloading any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gnnlab.data.card import Card, FileSpec

__all__ = ["is_here", "origin"]


def origin(card: Card, cache: Path) -> str:
    """``generated``, ``cache``, ``mirror``, ``cache, mirror`` or ``upstream``."""
    if not card.files:
        return "generated"
    places = {_place(spec, role, card.name, cache) for role, spec in card.files.items()}
    return "upstream" if "upstream" in places else ", ".join(sorted(places))


def is_here(card: Card, cache: Path) -> bool:
    """Whether the dataset can be had without the network (a mirror reached by URL counts)."""
    return origin(card, cache) != "upstream"


def _place(spec: FileSpec, role: str, dataset: str, cache: Path) -> str:
    folder = cache / "files" / dataset
    kept = [folder / role / spec.filename]
    if spec.archive is not None:
        kept.append(folder / spec.archive.filename)
    if any(path.is_file() for path in kept):
        return "cache"
    return "mirror" if any(_mirrored(each) for each in _with_archive(spec)) else "upstream"


def _with_archive(spec: FileSpec) -> Iterator[FileSpec]:
    yield spec
    if spec.archive is not None:
        yield spec.archive


def _mirrored(spec: FileSpec) -> bool:
    mirror = os.environ.get("GNNLAB_MIRROR")
    if not mirror or not spec.mirror:
        return False
    if mirror.startswith(("http://", "https://")):
        return True
    return (Path(mirror.removeprefix("file://")).expanduser() / spec.mirror).is_file()
