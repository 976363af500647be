"""Dataset cards: everything known about a dataset before its files are opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from gnnlab.data._facts import FACTS
from gnnlab.data._yaml import CardLoader, checked_keys, plain, printed_tolerances
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, nearest
from gnnlab.resources import datasets_dir
from gnnlab.typing import PathLike

__all__ = ["Card", "FileSpec", "SplitSpec", "card", "card_names", "read_card"]


@dataclass(frozen=True)
class FileSpec:
    """One upstream file: where it may be found, and the digest that makes it the right one.

    Args:
        role: Name under which the reader receives the file.
        sha256: Digest of the file as upstream has it, 64 hexadecimal digits. ``None``: nobody published one, so
            the first copy seen is trusted, recorded beside the cached file and shown as unpinned.
        mirror: Path below the mirror root; may end in ``.xz`` or ``.gz`` where the upstream file does not.
        url: Upstream address.
        archive: The archive that holds the file upstream (itself a file with mirror, url, sha256).
        member: Path inside ``archive``.
    """

    role: str
    sha256: str | None = None
    mirror: str | None = None
    url: str | None = None
    archive: FileSpec | None = None
    member: str | None = None

    @property
    def filename(self) -> str:
        """Base name of the file, as upstream calls it."""
        path = self.member or (self.url or self.mirror or self.role).partition("?")[0]
        return path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def packed(self) -> bool:
        """Whether the mirror keeps the file compressed and upstream does not; the digest is of the content."""
        suffix = Path(self.mirror or "").suffix
        return suffix in (".xz", ".gz") and bool(self.url or self.member) and not self.filename.endswith(suffix)


@dataclass(frozen=True)
class SplitSpec:
    """The published ways to split a dataset.

    Args:
        default: The scheme used unless another one is asked for.
        schemes: Scheme name -> number of folds.
    """

    default: str
    schemes: dict[str, int]


@dataclass(frozen=True)
class Card:
    """What is known about a dataset: task, sources, licence, splits and published statistics.

    Args:
        name: What users type.
        title: What people say.
        paper: Where the dataset was published.
        licence: Licence of the data.
        reader: Dotted path of the function that reads (or generates) it.
        options: Keyword arguments of the reader beyond ``files`` and ``card``.
        task: What is predicted, and how it is judged.
        node_features: Columns of ``x``.
        edge_features: Columns of ``edge_attr``; 0 if there is none.
        files: Role -> file.
        split: Schemes and the default one.
        published: Statistics as printed in the literature; checked when the store is built.
        tolerance: Statistic -> how far the computed value may be from the printed one; unless the card says
            otherwise, half a unit of the last printed digit.
        differs: Statistic -> the value our files give where it is known to differ from the printed one.
        exact: What is exact and what is not, where our copy differs from upstream.
        fallback: Name of the card that reads the same dataset from other files, taken where these cannot be had.

    Example:
        >>> card("peptides-func").task.metric
        'ap'
    """

    name: str
    title: str
    paper: str
    licence: str
    reader: str
    task: TaskSpec
    node_features: int
    edge_features: int
    split: SplitSpec
    options: dict[str, Any] = field(default_factory=dict)
    files: dict[str, FileSpec] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)
    tolerance: dict[str, float] = field(default_factory=dict)
    differs: dict[str, Any] = field(default_factory=dict)
    exact: str | None = None
    fallback: str | None = None

    def read(self) -> Callable[..., Any]:
        """The reader itself.

        Raises:
            ConfigError: the dotted path leads nowhere.
        """
        module, _, function = self.reader.rpartition(".")
        try:
            return getattr(import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"the reader '{self.reader}' cannot be imported: {error}",
                where=f"card {self.name}, key reader",
                hint="a reader is named by its dotted path, package.module.function",
            ) from error


def card(name: PathLike) -> Card:
    """The card of a dataset.

    Args:
        name: One of :func:`card_names`, or the path of a card of your own (``.yaml``).

    Raises:
        ConfigError: no such dataset, or a card with a missing, unknown or malformed key.
    """
    if str(name).endswith((".yaml", ".yml")):
        return read_card(name)
    return _shipped(str(name))


def card_names() -> list[str]:
    """Names of all datasets that come with gnnlab, sorted."""
    return sorted(path.stem for path in datasets_dir().glob("*.yaml"))


def read_card(path: PathLike) -> Card:
    """Parse one card file; every key is checked.

    A card with the key ``base``, the name of another dataset, takes every key it does not state from there: the same
    graphs for another task.
    """
    where = str(path)
    values = checked_keys(Card, _content(Path(path)), where)
    values["task"] = TaskSpec(**checked_keys(TaskSpec, values["task"], f"{where}, key task"))
    values["split"] = SplitSpec(**checked_keys(SplitSpec, values["split"], f"{where}, key split"))
    files = values.get("files") or {}
    values["files"] = {role: _file(role, spec, f"{where}, key files.{role}") for role, spec in files.items()}
    _check_facts(values, where)
    values["tolerance"] = printed_tolerances(values)
    parsed = Card(**{key: plain(value) for key, value in values.items()})
    if parsed.split.default not in parsed.split.schemes:
        hint = nearest(parsed.split.default, parsed.split.schemes)
        raise ConfigError(f"the default split '{parsed.split.default}' is not a scheme", where=where, hint=hint)
    return parsed


def _content(path: Path) -> Any:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=CardLoader)
    except OSError as error:
        raise ConfigError(f"the card cannot be read: {error.strerror}", where=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the card is not valid YAML: {error}", where=str(path)) from error
    if not isinstance(content, Mapping) or "base" not in content:
        return content
    base = str(content["base"])
    if base not in card_names():
        raise ConfigError(f"unknown dataset '{base}'", where=f"{path}, key base", hint=nearest(base, card_names()))
    return {**_content(datasets_dir() / f"{base}.yaml"), **{key: content[key] for key in content if key != "base"}}


@cache
def _shipped(name: str) -> Card:
    path = datasets_dir() / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"unknown dataset '{name}'", hint=nearest(name, card_names()))
    parsed = read_card(path)
    if parsed.name != name:
        raise ConfigError(f"the card calls itself '{parsed.name}'", where=str(path), hint="name = file name")
    return parsed


def _file(role: str, content: Any, where: str) -> FileSpec:
    if not isinstance(content, Mapping):
        raise ConfigError(f"a file is described by keys, got {content!r}", where=where)
    values = dict(content)
    if isinstance(values.get("archive"), Mapping):
        archive = dict(values["archive"])
        values["member"] = archive.pop("member", None)
        values["archive"] = _file("archive", archive, f"{where}.archive")
        if not values["member"]:
            raise ConfigError("an archive needs 'member', the path inside it", where=f"{where}.archive")
    values = checked_keys(FileSpec, {"role": role, **values}, where)
    digest = values.get("sha256")
    if digest is not None and not re.fullmatch("[0-9a-f]{64}", str(digest)):
        raise ConfigError(f"sha256 must be 64 hexadecimal digits or null, got {digest!r}", where=where)
    return FileSpec(**values)


def _check_facts(values: dict[str, Any], where: str) -> None:
    published = values.get("published") or {}
    for section, known in (("published", FACTS), ("tolerance", published), ("differs", published)):
        for key in values.get(section) or {}:
            if key not in known:
                raise ConfigError(
                    f"unknown statistic '{key}'", where=f"{where}, key {section}", hint=nearest(key, known)
                )
