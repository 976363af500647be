"""Small configurations on generated data, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gnnlab.cli.main import main


@pytest.fixture
def config() -> dict:
    """A complete configuration that trains in a moment."""
    return {
        "experiment": {"title": "GCN", "seeds": 2, "published": {"metric": "accuracy", "mean": 20.0, "std": 1.0}},
        "data": {"dataset": "ring-transfer", "batch_size": 256},
        "model": {
            "model": {
                "class_path": "gnnlab.nn.GNN",
                "init_args": {"hidden_channels": 4, "num_layers": 1, "conv": "gnnlab.nn.GCNConv"},
            },
        },
        "trainer": {"max_epochs": 3, "accelerator": "cpu"},
    }


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict], Path]:
    """Writes a configuration into an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def write(content: dict, name: str = "tiny.yaml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def gnnlab(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, output and error output of a command."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
