"""Fixtures shared by every test: the mirror of real benchmark files, a private cache, one seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# A busy machine is no failure, and a red run must be repeatable.
settings.register_profile("gnnlab", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("gnnlab")

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def _mirror() -> Path | None:
    named = os.environ.get("GNNLAB_MIRROR")
    candidate = Path(named) if named else _BESIDE
    return candidate.resolve() if candidate.is_dir() else None


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The directory of real benchmark files; skips where there is none."""
    found = _mirror()
    if found is None:
        pytest.skip(f"no mirror of benchmark files: set GNNLAB_MIRROR (looked for {_BESIDE})")
    return found


@pytest.fixture(autouse=True, scope="session")
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests build and read stores in a cache of their own, shared by the workers of one run."""
    if "GNNLAB_CACHE" not in os.environ:
        root = tmp_path_factory.getbasetemp()
        os.environ["GNNLAB_CACHE"] = str((root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "cache")
    found = _mirror()
    if found is not None:
        os.environ["GNNLAB_MIRROR"] = str(found)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
