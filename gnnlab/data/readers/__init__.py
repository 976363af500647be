"""Readers: one function per upstream format, from verified files to a store and its splits.

A reader is named on a card and called as ``read(files, card, **card.options)``: ``files`` maps the roles
on the card to verified local paths, and the result is a :class:`RawDataset`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from gnnlab.data.store import GraphStore

__all__ = ["RawDataset"]


@dataclass(frozen=True)
class RawDataset:
    """What a reader returns: the graphs, and every published way to split them.

    Args:
        store: The graphs, in the order of the upstream files.
        splits: Scheme name -> folds; a fold maps ``train``, ``val``, ``test`` to indices (long) of graphs, or
            of nodes where the dataset is one graph with a node task.
    """

    store: GraphStore
    splits: dict[str, list[dict[str, Tensor]]] = field(default_factory=dict)
