"""BREC: 400 pairs of graphs no 1-WL-bounded model can tell apart (Wang and Zhang, 2023)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import everything
from gnnlab.data.readers.graph6 import graph6_store
from gnnlab.errors import ConfigError, DataError, nearest

__all__ = ["CATEGORIES", "read_brec"]

_FILES = {
    "basic": ("basic", 60),
    "regular": ("regular", 50),
    "str": ("strongly_regular", 50),
    "extension": ("extension", 100),
    "cfi": ("cfi", 100),
    "4vtx": ("four_vertex", 20),
    "dr": ("distance_regular", 20),
}

CATEGORIES = tuple(category for category, _ in _FILES.values())
"""Categories in upstream's order; the number of one is its position here."""


def read_brec(files: dict[str, Path], card: Card, *, category: str = "all") -> RawDataset:
    """Read the raw graphs in upstream's order: pair p is graphs 2p and 2p + 1, without relabelled copies.

    Graph columns: ``y`` (which of the two), ``pair`` (0 to 399), ``category`` (place in :data:`CATEGORIES`).
    Features are constant, which the benchmark demands.

    Args:
        files: Arrays of graph6 strings: ``basic``, ``regular``, ``str``, ``extension``, ``cfi``, ``4vtx``, ``dr``.
        card: The dataset's card.
        category: One of :data:`CATEGORIES`, or ``all``.

    Raises:
        ConfigError: unknown category.
        DataError: a file without the published number of pairs.
    """
    if category not in (*CATEGORIES, "all"):
        raise ConfigError(f"unknown category '{category}'", where=card.name, hint=nearest(category, CATEGORIES))
    strings: list[bytes] = []
    categories: list[int] = []
    for number, (role, (name, pairs)) in enumerate(_FILES.items()):
        part = [str(s).encode() if isinstance(s, str) else bytes(s) for s in _strings(files[role], pairs)]
        if category in ("all", name):
            strings += part
            categories += [number] * len(part)
    numbers = torch.tensor(categories)
    first_pair = torch.tensor([0, *[pairs for _, pairs in _FILES.values()]]).cumsum(0)
    start = int(first_pair[numbers[0]])
    index = torch.arange(len(strings))
    columns = {"y": index % 2, "pair": start + index // 2, "category": numbers}
    store = graph6_store(card, strings, columns, card.name)
    return RawDataset(store, {"all": everything(len(strings))})


def _strings(path: Path, pairs: int) -> np.ndarray:
    content = np.load(path, allow_pickle=False).reshape(-1)
    if content.size != 2 * pairs:
        raise DataError(f"holds {content.size} graphs, {pairs} pairs were published", where=str(path))
    return content
