"""The program itself: commands, exit codes, and what starting it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gnnlab.cli import main as program
from gnnlab.errors import DataError
from gnnlab.training.interrupt import Interrupted


@pytest.mark.parametrize("arguments", [(), ("--help",), ("help",)])
def test_help_names_every_command(gnnlab, arguments) -> None:
    code, out, _ = gnnlab(*arguments)
    assert code == 0
    for command in ("fit", "validate", "test", "predict", "reproduce", "report", "datasets", "doctor", "bench"):
        assert f"\n  {command} " in out


def test_unknown_command(gnnlab) -> None:
    code, _, err = gnnlab("reproduse")
    assert code == 2
    assert "did you mean 'reproduce'?" in err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("is wrong", where="here", hint="do this"), 1, "error: here: is wrong\n  do this\n"),
        (Interrupted("interrupted; 3 epochs", signum=15), 143, "interrupted; 3 epochs\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
    ],
)
def test_errors_of_ours_have_no_traceback(gnnlab, monkeypatch, error, code, text) -> None:
    monkeypatch.setattr(program, "_command", lambda name: _raiser(error))
    assert gnnlab("doctor") == (code, "", text)


def test_other_errors_keep_theirs(gnnlab, monkeypatch) -> None:
    monkeypatch.setattr(program, "_command", lambda name: _raiser(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        gnnlab("doctor")


def test_help_needs_no_torch() -> None:
    code = (
        "import sys, gnnlab.cli.main as m; m.main(['--help']);"
        "sys.exit(bool({'torch', 'lightning', 'rich', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_the_module_runs_the_program() -> None:
    result = subprocess.run([sys.executable, "-m", "gnnlab", "datasts"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert "did you mean 'datasets'?" in result.stderr


def _raiser(error: BaseException):
    def command(arguments: list[str]) -> int:
        raise error

    return command
