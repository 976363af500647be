"""Datasets as cards, stores and loaders: ``load_dataset(name)`` gives a :class:`GraphStore`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "Card",
    "GraphDataModule",
    "GraphLoader",
    "GraphStore",
    "TaskSpec",
    "card_names",
    "load_dataset",
]

# Looked up on first use: listing datasets must not wait for torch, nor loading one for Lightning.
_HOME = {
    "Card": "gnnlab.data.card",
    "GraphDataModule": "gnnlab.data.datamodule",
    "GraphLoader": "gnnlab.data.loader",
    "GraphStore": "gnnlab.data.store",
    "TaskSpec": "gnnlab.data.task",
    "card_names": "gnnlab.data.card",
    "load_dataset": "gnnlab.data.load",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
