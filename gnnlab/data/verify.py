"""Computed against published: the statistics of a dataset, checked when its store is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gnnlab.data._facts import FACTS
from gnnlab.data.card import Card
from gnnlab.data.store import GraphStore
from gnnlab.errors import DataError

__all__ = ["Finding", "check_store", "compare_store"]


@dataclass(frozen=True)
class Finding:
    """One published statistic beside the computed one.

    Args:
        fact: Name of the statistic.
        published: What the literature prints.
        computed: What the store gives.
        verdict: ``ok``, ``stated`` (it differs as the card says) or ``wrong``.
    """

    fact: str
    published: Any
    computed: Any
    verdict: str


def compare_store(store: GraphStore, card: Card) -> list[Finding]:
    """Every published statistic of the card, computed on the store."""
    return [_finding(fact, store, card) for fact in card.published]


def check_store(store: GraphStore, card: Card) -> list[Finding]:
    """As :func:`compare_store`, but a wrong statistic is an error.

    Raises:
        DataError: a statistic is neither as published nor as the card states.
    """
    findings = compare_store(store, card)
    wrong = [f"{f.fact} is {f.computed}, published {f.published}" for f in findings if f.verdict == "wrong"]
    if wrong:
        raise DataError(
            f"the graphs are not the published ones: {'; '.join(wrong)}",
            where=f"dataset {card.name}",
            hint="if the files are right, a difference is stated on the card under 'differs', with 'exact' saying why",
        )
    return findings


def _finding(fact: str, store: GraphStore, card: Card) -> Finding:
    published, computed = card.published[fact], FACTS[fact](store)
    tolerance = card.tolerance.get(fact, 0.0)
    if _agrees(published, computed, tolerance):
        return Finding(fact, published, computed, "ok")
    if fact in card.differs and _agrees(card.differs[fact], computed, tolerance):
        return Finding(fact, published, computed, "stated")
    return Finding(fact, published, computed, "wrong")


def _agrees(expected: Any, computed: Any, tolerance: float) -> bool:
    """Numbers within the tolerance; for split sizes one triple (all folds alike) or a list of triples."""
    if isinstance(expected, dict):
        return all(name in computed and _folds_agree(sizes, computed[name]) for name, sizes in expected.items())
    # The printed digits are rounded decimals; the smallest slack keeps an exact half from being a matter of luck.
    return abs(expected - computed) <= tolerance + 1e-9 * max(1.0, abs(expected))


def _folds_agree(expected: list[Any], computed: list[list[int]]) -> bool:
    per_fold = expected if isinstance(expected[0], list) else [expected] * len(computed)
    return per_fold == computed
