"""The house itself: who may import whom, what importing costs, and that every docstring example runs."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import subprocess
import sys

import pytest
import torch
from torch_geometric.data import Batch, Data

import gnnlab


def _importable(name: str) -> bool:
    """Not a program, and no kernel of a package that is not installed."""
    backend = next((package for package in ("triton", "numba") if f".ops._{package}." in name), None)
    return not name.endswith("__main__") and (backend is None or importlib.util.find_spec(backend) is not None)


MODULES = sorted(
    module.name for module in pkgutil.walk_packages(gnnlab.__path__, "gnnlab.") if _importable(module.name)
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    globs = {**vars(module), "torch": torch, "Data": Data, "Batch": Batch}
    results = doctest.testmod(module, globs=globs, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


def test_public_names_exist() -> None:
    for name in MODULES:
        module = importlib.import_module(name)
        missing = [public for public in getattr(module, "__all__", []) if not hasattr(module, public)]
        assert not missing, f"{name}.__all__ names {missing}"


def test_importing_gnnlab_is_free() -> None:
    code = "import sys, gnnlab; print(sorted({'torch', 'lightning', 'ogb', 'socket', 'requests'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
