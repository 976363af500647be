"""Grids: one file that stands for every combination of the values of its axes, so that nothing is copied.

A grid is a file ``<anything>.grid.yaml`` under ``experiments/``::

    name: rewiring/{dataset}/{model}-{rewiring}     # of a member; every axis appears in it
    base: {...}                                     # a configuration, as in any experiment
    axes:
      dataset: {mutag: {data: {dataset: mutag}}}    # value -> what it changes in the base
      model: {gcn: {label: GCN, model: {...}}}      # label: the text that {model} stands for in ``experiment``
      rewiring: {none: , gtr: {data: {transforms: [...]}}}
    cells:                                          # what single combinations have of their own, in order
    - where: {dataset: mutag, rewiring: [gtr]}
      set: {experiment: {published: {...}}}

Mappings are merged key by key, lists and values replaced; a mapping with another ``class_path`` is replaced
as well, since the ``init_args`` of one class mean nothing to another. Every member is an experiment like any
other: ``gnnlab reproduce rewiring/mutag``, ``gnnlab fit -c rewiring/mutag/gcn-gtr``.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from gnnlab.errors import ConfigError, nearest

__all__ = ["SUFFIX", "Grid", "merged", "read_grid"]

SUFFIX = ".grid.yaml"
"""How the name of a grid's file ends."""

_KEYS = {"name", "base", "axes", "cells"}
_VALUE = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Grid:
    """A checked grid.

    Args:
        path: Its file.
        name: Template of the members' names.
        base: What all members have in common.
        axes: Axis -> value -> what the value changes.
        cells: Pairs of a condition (axis -> values) and what it changes.
    """

    path: Path
    name: str
    base: dict[str, Any]
    axes: dict[str, dict[str, dict[str, Any]]]
    cells: tuple[tuple[dict[str, list[str]], dict[str, Any]], ...]

    @property
    def members(self) -> dict[str, dict[str, str]]:
        """Name of every member -> its value on every axis."""
        points = itertools.product(*self.axes.values())
        chosen = [dict(zip(self.axes, point, strict=True)) for point in points]
        return {self.name.format_map(values): values for values in chosen}

    def configuration(self, name: str) -> dict[str, Any]:
        """The complete configuration of one member.

        Args:
            name: A key of :attr:`members`.
        """
        values = self.members[name]
        changes = [{k: v for k, v in self.axes[axis][value].items() if k != "label"} for axis, value in values.items()]
        changes += [then for where, then in self.cells if all(values[axis] in any_of for axis, any_of in where.items())]
        content = self.base
        for change in changes:
            content = merged(content, change)
        labels = {axis: str(self.axes[axis][value].get("label", value)) for axis, value in values.items()}
        return {**content, "experiment": _filled(content.get("experiment") or {}, labels)}


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``change`` merged over it; neither is written to.

    Example:
        >>> merged({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}})
        {'a': {'b': 1, 'c': [3]}}
        >>> merged({"x": {"class_path": "A", "init_args": {"a": 1}}}, {"x": {"class_path": "B"}})
        {'x': {'class_path': 'B'}}
    """
    result = dict(base)
    for key, value in change.items():
        old = base.get(key)
        result[key] = merged(old, value) if _mergeable(old, value) else value
    return result


def read_grid(path: Path) -> Grid:
    """Read and check a grid; read again only if the file changed.

    Raises:
        ConfigError: the file is no grid; the message names file and key.
    """
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> Grid:
    content = _mapping(_parsed(path), path, "")
    _known(content, _KEYS, path, "")
    axes = {
        axis: {_value(str(value), path, axis): _mapping(change, path, f"axes.{axis}.{value}") for value, change in each}
        for axis, each in ((axis, values.items()) for axis, values in _axes(content, path))
    }
    name = content.get("name")
    _check_name(name, axes, path)
    cells = tuple(_cell(cell, axes, path, f"cells[{i}]") for i, cell in enumerate(content.get("cells") or []))
    return Grid(path, name, _mapping(content.get("base"), path, "base"), axes, cells)


def _parsed(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"the grid is not valid YAML: {error}", where=f"{path}{line}") from error


def _axes(content: Mapping[str, Any], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    axes = _mapping(content.get("axes"), path, "axes")
    if not axes:
        raise ConfigError("a grid has at least one axis", where=f"{path}, key axes")
    for axis, values in axes.items():
        checked = _mapping(values, path, f"axes.{axis}")
        if not checked:
            raise ConfigError("an axis has at least one value", where=f"{path}, key axes.{axis}")
        yield str(axis), checked


def _check_name(name: Any, axes: Mapping[str, Any], path: Path) -> None:
    where = f"{path}, key name"
    if not isinstance(name, str):
        raise ConfigError("a grid needs the template of its members' names", where=where)
    try:
        used = {field for _, field, _, _ in string.Formatter().parse(name) if field is not None}
    except ValueError as error:
        raise ConfigError(f"not a template: {error}", where=where) from error
    for field in used - set(axes):
        raise ConfigError(f"'{{{field}}}' is no axis", where=where, hint=nearest(field, axes))
    for axis in set(axes) - used:
        raise ConfigError(f"the axis '{axis}' is missing, so members would share a name", where=where)


def _cell(cell: Any, axes: Mapping[str, Any], path: Path, key: str) -> tuple[dict[str, list[str]], dict[str, Any]]:
    content = _mapping(cell, path, key)
    _known(content, {"where", "set"}, path, key)
    where: dict[str, list[str]] = {}
    for axis, values in _mapping(content.get("where"), path, f"{key}.where").items():
        _known({axis: None}, axes, path, f"{key}.where")
        where[axis] = [str(value) for value in (values if isinstance(values, list) else [values])]
        _known(dict.fromkeys(where[axis]), axes[axis], path, f"{key}.where.{axis}")
    return where, _mapping(content.get("set"), path, f"{key}.set")


def _known(given: Iterable[str], known: Iterable[str], path: Path, key: str) -> None:
    for name in given:
        if name not in known:
            where = f"{path}, key {key}" if key else str(path)
            raise ConfigError(f"unknown '{name}'", where=where, hint=nearest(str(name), known))


def _mapping(content: Any, path: Path, key: str) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        where = f"{path}, key {key}" if key else str(path)
        raise ConfigError(f"expected a mapping, got {type(content).__name__}", where=where)
    return content


def _value(value: str, path: Path, axis: str) -> str:
    if not _VALUE.fullmatch(value):
        hint = "lower-case letters, digits, dots and dashes: it becomes part of a path"
        raise ConfigError(f"'{value}' cannot be part of a name", where=f"{path}, key axes.{axis}", hint=hint)
    return value


def _mergeable(old: Any, new: Any) -> bool:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return False
    return "class_path" not in new or new["class_path"] == old.get("class_path")


def _filled(content: Any, labels: Mapping[str, str]) -> Any:
    if isinstance(content, dict):
        return {key: _filled(value, labels) for key, value in content.items()}
    if isinstance(content, list):
        return [_filled(value, labels) for value in content]
    if isinstance(content, str):
        for axis, label in labels.items():
            content = content.replace(f"{{{axis}}}", label)
    return content
