"""Configurations on a command line: names of experiments become files, and files can be looked into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gnnlab.benchmark.experiment import experiment_names, find_experiment
from gnnlab.errors import ConfigError

__all__ = ["DEFAULT", "config_files", "read_config", "with_config_files", "with_default"]

DEFAULT = "quickstart/ring-transfer/gcn-deep"
"""What ``gnnlab fit`` runs without any configuration: generated data, nothing to download."""

_FLAGS = ("-c", "--config")


def with_config_files(arguments: list[str]) -> list[str]:
    """The same command line with every ``-c NAME`` replaced by ``--config=FILE``."""
    result: list[str] = []
    position = 0
    while position < len(arguments):
        token = arguments[position]
        if token in _FLAGS and position + 1 < len(arguments):
            position += 1
            result.append(f"--config={_file(arguments[position])}")
        elif token.startswith(("--config=", "-c=")):
            result.append(f"--config={_file(token.partition('=')[2])}")
        else:
            result.append(token)
        position += 1
    return result


def with_default(arguments: list[str]) -> list[str]:
    """The embedded default in front, if the command line says neither which data nor which network."""
    own = ("--config", "-c", "--data", "--model.model", "--model", "--help", "-h")
    if any(
        token.partition("=")[0] in own or token.startswith(("--data.dataset", "--model.model")) for token in arguments
    ):
        return arguments
    default = DEFAULT if DEFAULT in experiment_names() else next(iter(experiment_names("quickstart")), DEFAULT)
    return ["-c", default, *arguments]


def config_files(arguments: list[str]) -> Iterator[Path]:
    """The configuration files on a command line that went through :func:`with_config_files`."""
    for token in arguments:
        if token.startswith("--config="):
            yield Path(token.partition("=")[2])


def read_config(path: Path) -> dict[str, Any]:
    """Content of a configuration file.

    Raises:
        ConfigError: the file is not a YAML mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration cannot be read: {error}", where=str(path)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise ConfigError(f"the configuration is not valid YAML: {problem}", where=f"{path}{line}") from error
    if not isinstance(content, dict):
        raise ConfigError("a configuration is a mapping of keys", where=str(path))
    return content


def _file(name: str) -> Path:
    path = find_experiment(name)
    read_config(path)
    return path
