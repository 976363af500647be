"""The graphs networks are compared on: pairs and families, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnlab.analysis.expressiveness_pairs import NAMED_PAIRS, named_pairs
from gnnlab.data import GraphStore, load_dataset
from gnnlab.errors import ConfigError, nearest

__all__ = ["COMPARISON_SETS", "ComparisonSet", "comparison_set"]


@dataclass(frozen=True)
class ComparisonSet:
    """Graphs to be told apart.

    Args:
        name: Of the set.
        store: The graphs.
        group: [G] long, graphs of one group are compared.
        categories: Names of kinds of groups, and the kind of every group, where there are some.
        paired: Whether every group is a pair, so that pairs are counted; classes of graphs otherwise.
    """

    name: str
    store: GraphStore
    group: Tensor
    categories: tuple[tuple[str, ...], Tensor] | None = None
    paired: bool = True

    @property
    def sizes(self) -> dict[str, int]:
        """Kind -> number of groups (of a family: graphs)."""
        if not self.paired:
            return {"": len(self.store)}
        return self.counts(torch.ones(len(self.store) // 2, dtype=torch.bool))

    def counts(self, told: Tensor) -> dict[str, int]:
        """Kind -> number of the pairs [P] bool."""
        if self.categories is None:
            return {"": int(told.sum())}
        names, kinds = self.categories
        numbers = torch.bincount(kinds[told], minlength=len(names)).tolist()
        return dict(zip(names, numbers, strict=True))

    def part(self, groups: int) -> ComparisonSet:
        """Some groups (of a family: graphs), spread evenly over all."""
        total = int(self.group[-1]) + 1 if self.paired else len(self.store)
        chosen = torch.linspace(0, total - 1, min(groups, total)).round().long().unique()
        if not self.paired:
            return ComparisonSet(self.name, self.store.subset(chosen), torch.zeros_like(chosen), None, False)
        graphs = (2 * chosen[:, None] + torch.arange(2)).flatten()
        kinds = None if self.categories is None else (self.categories[0], self.categories[1][chosen])
        return ComparisonSet(
            self.name, self.store.subset(graphs), torch.arange(chosen.numel()).repeat_interleave(2), kinds
        )


def comparison_set(name: str) -> ComparisonSet:
    """The set of a name.

    Raises:
        ConfigError: unknown name.
    """
    if name not in COMPARISON_SETS:
        raise ConfigError(f"unknown set '{name}'", where="comparison_set", hint=nearest(name, COMPARISON_SETS))
    return COMPARISON_SETS[name](name)


def _named(name: str) -> ComparisonSet:
    store = named_pairs()
    return ComparisonSet(
        name, store, torch.arange(len(store)) // 2, (tuple(NAMED_PAIRS), torch.arange(len(NAMED_PAIRS)))
    )


def _brec(name: str) -> ComparisonSet:
    store = load_dataset(name)
    return ComparisonSet(name, store, torch.arange(len(store)) // 2, (_BREC, store.column("category")[::2]))


def _pairs(name: str) -> ComparisonSet:
    store = load_dataset(name)
    return ComparisonSet(name, store, torch.arange(len(store)) // 2)


def _family(name: str) -> ComparisonSet:
    store = load_dataset(name)
    return ComparisonSet(name, store, torch.zeros(len(store), dtype=torch.long), paired=False)


def _csl(name: str) -> ComparisonSet:
    """One graph of every class: the others are renumbered copies."""
    store = load_dataset(name)
    y = store.column("y")
    first = torch.stack([(y == kind).nonzero()[0, 0] for kind in y.unique()])
    return ComparisonSet(name, store.subset(first), torch.zeros_like(first), paired=False)


_BREC = ("Basic", "Regular", "StrReg", "Extension", "CFI", "4-vertex", "DistReg")

_SR = ("sr16622", "sr251256", "sr261034", "sr281264", "sr291467", "sr351899", "sr361446", "sr401224", "sr351668")

COMPARISON_SETS: dict[str, Callable[[str], ComparisonSet]] = {
    "named": _named,
    "brec": _brec,
    "csl": _csl,
    **dict.fromkeys(("exp", "cexp", "exp-openreview", "cexp-openreview"), _pairs),
    **dict.fromkeys((*_SR, "graph8c"), _family),
}
"""Name -> function that loads the set."""
