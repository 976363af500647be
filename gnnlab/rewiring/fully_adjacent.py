"""Every pair of nodes joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph._check import check_union
from gnnlab.ops import complete_edge_index
from gnnlab.rewiring._base import Rewiring
from gnnlab.rewiring._edits import Edits

__all__ = ["FullyAdjacent"]


@dataclass(frozen=True, repr=False)
class FullyAdjacent(Rewiring):
    r"""Adds every pair :math:`u \to v` of a graph that is not an edge, in one relation.

    "On the Bottleneck of Graph Neural Networks and its Practical Implications" (Alon and Yahav, ICLR 2021, arXiv
    2006.05205) uses the complete graph in the last layer only. :class:`gnnlab.nn.GNN` does that with
    ``fully_adjacent_last=True`` and stores no edges for it; as a rewiring the pairs serve every layer, and
    relation-aware ones can tell them from edges.

    Pairs in both directions are looked at one by one, so directed graphs are fine. Components are joined.

    Args:
        max_pairs: Ordered pairs of a union, that is the sum of :math:`n (n - 1)`, above which the work is refused.

    Raises:
        BudgetError: more pairs than ``max_pairs``.

    Example:
        >>> from torch_geometric.data import Data
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> FullyAdjacent()(path).edge_index[:, -2:].tolist()
        [[0, 2], [2, 0]]
    """

    max_pairs: int = 2**26

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_pairs < 0:
            raise ConfigError(f"max_pairs must be at least 0, got {self.max_pairs}", where="FullyAdjacent")

    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        num_nodes = check_union(edge_index, ptr).numel()
        sizes = ptr.diff()
        count = int((sizes * (sizes - 1)).sum())
        if count > self.max_pairs:
            raise BudgetError(
                f"{count:,} ordered pairs of nodes, more than max_pairs={self.max_pairs:,}",
                where="FullyAdjacent",
                hint=f"raise max_pairs (48 bytes per pair, {48 * count / 2**30:.1f} GiB while it runs), or use "
                "GNN(fully_adjacent_last=True), which joins all pairs in the last layer and stores none",
            )
        pairs = complete_edge_index(ptr)
        known = torch.isin(pairs[0] * num_nodes + pairs[1], edge_index[0] * num_nodes + edge_index[1])
        return Edits(pairs[:, ~known])
