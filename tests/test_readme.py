"""The README does what it says: its Python runs, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gnnlab.benchmark.experiment import find_experiments
from tests._markdown import named_experiments, run_python

README = Path(__file__).resolve().parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_python_runs() -> None:
    assert run_python(TEXT, str(README))


@pytest.mark.parametrize("name", named_experiments(TEXT))
def test_experiments_exist(name: str) -> None:
    assert find_experiments(name)


def test_pictures_exist() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT):
        assert (README.parent / path).is_file()
