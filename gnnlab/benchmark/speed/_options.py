"""Command-line options whose errors name the option and the nearest valid value."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import NoReturn

from gnnlab.errors import ConfigError, nearest

__all__ = ["Options", "one_of", "positive"]


class Options(argparse.ArgumentParser):
    """Parser without abbreviations that raises :class:`ConfigError` in place of leaving the program."""

    def __init__(self, **settings: str | None) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def parse_args(self, argv: list[str]) -> argparse.Namespace:
        options, rest = self.parse_known_args(argv)
        if rest:
            known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
            raise ConfigError(f"unknown option '{rest[0]}'", where=self.prog, hint=nearest(rest[0], known))
        return options

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, where=self.prog)


def one_of(kind: str, names: Iterable[str]) -> Callable[[str], str]:
    """An option's value that is one of the names."""
    known = tuple(names)

    def checked(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"unknown {kind} '{text}', {nearest(text, known)}")
        return text

    return checked


def positive(text: str) -> int:
    """An option's value that is a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)
