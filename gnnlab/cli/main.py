"""The command ``gnnlab``: picks the subcommand, opens only what it needs, turns errors into exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module

import gnnlab
from gnnlab.errors import ConfigError, GnnlabError, nearest

__all__ = ["main"]

# Command -> (where it lives, what it does). Nothing is imported before the command is known.
_COMMANDS = {
    "fit": ("gnnlab.cli.train:fit", "train a model on a dataset"),
    "validate": ("gnnlab.cli.train:validate", "evaluate a checkpoint on the validation split"),
    "test": ("gnnlab.cli.train:test", "evaluate a checkpoint on the test split"),
    "predict": ("gnnlab.cli.train:predict", "write the predictions of a checkpoint"),
    "reproduce": ("gnnlab.cli.reproduce:main", "run an experiment or a suite, compare with the published numbers"),
    "report": ("gnnlab.cli.report:main", "all finished runs as a table, Markdown and HTML with plots"),
    "datasets": ("gnnlab.cli.datasets:main", "list, fetch or verify datasets"),
    "doctor": ("gnnlab.cli.doctor:main", "what is installed, what is used, what is missing"),
    "audit": ("gnnlab.cli.audit:main", "what a dataset asks of a model, before any is trained"),
    "separation": ("gnnlab.cli.separation:main", "which graphs every encoding tells apart, exactly"),
    "asynchrony": ("gnnlab.cli.asynchrony:main", "what trained models predict when their nodes do not wait"),
    "bench": ("gnnlab.cli.bench:main", "measure data loading, kernels and training against the usual way"),
}
# Exit codes above are 128 + the signal that ended the program.
_SIGNALS = 128


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        0 if all went well, 2 for a request that cannot be understood, 130 after Ctrl-C, else 1.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"gnnlab {gnnlab.__version__}")
        return 0
    # Read when torch is imported. Threads that sleep at once between two operations make small models twice as slow,
    # threads that spin for long while they wait make a busy machine many times slower: this many turns do neither.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        return _command(arguments[0])(arguments[1:])
    except GnnlabError as error:
        stopped = error.exit_code > _SIGNALS
        print(f"{error}" if stopped else f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return _SIGNALS + signal.SIGINT
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _command(name: str) -> Callable[[list[str]], int]:
    if name not in _COMMANDS:
        raise ConfigError(f"unknown command '{name}'", where="gnnlab", hint=nearest(name, _COMMANDS))
    module, _, function = _COMMANDS[name][0].partition(":")
    return getattr(import_module(module), function)


def _usage() -> str:
    commands = "\n".join(f"  {name:<10} {text}" for name, (_, text) in _COMMANDS.items())
    return f"""usage: gnnlab COMMAND [options]

{commands}

  gnnlab reproduce quickstart                   two minutes, generated data, a table and a picture
  gnnlab fit -c lrgb/peptides-func/gcn          train one configuration (experiments/ or a file of yours)
  gnnlab COMMAND --help                         options of a command"""
