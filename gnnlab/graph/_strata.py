"""A share of numbered things, drawn evenly."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.graph._noise import pair_noise
from gnnlab.ops import ragged_arange

__all__ = ["group_noise", "strata", "taken"]


def taken(counts: Tensor, rate: float) -> Tensor:
    """[G] long, how many of ``counts`` [G] things a share of ``rate`` is: at least one of some."""
    return torch.minimum((counts * rate).round().long().clamp(min=1), counts)


def strata(counts: Tensor, sample: Tensor, noise: Tensor) -> Tensor:
    """One thing from each of ``sample`` [G] equal strata of the numbers 0 to ``counts`` - 1 of every group.

    A number is drawn ``sample / counts`` times on average, at most twice; the draws of a group increase.

    Args:
        counts: [G] long.
        sample: [G] long, at most ``counts``.
        noise: [M] float64 in [0, 1), the groups one after the other.

    Example:
        >>> strata(torch.tensor([10, 3]), torch.tensor([2, 3]), torch.tensor([0.0, 0.9, 0.5, 0.5, 0.5])).tolist()
        [0, 9, 0, 1, 2]
    """
    group = torch.repeat_interleave(sample, output_size=noise.numel())
    place = (ragged_arange(sample, noise.numel()) + noise) * (counts.double() / sample)[group]
    return torch.minimum(place.long(), counts[group] - 1)


def group_noise(sample: Tensor, edge_index: Tensor, ptr: Tensor, seed: int) -> Tensor:
    """[M] float64 in [0, 1), ``sample`` [G] numbers for every graph, which depend on the graph and the seed.

    Args:
        sample: [G] long; 0 for graphs without nodes.
        edge_index: [2, E] long, the edges of the union.
        ptr: [G + 1] long, first node of every graph.
        seed: Any integer.
    """
    total = int(sample.sum())
    first = ptr[:-1][torch.repeat_interleave(sample, output_size=total)]
    # The second place of a pair is but a number to the hash: it counts the draws.
    return pair_noise(torch.stack([first, first + ragged_arange(sample, total)]), edge_index, ptr, seed)
