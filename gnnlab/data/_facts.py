"""The statistics a card may publish, each with the function that computes it from a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnnlab.data.store import GraphStore

__all__ = ["FACTS"]


def _classes(store: GraphStore) -> int:
    """Distinct labels; unlabelled (negative) entries are no class."""
    y = store.column("y")
    labels = y.long().unique()
    return int((labels >= 0).sum())


def _splits(store: GraphStore) -> dict[str, list[list[int]]]:
    """Scheme -> [train, val, test] sizes of every fold."""
    parts = ("train", "val", "test")
    return {name: [[len(fold[p]) for p in parts] for fold in folds] for name, folds in store.folds.items()}


def _width(store: GraphStore, column: str) -> int:
    x = store.column(column)
    return 1 if x.dim() == 1 else int(x.size(1))


FACTS: dict[str, Callable[[GraphStore], Any]] = {
    "graphs": len,
    "nodes": lambda store: int(store.num_nodes),
    "edges": lambda store: int(store.num_edges),
    "undirected_edges": lambda store: int(store.num_edges) / 2,
    "mean_nodes": lambda store: store.num_nodes / len(store),
    "mean_edges": lambda store: store.num_edges / len(store),
    "mean_undirected_edges": lambda store: store.num_edges / len(store) / 2,
    "node_features": lambda store: _width(store, "x"),
    "edge_features": lambda store: _width(store, "edge_attr"),
    "classes": _classes,
    "splits": _splits,
}
"""Statistic -> how it is computed; edges are counted directed unless the name says otherwise."""
