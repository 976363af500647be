"""Hop distances on a disjoint union: all of them as a table, near ones as pairs, the largest of every graph."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import _search_torch
from gnnlab.graph._check import check_union
from gnnlab.graph._engine import engine
from gnnlab.graph._search import by_source, widest
from gnnlab.graph._search_torch import walk_bound

__all__ = ["PairDistances", "diameter", "k_hop_pairs", "shortest_path_distances"]

_CELLS = 1 << 22
"""Entries of the tables that are only reduced: 16 MB."""


class PairDistances(NamedTuple):
    """Ordered pairs of nodes ``pairs`` [2, P] long and their hop ``distance`` [P] long."""

    pairs: Tensor
    distance: Tensor


@torch.no_grad()
def shortest_path_distances(
    edge_index: Tensor, ptr: Tensor, cutoff: int | None = None, *, max_entries: int = 2**29
) -> Tensor:
    r"""Number of hops from every node to every node of its graph.

    Edges are followed from source to target and count one hop each, so duplicates and self-loops change
    nothing. The table of one graph is its n x n matrix; graphs of a union share a table as wide as the
    largest of them.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        cutoff: Largest distance of interest, in hops; all by default.
        max_entries: Largest table to allocate (of 4 bytes each).

    Shapes:
        returns [N, n_max] int32; entry [u, j] is the distance from u to node j of its graph, -1 if that is
        further than ``cutoff``, out of reach, or padding.

    Raises:
        GraphError: tensors that do not describe a union.
        ConfigError: a negative ``cutoff``.
        BudgetError: the table has more than ``max_entries`` entries.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> shortest_path_distances(path, torch.tensor([0, 3, 4])).tolist()
        [[0, 1, 2], [1, 0, 1], [2, 1, 0], [0, -1, -1]]
    """
    if cutoff is not None and cutoff < 0:
        raise ConfigError(f"cutoff must be at least 0, got {cutoff}")
    batch = check_union(edge_index, ptr)
    width = widest(ptr)
    if batch.numel() * width > max_entries:
        raise BudgetError(
            f"distances of {batch.numel():,} nodes in a table of {width:,} columns take "
            f"{4 * batch.numel() * width / 2**30:.1f} GiB ({batch.numel() * width:,} entries, limit {max_entries:,})",
            hint="k_hop_pairs keeps near pairs only; smaller unions give smaller tables; or raise max_entries",
        )
    pointers, targets = by_source(edge_index, batch.numel())
    cutoff = width if cutoff is None else min(cutoff, width)
    search = _search_for(edge_index.device)
    return search.distance_table(pointers, targets, ptr[batch], 0, batch.numel(), width, cutoff)


@torch.no_grad()
def k_hop_pairs(edge_index: Tensor, ptr: Tensor, k: int, *, max_pairs: int = 10**8) -> PairDistances:
    r"""All ordered pairs (u, v) with :math:`1 \le d(u, v) \le k`.

    Found by searching from every node at once, at most k hops deep, so time and memory follow the number
    of pairs: one graph of a hundred thousand nodes is as welcome as a thousand small ones.

    Args:
        edge_index: [2, E] long, node ids of the union; followed from source to target.
        ptr: [G + 1] long, first node of every graph.
        k: Largest distance, in hops, at least 0.
        max_pairs: Most pairs to allocate (24 bytes each).

    Shapes:
        returns pairs [2, P] and distance [P], sorted by source, then distance, then target.

    Raises:
        GraphError: tensors that do not describe a union.
        ConfigError: a negative ``k``.
        BudgetError: there are more than ``max_pairs``.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> pairs, distance = k_hop_pairs(path, torch.tensor([0, 3]), k=2)
        >>> pairs.tolist(), distance.tolist()
        ([[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 1, 0]], [1, 2, 1, 1, 1, 2])
    """
    if k < 0:
        raise ConfigError(f"k must be at least 0, got {k}")
    batch = check_union(edge_index, ptr)
    pointers, targets = by_source(edge_index, batch.numel())
    k = min(k, widest(ptr))
    found = _search_for(edge_index.device).pairs_within(pointers, targets, k, max_pairs)
    if found is None:
        bound = int(torch.minimum(walk_bound(pointers, targets, k), ptr.diff()[batch] - 1).sum())
        raise BudgetError(
            f"more than {max_pairs:,} pairs of nodes are within {k} hops (at most {bound:,}, of 24 bytes each)",
            hint="take fewer hops or a smaller union, or raise max_pairs",
        )
    return PairDistances(*found)


@torch.no_grad()
def diameter(edge_index: Tensor, ptr: Tensor) -> Tensor:
    """Largest finite distance of every graph; 0 where no node reaches another.

    Args:
        edge_index: [2, E] long, node ids of the union; followed from source to target.
        ptr: [G + 1] long, first node of every graph.

    Shapes:
        returns [G] long

    Raises:
        GraphError: tensors that do not describe a union.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> diameter(path, torch.tensor([0, 3, 4])).tolist()
        [2, 0]
    """
    batch = check_union(edge_index, ptr)
    pointers, targets = by_source(edge_index, batch.numel())
    search, width = _search_for(edge_index.device), widest(ptr)
    furthest = torch.zeros_like(batch)
    step = max(_CELLS // max(width, 1), 1)
    for begin in range(0, batch.numel(), step):
        end = min(begin + step, batch.numel())
        furthest[begin:end] = search.distance_table(pointers, targets, ptr[batch], begin, end, width, width).amax(1)
    return torch.zeros_like(ptr[1:]).scatter_reduce_(0, batch, furthest, "amax")


def _search_for(device: torch.device) -> ModuleType:
    return engine(device, _search_torch, "gnnlab.graph._search_numba")
