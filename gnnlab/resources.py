"""Where things are: dataset cards and experiments (in a checkout or inside a wheel), and the cache."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

from gnnlab.errors import SourceError

__all__ = ["cache_root", "datasets_dir", "experiments_dir"]

_PACKAGE = Path(__file__).resolve().parent


def cache_root(root: str | Path | None = None) -> Path:
    """Where files and stores are kept: ``root``, else ``GNNLAB_CACHE``, else the user's cache directory."""
    return Path(root or os.environ.get("GNNLAB_CACHE") or pooch.os_cache("gnnlab"))


def datasets_dir() -> Path:
    """Folder of the dataset cards, ``<name>.yaml``."""
    return _folder("datasets")


def experiments_dir() -> Path:
    """Folder of the experiment configurations, ``<suite>/<dataset>/<model>.yaml``."""
    return _folder("experiments")


def _folder(name: str) -> Path:
    installed = _PACKAGE / "_assets" / name
    if installed.is_dir():
        return installed
    # site-packages may hold a foreign package called `datasets`: only a checkout counts as "beside".
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise SourceError(
        f"the folder '{name}' that comes with gnnlab is missing",
        where=str(_PACKAGE),
        hint="reinstall gnnlab, or run from a complete checkout",
    )
