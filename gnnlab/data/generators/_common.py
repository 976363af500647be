"""What the generators share: the pinned version, and a split that keeps class shares."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.errors import ConfigError

__all__ = ["check_range", "check_version", "recipe", "stratified_split"]


def check_version(card: Card, asked: int, current: int) -> None:
    """Refuse a card written for another version of the generator."""
    if asked != current:
        raise ConfigError(
            f"the card wants version {asked} of its generator, this gnnlab has version {current}",
            where=f"card {card.name}, key options.version",
            hint=f"use the gnnlab the card was written for, or set version: {current} (other data)",
        )


def check_range(card: Card, key: str, value: int, low: int, high: int | None = None) -> None:
    """Refuse an option outside ``[low, high]``."""
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ConfigError(f"'{key}' must be {bounds}, got {value}", where=f"card {card.name}, key options.{key}")


def recipe(name: str, version: int, **options: Any) -> dict[str, Any]:
    """What to record with the store so that it can be generated again."""
    return {"generator": {"name": name, "version": version, **options}}


def stratified_split(labels: Tensor, shares: dict[str, float], generator: torch.Generator) -> dict[str, Tensor]:
    """Split so that every part holds the same share of every class (up to rounding).

    Args:
        labels: [G] long.
        shares: Part -> fraction; the fractions sum to one.
        generator: Source of the shuffle.
    """
    shuffled = torch.randperm(labels.numel(), generator=generator)
    order = shuffled[torch.argsort(labels[shuffled], stable=True)]
    counts = torch.bincount(labels)
    rank = torch.arange(labels.numel()) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    # The middle of each graph's place within its class, in (0, 1).
    place = (rank + 0.5) / counts.repeat_interleave(counts)
    bounds = torch.tensor(list(shares.values())).cumsum(0)[:-1]
    part = torch.bucketize(place, bounds.to(place.dtype))
    return {name: order[part == i].sort().values for i, name in enumerate(shares)}
