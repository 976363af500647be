"""``gnnlab doctor``: what is installed, what is used and why, where things are kept."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib import metadata
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

import gnnlab
from gnnlab.cli._console import make_console
from gnnlab.errors import GnnlabError
from gnnlab.resources import experiments_dir

__all__ = ["main"]

_REQUIRED = ("torch", "torch-geometric", "lightning", "torchmetrics", "jsonargparse", "ogb", "numpy", "scipy")
# Distribution -> (extra that installs it, what it gives).
_OPTIONAL = {
    "numba": ("cpu", "fused message kernels on the CPU"),
    "triton": ("", "fused message kernels on CUDA; comes with CUDA builds of torch"),
    "torch-scatter": ("scatter", "recognised as a kernel backend"),
    "torch-sparse": ("scatter", "recognised as a kernel backend"),
    "rdkit": ("mol", "molecules from SMILES (peptides, molhiv, zinc)"),
    "e3nn": ("equivariant", "equivariant layers"),
    "optuna": ("sweep", "hyper-parameter search"),
    "tensorboard": ("log", "logging beside the CSV files"),
}


def main(argv: list[str]) -> int:
    """Print the report; a missing part is information, not a failure."""
    if argv:
        print("usage: gnnlab doctor\n\n" + (__doc__ or ""))
        return 0
    console = make_console()
    for title, rows in (("packages", _packages()), ("extras", _extras()), ("devices", _devices())):
        console.print(_table(title, rows))
    console.print(_table("kernels", _kernels()))
    console.print(_table("places", _places()))
    return 0


def _table(title: str, rows: list[tuple[str, str, str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE, show_header=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _packages() -> list[tuple[str, str, str]]:
    rows = [("python", platform.python_version(), platform.platform()), ("gnnlab", gnnlab.__version__, "")]
    return rows + [(name, _version(name) or "missing", "") for name in _REQUIRED]


def _extras() -> list[tuple[str, str, str]]:
    rows = []
    for name, (extra, gives) in _OPTIONAL.items():
        found = _version(name)
        how = f" (pip install gnnlab[{extra}])" if extra and not found else ""
        rows.append((name, found or "not installed", gives + how))
    return rows


def _devices() -> list[tuple[str, str, str]]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = [("cpu", f"{cores} cores", f"{torch.get_num_threads()} threads")]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        rows.append((f"cuda:{index}", facts.name, f"{facts.total_memory / 2**30:.0f} GiB"))
    if not torch.cuda.is_available():
        rows.append(
            ("cuda", "none", "torch was built without CUDA" if torch.version.cuda is None else "no device found")
        )
    return rows


def _kernels() -> list[tuple[str, str, str]]:
    from gnnlab.ops import backend_report

    rows = []
    for status in backend_report():
        use = f"active on {', '.join(status.active)}" if status.active else "idle"
        rows.append((status.name, use, status.reason))
    return rows


def _places() -> list[tuple[str, str, str]]:
    from gnnlab.cli._availability import is_here, origin
    from gnnlab.data.card import card, card_names
    from gnnlab.resources import cache_root

    cache = cache_root()
    source = "GNNLAB_CACHE" if os.environ.get("GNNLAB_CACHE") else "default; GNNLAB_CACHE changes it"
    rows = [("cache", str(cache), f"{_writable(cache)} ({source})")]
    mirror = os.environ.get("GNNLAB_MIRROR")
    reachable = mirror and (mirror.startswith("http") or Path(mirror).expanduser().is_dir())
    rows.append(("mirror", mirror or "none (GNNLAB_MIRROR)", "" if not mirror or reachable else "not a directory"))
    try:
        cards = [card(name) for name in card_names()]
        rows.append(("experiments", str(experiments_dir()), ""))
    except GnnlabError as error:
        return [*rows, ("cards", "broken", str(error))]
    here = [each for each in cards if is_here(each, cache)]
    generated = sum(origin(each, cache) == "generated" for each in here)
    text = f"{len(here)} of {len(cards)} without the network"
    return [*rows, ("datasets", text, f"{generated} generated, {len(here) - generated} in cache or mirror")]


def _writable(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"gnnlab")
    except OSError as error:
        return f"NOT writable: {error.strerror or error}"
    return "writable"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
