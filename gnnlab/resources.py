"""Where the dataset cards and the experiment configurations are: in a checkout or inside a wheel."""

from __future__ import annotations

from pathlib import Path

from gnnlab.errors import SourceError

__all__ = ["datasets_dir", "experiments_dir"]

_PACKAGE = Path(__file__).resolve().parent


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
