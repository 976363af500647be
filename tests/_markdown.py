"""What pages promise: their files, their Python and their commands, used as a reader would, in order."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from gnnlab.cli.main import main

__all__ = ["blocks", "named_commands", "named_experiments", "run_page", "run_python"]

_TITLE = re.compile(r'title="([^"]+)"')
_PROGRAM = ("python", "-m", "gnnlab")


def blocks(text: str) -> list[tuple[str, str]]:
    """(language and options, code) of every fenced block."""
    return re.findall(r"^```([^\n`]+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def named_experiments(text: str) -> list[str]:
    """Experiments and folders of them that ``gnnlab reproduce`` or ``gnnlab fit -c`` is shown with."""
    found = re.findall(r"gnnlab (?:reproduce|fit -c) ([\w/-]+)(?![\w./-])", text)
    return sorted(set(found))


def named_commands(text: str) -> list[str]:
    """Commands of gnnlab that code blocks show."""
    code = "\n".join(code for options, code in blocks(text) if "bash" in options)
    return sorted(set(re.findall(r"^(?:python -m )?gnnlab ([a-z]+)", code, re.MULTILINE)))


def run_python(text: str, name: str) -> int:
    """Run every Python block on its own; how many there were."""
    found = [code for options, code in blocks(text) if options == "python"]
    for code in found:
        exec(compile(code, name, "exec"), {"__name__": "page"})
    return len(found)


def run_page(text: str, name: str, folder: Path, patch: pytest.MonkeyPatch) -> int:
    """Run what a page shows, in ``folder``: blocks with a title are files, Python shares its names, and blocks
    ``{.bash .run}`` are commands of gnnlab; how many blocks there were.
    """
    patch.chdir(folder)
    patch.syspath_prepend(str(folder))
    known, namespace, count = set(sys.modules), {"__name__": "page"}, 0
    try:
        for options, code in blocks(text):
            title = _TITLE.search(options)
            if title:
                (folder / title[1]).write_text(code, encoding="utf-8")
            elif options == "python":
                exec(compile(code, name, "exec"), namespace)
            elif options == "{.bash .run}":
                for line in code.replace("\\\n", " ").strip().split("\n"):
                    words = shlex.split(line)
                    assert tuple(words[:3]) == _PROGRAM, line
                    assert main(words[3:]) == 0, line
            else:
                continue
            count += 1
    finally:
        # Modules of one page must not be found by the next.
        for module in set(sys.modules) - known:
            if Path(getattr(sys.modules[module], "__file__", None) or "/").parent == folder:
                del sys.modules[module]
    return count
