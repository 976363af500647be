"""Pairs of nodes for link tasks: scores, structured negatives, the candidates a ranking needs."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["candidate_pairs", "dot_product", "structured_negatives"]

_RETRIES = 10


def dot_product(head: Tensor, tail: Tensor) -> Tensor:
    """[P] inner products of the rows of two [P, d] tensors."""
    return (head * tail).sum(dim=-1)


def structured_negatives(
    pairs: Tensor, positive: Tensor, ptr: Tensor, ratio: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """For every pair, ``ratio`` pairs with the same head and a random tail of the same graph.

    Positives are excluded, the head itself is allowed, equal negatives may be drawn twice. A tail that is
    still a positive after ten retries is marked instead of dropped, so that no shape depends on the data.

    Args:
        pairs: [2, P] long, head and tail.
        positive: [P] bool; negatives of other pairs come out as not usable.
        ptr: [G + 1] long, first node of every graph.
        ratio: Negatives per pair.
        generator: Source of randomness; the global one by default.

    Returns:
        [2, P * ratio] pairs and [P * ratio] bool, whether each is usable.
    """
    head = pairs[0].repeat_interleave(ratio)
    graph = torch.searchsorted(ptr, head, right=True) - 1
    first, size = ptr[graph], ptr[graph + 1] - ptr[graph]
    known = _key(pairs, ptr).masked_fill(~positive, -1).sort().values

    def draw() -> Tensor:
        # float64, or the largest nodes of a large graph would never be drawn.
        uniform = torch.rand(head.shape, generator=generator, device=head.device, dtype=torch.float64)
        return first + torch.minimum((uniform * size).long(), size - 1)

    tail = draw()
    for _ in range(_RETRIES):
        tail = torch.where(_contains(known, _key(torch.stack([head, tail]), ptr)), draw(), tail)
    negatives = torch.stack([head, tail])
    usable = positive.repeat_interleave(ratio) & ~_contains(known, _key(negatives, ptr))
    return negatives, usable


def candidate_pairs(positives: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    """Every node of its graph as a tail of every head that has a positive.

    Args:
        positives: [2, P] long, head and tail of the true links.
        ptr: [G + 1] long, first node of every graph.

    Returns:
        [2, S] candidates, grouped by head, and [S] bool, whether each is a true link.

    Example:
        >>> pairs, label = candidate_pairs(torch.tensor([[3], [2]]), ptr=torch.tensor([0, 2, 5]))
        >>> pairs.tolist(), label.tolist()
        ([[3, 3, 3], [2, 3, 4]], [True, False, False])
    """
    heads = positives[0].unique()
    graph = torch.searchsorted(ptr, heads, right=True) - 1
    size = ptr[graph + 1] - ptr[graph]
    head = heads.repeat_interleave(size)
    start = (ptr[graph] - (size.cumsum(0) - size)).repeat_interleave(size)
    pairs = torch.stack([head, torch.arange(len(head), device=head.device) + start])
    return pairs, _contains(_key(positives, ptr).sort().values, _key(pairs, ptr))


def _key(pairs: Tensor, ptr: Tensor) -> Tensor:
    """One number per pair; N < 2^31, so it fits."""
    return pairs[0] * ptr[-1] + pairs[1]


def _contains(ordered: Tensor, key: Tensor) -> Tensor:
    if not len(ordered):
        return torch.zeros_like(key, dtype=torch.bool)
    slot = torch.searchsorted(ordered, key).clamp(max=len(ordered) - 1)
    return ordered[slot] == key
