"""Connected graphs of points that are close to each other."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["proximity_edges"]


def proximity_edges(position: Tensor, neighbours: int) -> tuple[Tensor, Tensor, Tensor]:
    """Every point joined with its nearest ones, and each but the first with the nearest of those before it.

    The latter is a tree, so the graphs are connected. Edges go both ways.

    Cost: O(G n^2) time and memory.

    Args:
        position: [G, n, D] points.
        neighbours: Nearest points every point is joined with.

    Returns:
        [2, E] edges, numbered from 0 in every graph and grouped by graph, [E] their lengths, and [G] their number.

    Example:
        >>> edges, length, count = proximity_edges(torch.tensor([[[0.0], [1.0], [3.0]]]), neighbours=1)
        >>> edges.tolist(), length.tolist(), count.tolist()
        ([[0, 1, 1, 2], [1, 0, 2, 1]], [1.0, 1.0, 2.0, 2.0], [4])
    """
    n = position.size(1)
    # Not by the product formula, which loses half of the digits of close points.
    distance = torch.cdist(position, position, compute_mode="donot_use_mm_for_euclid_dist")
    others = distance.masked_fill(torch.eye(n, dtype=torch.bool), torch.inf)
    joined = torch.zeros_like(distance, dtype=torch.bool)
    joined.scatter_(2, others.topk(min(neighbours, n - 1), largest=False).indices, True)
    earlier = others.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(), torch.inf)[:, 1:].argmin(2, keepdim=True)
    joined[:, 1:].scatter_(2, earlier, True)
    joined = joined | joined.mT
    graph, source, target = joined.nonzero().unbind(1)
    return torch.stack([source, target]), distance[graph, source, target], joined.sum((1, 2))
