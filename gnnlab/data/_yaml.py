"""YAML into checked keyword arguments: no unknown, missing or mistyped key, and floats as printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from gnnlab.errors import ConfigError, nearest

__all__ = ["CardLoader", "checked_keys", "plain", "printed_tolerances"]


def checked_keys(cls: type, content: Any, where: str) -> dict[str, Any]:
    """``content`` as keyword arguments of the dataclass ``cls``: no unknown, no missing, no mistyped key."""
    if not isinstance(content, Mapping):
        raise ConfigError(f"expected a mapping of keys, got {content!r}", where=where)
    fields, hints = {f.name: f for f in dataclasses.fields(cls)}, get_type_hints(cls)
    for key, value in content.items():
        if key not in fields:
            raise ConfigError(f"unknown key '{key}'", where=where, hint=nearest(str(key), fields))
        if get_origin(hints[key]) is Literal and value not in get_args(hints[key]):
            hint = nearest(str(value), map(str, get_args(hints[key])))
            raise ConfigError(f"'{value}' is not a value of '{key}'", where=where, hint=hint)
        if hints[key] in (int, str, bool) and type(value) is not hints[key]:
            raise ConfigError(f"'{key}' must be {hints[key].__name__}, got {value!r}", where=where)
    for key, spec in fields.items():
        if key not in content and _required(spec):
            raise ConfigError(f"the key '{key}' is missing", where=where)
    return dict(content)


def _required(spec: dataclasses.Field) -> bool:
    return spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING


def printed_tolerances(values: dict[str, Any]) -> dict[str, float]:
    """Half a unit of the last digit of every published float, unless the card names a tolerance."""
    printed = {k: v for k, v in (values.get("published") or {}).items() if isinstance(v, _Printed)}
    return {**{k: 0.5 * 10.0**-v.decimals for k, v in printed.items()}, **(values.get("tolerance") or {})}


class _Printed(float):
    """A float that remembers how many decimals were printed (``307.30`` has two)."""

    decimals: int = 0


class CardLoader(yaml.SafeLoader):
    """YAML without any Python object, with floats as printed."""


def _construct_printed(loader: CardLoader, node: yaml.ScalarNode) -> _Printed:
    number = _Printed(loader.construct_yaml_float(node))
    number.decimals = len(node.value.partition(".")[2].partition("e")[0])
    return number


CardLoader.add_constructor("tag:yaml.org,2002:float", _construct_printed)


def plain(value: Any) -> Any:
    """The same value with ordinary floats."""
    if isinstance(value, _Printed):
        return float(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
