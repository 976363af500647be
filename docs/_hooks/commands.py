"""Writes the page of the commands: what each of them prints when asked for help."""

from __future__ import annotations

import contextlib
import io
import os

import mkdocs_gen_files

from gnnlab.cli.main import main

_COMMANDS = ("reproduce", "report", "datasets", "doctor", "separation", "asynchrony", "audit", "bench")


def _help(*arguments: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main([*arguments, "--help"])
    return said.getvalue().replace("``", "").rstrip()


os.environ["COLUMNS"] = "100"
known = _help()
with mkdocs_gen_files.open("reference/commands.md", "w") as page:
    print(f"---\nhide: [toc]\n---\n\n# Commands\n\n```text\n{known}\n```\n", file=page)
    print(
        "`fit`, `validate`, `test` and `predict` are the Lightning CLI: every argument of the model, the data, the "
        "trainer and the optimiser is an option, a typing error ends with exit code 2 and the nearest valid name, and "
        "`gnnlab fit --help` lists them all. See [Training](../guide/training.md).\n",
        file=page,
    )
    for command in _COMMANDS:
        if f"\n  {command} " in known:
            print(f"## gnnlab {command}\n\n```text\n{_help(command)}\n```\n", file=page)
