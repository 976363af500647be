"""The files of a dataset: looked for in the cache, in the mirror, upstream; always verified, never asked about."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import pooch

from gnnlab.data._digest import DigestMemory, check_digest
from gnnlab.data._progress import progress_shown
from gnnlab.data._sources import download, extract, unpack, unwritable
from gnnlab.data.card import Card, FileSpec
from gnnlab.errors import GnnlabError, IntegrityError, SourceError
from gnnlab.resources import cache_root
from gnnlab.typing import PathLike

__all__ = ["fetch", "file_digests"]


def fetch(card: Card, *, root: PathLike | None = None, progress: bool = True) -> dict[str, Path]:
    """Every file of a dataset, verified, as role -> local path.

    A file in a mirror directory (``GNNLAB_MIRROR``) is used where it lies; a download goes to the cache.

    Args:
        card: The dataset.
        root: Cache directory; by default ``GNNLAB_CACHE``, else the user's cache directory.
        progress: Show a bar for downloads.

    Raises:
        SourceError: a file is in none of the places, or the cache cannot be written.
        IntegrityError: every copy found is truncated, altered or something else altogether.
    """
    desk = _Desk(card.name, cache_root(root))
    with progress_shown(progress):
        return {role: desk.obtain(spec) for role, spec in card.files.items()}


def file_digests(card: Card, *, root: PathLike | None = None, progress: bool = True) -> dict[str, str]:
    """Role -> SHA-256, from the card; a file without a published digest is fetched once to learn it."""
    desk = _Desk(card.name, cache_root(root))
    with progress_shown(progress):
        return {role: desk.expected(spec) or desk.learn(spec) for role, spec in card.files.items()}


@dataclass(frozen=True)
class _Desk:
    """Where the files of one dataset are handed in and out."""

    dataset: str
    cache: Path

    def obtain(self, spec: FileSpec) -> Path:
        problems: list[GnnlabError] = []
        for source in (self._cached, self._mirrored, self._upstream):
            try:
                found = source(spec)
            except (IntegrityError, SourceError) as problem:
                problems.append(problem)
                continue
            if found is not None:
                for problem in problems:
                    warnings.warn(f"passed over a copy of '{spec.filename}': {problem}", stacklevel=4)
                return found
        raise self._not_found(spec, problems)

    def expected(self, spec: FileSpec) -> str | None:
        """The digest on the card, else the one recorded when the file was first seen."""
        if spec.sha256:
            return spec.sha256
        record = self._record(spec)
        return record.read_text().split()[0] if record.is_file() else None

    def learn(self, spec: FileSpec) -> str:
        return self._memory.digest(self.obtain(spec))

    def place(self, spec: FileSpec) -> Path:
        """Where the file is kept in the cache; an archive stands beside the folders of the roles."""
        folder = self.cache / "files" / self.dataset
        return folder / spec.filename if spec.role == "archive" else folder / spec.role / spec.filename

    def _cached(self, spec: FileSpec) -> Path | None:
        path = self.place(spec)
        if not path.is_file():
            return None
        self._verify(spec, path)
        return path

    def _mirrored(self, spec: FileSpec) -> Path | None:
        mirror = os.environ.get("GNNLAB_MIRROR")
        if not mirror or not spec.mirror:
            return None
        if mirror.startswith(("http://", "https://")):
            url = f"{mirror.rstrip('/')}/{spec.mirror}"
            return download(url, self.place(spec), lambda path: self._admit_packed(spec, path))
        folder = Path(mirror.removeprefix("file://")).expanduser()
        if not folder.is_dir():
            raise SourceError("GNNLAB_MIRROR is not a directory", where=str(folder))
        path = folder / spec.mirror
        if not path.is_file():
            return None
        if spec.packed:
            return unpack(path, self.place(spec), lambda content: self._admit(spec, content))
        self._verify(spec, path)
        return path

    def _upstream(self, spec: FileSpec) -> Path | None:
        if spec.url:
            return download(spec.url, self.place(spec), lambda path: self._admit(spec, path))
        if spec.archive:
            archive = self.obtain(spec.archive)
            try:
                return extract(archive, str(spec.member), self.place(spec), lambda path: self._admit(spec, path))
            except IntegrityError:
                self._distrust(spec.archive)
                raise
        return None

    def _verify(self, spec: FileSpec, path: Path) -> None:
        """A file that stays where it lies: hashed once, then remembered."""
        self._judge(spec, path, self._memory.digest(path))

    def _admit(self, spec: FileSpec, path: Path) -> None:
        """A file on its way into the cache."""
        self._judge(spec, path, pooch.file_hash(str(path), alg="sha256"))

    def _admit_packed(self, spec: FileSpec, path: Path) -> None:
        """A download from a mirror, which may keep compressed what upstream does not."""
        if spec.packed:
            packed = path.rename(path.with_name(f"{path.name}{Path(spec.mirror).suffix}"))
            try:
                unpack(packed, path, lambda content: self._admit(spec, content))
            finally:
                packed.unlink()
        else:
            self._admit(spec, path)

    def _judge(self, spec: FileSpec, path: Path, found: str) -> None:
        expected = self.expected(spec)
        check_digest(path, expected, found)
        if expected is None:
            record = self._record(spec)
            try:
                record.parent.mkdir(parents=True, exist_ok=True)
                record.write_text(f"{found}  {spec.filename}\n")
            except OSError as error:
                raise unwritable(record, error) from error

    def _distrust(self, spec: FileSpec) -> None:
        """Forget an unpinned file that was trusted on first use and turned out to be wrong."""
        if spec.sha256 is None:
            self.place(spec).unlink(missing_ok=True)
            self._record(spec).unlink(missing_ok=True)

    @property
    def _memory(self) -> DigestMemory:
        return DigestMemory(self.cache / "verified")

    def _record(self, spec: FileSpec) -> Path:
        place = self.place(spec)
        return place.with_name(f"{place.name}.sha256")

    def _not_found(self, spec: FileSpec, problems: list[GnnlabError]) -> GnnlabError:
        kind = IntegrityError if any(isinstance(p, IntegrityError) for p in problems) else SourceError
        tried = "; ".join(f"{p.where}: {p.what}" for p in problems) or "it is neither in the cache nor in a mirror"
        origin = spec if spec.url else spec.archive or spec
        advice = [f"get {origin.url} by hand and save it as {self.place(origin)}"] if origin.url else []
        if spec.mirror:
            advice.append(f"set GNNLAB_MIRROR to a directory that holds {spec.mirror}")
        advice += [str(p.hint) for p in problems if p.hint and "GNNLAB_CACHE" in p.hint]
        return kind(
            f"the file '{spec.filename}' could not be had ({tried})",
            where=f"dataset {self.dataset}, file {spec.role}",
            hint="; or ".join(advice) or None,
        )
