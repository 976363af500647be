"""The best of every group, places in it, and a seed for every step."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.ops import ragged_arange

__all__ = ["best", "places", "seed_of"]


def best(score: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Index of the largest score of every group that has any, the first of equals; in order of the groups.

    Scores that agree to nine decimals are equal: the same fraction is rounded differently on different ways to it.

    Args:
        score: [M] float64.
        group: [M] long.
        num_groups: Number of groups.
    """
    score = score.mul(1e9).round()
    top = score.new_full((num_groups,), -torch.inf).scatter_reduce_(0, group, score, "amax")
    index = torch.arange(score.numel(), device=score.device)
    first = index.new_full((num_groups,), score.numel())
    first.scatter_reduce_(0, group, torch.where(score == top[group], index, score.numel()), "amin")
    return first[first < score.numel()]


def places(score: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """[M] long, place (from 0) of every score in its group by increasing score, equals (as above) in their order."""
    order = score.mul(1e9).round().argsort(stable=True)
    order = order[group[order].argsort(stable=True)]
    counts = torch.bincount(group, minlength=num_groups)
    return torch.empty_like(order).index_copy_(0, order, ragged_arange(counts, order.numel()))


def seed_of(seed: int, step: int) -> int:
    """A seed for a step of a rewiring with a seed."""
    return (seed * 2**20 + step) % 2**62
