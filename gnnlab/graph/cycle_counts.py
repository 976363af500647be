"""Numbers of cycles and of closed walks through every node or edge of a disjoint union."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._pattern import LARGEST
from gnnlab.graph.subgraph_counts import subgraph_counts
from gnnlab.graph.undirected import undirected_edges
from gnnlab.graph.walk_counts import walk_counts

__all__ = ["closed_walk_counts", "cycle_counts"]

_LEVELS = ("node", "edge", "graph")


@torch.no_grad()
def cycle_counts(
    edge_index: Tensor,
    ptr: Tensor,
    max_length: int = 6,
    *,
    level: str = "node",
    method: str = "auto",
    max_matches: int = 2 * 10**8,
) -> Tensor:
    r"""Number of cycles (closed walks that visit no node twice) of 3, 4, ..., ``max_length`` nodes.

    Exact integers of the simple undirected graph, every cycle once, whatever its chords. Cycles are listed, at the cost
    of the paths of ``max_length`` nodes that start at their node of largest degree (at most
    :math:`\sum_v d_v \Delta^{k-2}`, about :math:`N d^{k-1} / k` at equal degrees d); where these are more than
    2e7, cycles of up to 7 nodes are counted from homomorphisms instead, which takes sparse products of the
    cost of :math:`A^{\lceil k/2 \rceil}` (see :func:`gnnlab.graph.subgraph_counts`).

    Args:
        edge_index: [2, E] long, node ids of the union; directions, self-loops and duplicates are ignored.
        ptr: [G + 1] long, first node of every graph.
        max_length: Longest cycle, 3 to 8.
        level: Cycles through every ``"node"``, through every ``"edge"`` (0 for self-loops), or of every ``"graph"``.
        method: ``"auto"``, ``"enumerate"`` or ``"homomorphisms"``.
        max_matches: Most partial matches to look at, or scalar products to compute, for every length.

    Shapes:
        returns [N, E or G; max_length - 2] long

    Raises:
        GraphError: tensors that do not describe a union.
        ConfigError: ``max_length`` outside 3 to 8, unknown ``level`` or ``method``.
        BudgetError: more than ``max_matches``, before they are computed.

    Example:
        >>> square_with_diagonal = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])
        >>> cycle_counts(square_with_diagonal, torch.tensor([0, 4]), max_length=4).tolist()
        [[2, 1], [1, 1], [2, 1], [1, 1]]
    """
    if not 3 <= max_length <= LARGEST:
        raise ConfigError(f"max_length must be between 3 and {LARGEST}, got {max_length}", where="cycle_counts")
    columns = [
        subgraph_counts(edge_index, ptr, f"cycle-{length}", level=level, method=method, max_matches=max_matches)
        for length in range(3, max_length + 1)
    ]
    return torch.cat(columns, 1)


@torch.no_grad()
def closed_walk_counts(
    edge_index: Tensor, ptr: Tensor, max_length: int = 6, *, level: str = "node", max_products: int = 10**11
) -> Tensor:
    r"""Number of walks of 2, 3, ..., ``max_length`` steps that end where they start.

    .. math:: (A^k)_{vv} \text{ at a node}, \quad (A^{k-1})_{uv} \text{ at an edge (walks that close with it)}, \quad
        \mathrm{tr}\, A^k \text{ of a graph}

    with the adjacency matrix A of the simple undirected graph; these are the homomorphisms of a cycle. Counts
    are float64: exact up to :math:`2^{53}`, rounded above. Time: sparse products restricted to neighbourhoods,
    for every length k and node at most the smaller of its walks of k + 1 steps and the edges of its graph, see
    :func:`gnnlab.graph.walk_counts`; memory is bounded.

    Args:
        edge_index: [2, E] long, node ids of the union; directions, self-loops and duplicates are ignored.
        ptr: [G + 1] long, first node of every graph.
        max_length: Most steps, at least 2.
        level: ``"node"``, ``"edge"`` (0 for self-loops) or ``"graph"``.
        max_products: Most scalar products to compute, by that bound.

    Shapes:
        returns [N, E or G; max_length - 1] float64

    Raises:
        GraphError: tensors that do not describe a union.
        ConfigError: ``max_length`` below 2, or unknown ``level``.
        BudgetError: up to more than ``max_products``, before they are computed.

    Example:
        >>> pentagon = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]])
        >>> closed_walk_counts(pentagon, torch.tensor([0, 5]), max_length=7, level="graph").tolist()
        [[10.0, 0.0, 30.0, 10.0, 100.0, 70.0]]
    """
    if max_length < 2:
        raise ConfigError(f"max_length must be at least 2, got {max_length}", where="closed_walk_counts")
    if level not in _LEVELS:
        raise ConfigError(f"unknown level {level!r}", where="closed_walk_counts", hint=nearest(level, _LEVELS))
    batch = check_union(edge_index, ptr)
    num_nodes = batch.numel()
    upward = undirected_edges(edge_index, ptr, symmetrise=True)
    edges = torch.cat([upward, upward.flip(0)], 1)
    _check_work(edges, batch, ptr.numel() - 1, max_length, max_products)
    nodes = torch.arange(num_nodes, device=ptr.device).expand(2, -1)
    pairs, shift = (edge_index, 1) if level == "edge" else (nodes, 0)
    lengths = range(2 - shift, max_length + 1 - shift)
    counts = torch.stack([walk_counts(edges, ptr, pairs, length, self_loops=False) for length in lengths], 1)
    if level == "edge":
        return torch.where((edge_index[0] == edge_index[1])[:, None], 0.0, counts)
    if level == "graph":
        return counts.new_zeros(ptr.numel() - 1, len(lengths)).index_add_(0, batch, counts)
    return counts


def _check_work(edges: Tensor, batch: Tensor, graphs: int, max_length: int, max_products: int) -> None:
    """Refuse where walks of every length from every node may cross too many edges."""
    crossed = torch.bincount(batch[edges[0]], minlength=graphs).double()[batch]
    walks, work = torch.ones_like(crossed), 0.0
    for _ in range(max_length + 1):
        walks = torch.zeros_like(walks).index_add_(0, edges[1], walks[edges[0]])
        work += float(torch.minimum(walks, crossed).sum())
    if work > max_products:
        raise BudgetError(
            f"up to {work:.1e} scalar products, more than max_products={max_products:,}",
            where="closed_walk_counts",
            hint="take fewer steps or smaller graphs, or raise max_products (1e8 to 1e9 a second)",
        )
