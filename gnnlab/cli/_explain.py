"""jsonargparse's messages, said in two lines: which key, what is wrong, what was probably meant."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterable
from importlib import import_module

from gnnlab.errors import ConfigError, nearest

__all__ = ["explain", "with_hint"]

_UNKNOWN = re.compile(
    r"Option '(?P<option>[^']+)' is not accepted"
    r"|Group '(?P<group>[^']+)' does not accept option '(?P<member>[^']+)'"
    r"|unrecognized arguments: --(?P<argument>[^\s=]+)"
)
_STRAY = re.compile(r"unrecognized arguments: (?P<words>.+)")
_MISSING = re.compile(r"the following arguments are required: (?P<names>[\w., ]+?)(?:\.? Got value|$)", re.MULTILINE)
_LINK = re.compile(r"Call to compute_fn of link .* failed: (?P<reason>.*)", re.DOTALL)
_LOST = re.compile(
    r"(?:No module named|has no attribute) '[^']*'(?:\. Got value: (?P<value>[\w.]+))?"
    r"|Expected a dot import path string: (?P<bare>\S+)"
)
_NONE = re.compile(r"(?:Not a valid subclass|Expected a) .*Got value: None")
_CHOICE = re.compile(r"Expected a typing\.Literal\[(?P<choices>.*?)\](?:\. Got value: (?P<value>\S+))?")
_TYPE = re.compile(r"Expected a <class '(?P<type>[\w.]+)'>(?:\. Got value: (?P<value>.*))?")
_GIVEN = re.compile(r"Given value: (.*)")

_KEY = re.compile(r'Parser key "([^"]+)"')
_CLASS = re.compile(r"given class_path '([^']+)'")
_CALLABLE = re.compile(r"Got value: (?:Namespace\(class_path=')?([A-Za-z_]\w*(?:\.\w+)+)")
_OPTIONAL = re.compile(r"Given value: (?:Namespace\(class_path=')?([A-Za-z_]\w*(?:\.\w+)+)")
_HINT = re.compile(r"\[hint\] (.*?)(?:\. Got value|$)", re.MULTILINE)


def with_hint(message: str, known: Iterable[str]) -> str:
    """The message of one parser, with the nearest of its keys if it is about an unknown one.

    Parsers nest: the innermost knows the keys of the class concerned, the outermost knows the whole path.
    """
    found = _UNKNOWN.search(message)
    if found is None or _HINT.search(message):
        return message
    return f"{message}\n[hint] {nearest(_key(found), (key for key in known if not key.endswith('.help')))}"


def explain(message: str) -> ConfigError:
    """The final message of a parser as an error of ours."""
    for pattern, say in _SAYINGS:
        found = pattern.search(message)
        if found is not None:
            return say(message, found)
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    text = "; ".join(line for line in lines if line and not line.startswith(("Parser key", "Expected a path")))
    return ConfigError(text if len(text) < 400 else f"{text[:397]}...", where=_where(message, len(message)))


def _unknown(message: str, found: re.Match[str]) -> ConfigError:
    hint = _HINT.search(message)
    of = _inside(message, found)
    return ConfigError(f"unknown key '{_key(found)}'{of}", where=_where(message, found.start()), hint=hint and hint[1])


def _stray(message: str, found: re.Match[str]) -> ConfigError:
    return ConfigError(f"unexpected '{found['words']}'", hint="settings are written --key=value, files -c NAME")


def _missing(message: str, found: re.Match[str]) -> ConfigError:
    of = _inside(message, found)
    return ConfigError(f"missing value: {found['names']}{of}", where=_where(message, found.start()))


def _linked(message: str, found: re.Match[str]) -> ConfigError:
    return ConfigError(found["reason"])


def _lost(message: str, found: re.Match[str]) -> ConfigError:
    classes = _CLASS.findall(message[: found.start()])
    path = found["value"] or found["bare"] or (classes[-1] if classes else found[0])
    return ConfigError(f"unknown class_path '{path}'", where=_where(message, found.start()), hint=_nearest_class(path))


def _empty(message: str, found: re.Match[str]) -> ConfigError:
    return ConfigError("missing value", where=_where(message, found.start()))


def _choice(message: str, found: re.Match[str]) -> ConfigError:
    choices = [choice.strip().strip("'") for choice in found["choices"].split(",")]
    value = found["value"] or _given(message)
    close = nearest(value, choices)
    return ConfigError(
        f"'{value}' is not one of {', '.join(choices)}",
        where=_where(message, found.start()),
        hint=close if close.startswith("did you mean") else None,
    )


def _type(message: str, found: re.Match[str]) -> ConfigError:
    names = [found["type"]] if found["value"] else [match["type"] for match in _TYPE.finditer(message)]
    wanted = " or ".join(dict.fromkeys(name.replace("NoneType", "null") for name in names))
    value = found["value"] or _given(message)
    return ConfigError(f"expected {wanted}, got '{value}'", where=_where(message, found.start()))


_SAYINGS: tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str]], ConfigError]], ...] = (
    (_LINK, _linked),
    (_UNKNOWN, _unknown),
    (_STRAY, _stray),
    (_MISSING, _missing),
    (_LOST, _lost),
    (_NONE, _empty),
    (_CHOICE, _choice),
    (_TYPE, _type),
)


def _key(found: re.Match[str]) -> str:
    """The unknown key as it was written, without dashes and value."""
    return f"{found['group']}.{found['member']}" if found["group"] else found["option"] or found["argument"]


def _where(message: str, end: int) -> str | None:
    """The path of keys that leads to the complaint."""
    return ".".join(dict.fromkeys(_KEY.findall(message[:end]))) or None


def _inside(message: str, found: re.Match[str]) -> str:
    """`` of <class>``, the innermost class the complaint is about."""
    before = message[: found.start()]
    named = list(_CLASS.finditer(before))
    called = _CALLABLE.search(message, found.start())
    # A key after the last class that was named leads into a value whose class is only shown, at the end.
    if called is None and (not named or _KEY.search(before, named[-1].end())):
        called = _OPTIONAL.search(message, found.start())
    if called is None and not named:
        return ""
    return f" of {(called or named[-1])[1]}"


def _given(message: str) -> str:
    given = _GIVEN.search(message)
    return given[1] if given else ""


def _nearest_class(path: str) -> str:
    """What the longest importable part of a dotted path has to offer instead of the rest."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            module = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        names = {name for name in dir(module) if not name.startswith("_")}
        names |= {info.name for info in pkgutil.iter_modules(getattr(module, "__path__", []))}
        close = nearest(parts[length], names)
        return close if close.startswith("did you mean") else f"{module.__name__} has no '{parts[length]}'"
    return f"there is no module '{parts[0]}'" if len(parts) > 1 else "name a class by its dotted path"
