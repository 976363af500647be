"""The console tables are printed on."""

from __future__ import annotations

import sys

from rich.console import Console

__all__ = ["make_console"]

_WIDTH = 140


def make_console() -> Console:
    """As wide as the terminal; wide enough for any table where the output goes to a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH)
