"""The README does what it says: its Python runs, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gnnlab.benchmark.experiment import find_experiments

README = Path(__file__).resolve().parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_python_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, str(README), "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("name", sorted(set(re.findall(r"gnnlab (?:reproduce|fit -c) ([\w/-]+)", TEXT))))
def test_experiments_exist(name: str) -> None:
    assert find_experiments(name)


def test_pictures_exist() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT):
        assert (README.parent / path).is_file()
