"""From the name of a dataset to a store with its splits and its task."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import lzma
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

from gnnlab.data._progress import progress_shown
from gnnlab.data.cache import cached_store, content_key
from gnnlab.data.card import Card
from gnnlab.data.card import card as card_of
from gnnlab.data.files import fetch, file_digests
from gnnlab.data.store import GraphStore
from gnnlab.data.verify import Finding, check_store, compare_store
from gnnlab.errors import ConfigError, IntegrityError, SourceError, nearest
from gnnlab.resources import cache_root
from gnnlab.transform import Compose, Transform
from gnnlab.typing import PathLike

__all__ = ["load_dataset", "verify_dataset"]


def load_dataset(
    name: PathLike,
    *,
    split: str | None = None,
    fold: int = 0,
    transform: Transform | Sequence[Transform] | None = None,
    root: PathLike | None = None,
    progress: bool = True,
) -> GraphStore:
    """The graphs of a dataset, with task and splits.

    The first call reads the upstream files (cache, mirror, upstream; see :func:`gnnlab.data.files.fetch`), checks the
    published statistics and keeps the store in the cache; later calls read one file.

    Args:
        name: A name of :func:`gnnlab.data.card_names`, or the path of a card of your own (``.yaml``).
        split: Split scheme; by default the one on the card.
        fold: Fold of the scheme, counted from 0.
        transform: Applied to all graphs once; the transformed store is kept in the cache as well.
        root: Cache directory; by default ``GNNLAB_CACHE``, else the user's cache directory.
        progress: Show progress bars.

    Raises:
        ConfigError: unknown dataset, scheme or fold.
        SourceError: a file could not be found or downloaded, or the cache cannot be written.
        IntegrityError: a file is not the published one.
        DataError: the graphs do not have the published statistics.

    Example:
        >>> store = load_dataset("csl-generated", progress=False)
        >>> len(store), store.task.out_channels, store[[0, 1]].num_nodes
        (150, 10, 82)
    """
    card = card_of(name)
    scheme = _scheme(card, split)
    with progress_shown(progress):
        store, key = _built(card, root, progress)
        steps = _steps(transform)
        if steps is not None:
            source = store
            store = cached_store(f"{key}-{steps.key()}", lambda: source.map(steps, progress=progress), root)
    return store.with_fold(scheme, fold)


def verify_dataset(name: PathLike | Card, *, root: PathLike | None = None, progress: bool = True) -> list[Finding]:
    """Published statistics beside the ones computed from our files, one line per statistic."""
    card = name if isinstance(name, Card) else card_of(name)
    with progress_shown(progress):
        return compare_store(_built(card, root, progress)[0], card)


def _built(card: Card, root: PathLike | None, progress: bool) -> tuple[GraphStore, str]:
    """The store and the key it is cached under; where the files cannot be had, those of the card's fallback."""
    try:
        key = _key(card, root, progress)
        return cached_store(key, lambda: _build(card, root, progress), root), key
    except SourceError as error:
        if card.fallback is None:
            raise
        warnings.warn(f"reading {card.fallback} in place of {card.name}: {error}", stacklevel=3)
        return _built(card_of(card.fallback), root, progress)


def _build(card: Card, root: PathLike | None, progress: bool) -> GraphStore:
    files = fetch(card, root=root, progress=progress)
    try:
        raw = card.read()(files, card, **card.options)
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise IntegrityError(
            f"a file is cut short or damaged: {error}",
            where=f"dataset {card.name}",
            hint=f"delete {cache_root(root) / 'files' / card.name} and fetch the files again",
        ) from error
    meta = {**raw.store.meta, "files": file_digests(card, root=root, progress=progress)}
    if card.exact:
        meta["exact"] = card.exact
    # Schemes may share index tensors; on disk every one is its own.
    folds = {
        scheme: [{part: index.clone() for part, index in fold.items()} for fold in folds]
        for scheme, folds in raw.splits.items()
    }
    store = raw.store.replace(name=card.name, task=card.task, folds=folds, meta=meta)
    check_store(store, card)
    return store


def _key(card: Card, root: PathLike | None, progress: bool) -> str:
    """Everything the store depends on; files pinned on the card need not be opened to know it."""
    facts = [card.name, card.task.to_dict(), card.published, card.differs, card.exact]
    digests = file_digests(card, root=root, progress=progress)
    return f"{card.name}-{content_key(facts, card.reader, card.options, digests, _code_digest(card))}"


def _code_digest(card: Card) -> str:
    """SHA-256 of the reader's module and of the helper modules that readers share."""
    module = Path(inspect.getfile(inspect.unwrap(card.read())))
    sources = {module, *(Path(__file__).parent / "readers").glob("_*.py")}
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()


def _steps(transform: Transform | Sequence[Transform] | None) -> Transform | None:
    if transform is None or isinstance(transform, Transform):
        return transform
    return Compose(tuple(transform)) if transform else None


def _scheme(card: Card, split: str | None) -> str:
    if split is not None and split not in card.split.schemes:
        hint = nearest(split, card.split.schemes)
        raise ConfigError(f"unknown split '{split}'", where=f"dataset {card.name}", hint=hint)
    return split or card.split.default
