"""What a run ran on: hardware, versions, commit, data."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gnnlab

if TYPE_CHECKING:
    from gnnlab.data.card import Card

__all__ = ["commit", "data_digest", "hardware", "now", "versions"]

_PACKAGES = (
    "torch",
    "torch-geometric",
    "lightning",
    "numpy",
    "scipy",
    "rdkit",
    "numba",
    "triton",
    "torch-scatter",
    "torch-sparse",
)
_CHECKOUT = Path(__file__).resolve().parents[2]


def now() -> str:
    """UTC time, ISO format, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Python, gnnlab and the packages results may depend on; absent ones are left out."""
    installed = {package: _version(package) for package in _PACKAGES}
    known = {"python": platform.python_version(), "gnnlab": gnnlab.__version__, **installed}
    return {name: version for name, version in known.items() if version}


def data_digest(card: Card) -> str:
    """SHA-256 over what a dataset is made of: its files' digests, its reader and options, its splits."""
    files = {role: spec.sha256 or spec.url for role, spec in card.files.items()}
    content = [card.name, card.reader, card.options, files, card.split.default, card.split.schemes]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def hardware() -> dict[str, Any]:
    """Processor, usable cores, threads, memory and accelerators."""
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"processor": _processor(), "cores": usable, "threads": torch.get_num_threads(), "gpus": gpus}


def commit() -> str | None:
    """Commit of the checkout gnnlab runs from, with ``+`` if tracked files were changed."""
    if not (_CHECKOUT / ".git").exists():
        return None
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_CHECKOUT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
