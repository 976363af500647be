"""The triangles of a disjoint union, each once."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._check import check_union
from gnnlab.graph._neighbours import slices
from gnnlab.graph.undirected import undirected_edges
from gnnlab.ops import ragged_arange

__all__ = ["triangles"]

_BUDGET = 1 << 22  # pairs of joined edges in memory at a time


@torch.no_grad()
def triangles(edge_index: Tensor, ptr: Tensor, *, symmetrise: bool = True, max_triangles: int = 2 * 10**8) -> Tensor:
    r"""Every triangle of the simple undirected graph once.

    Edges point from the end of lower degree to the other one, so that no node has more than :math:`\sqrt{2M}`
    edges that leave it; the shorter of the two lists at every edge is looked up in the other (Chiba and
    Nishizeki, 1985; Latapy, 2008). Time :math:`O(M^{1.5} \log M)` for M edges and much less on real graphs,
    memory 24 bytes per triangle and a bounded working set. Self-loops and duplicate edges change nothing.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        symmetrise: Take an edge in one direction for both; otherwise it is an error.
        max_triangles: Most triangles to return (24 bytes each).

    Shapes:
        returns [3, T] long with row 0 < row 1 < row 2, in lexicographic order.

    Raises:
        GraphError: tensors that do not describe a union, or (without ``symmetrise``) an edge without its reverse.
        BudgetError: there are more than ``max_triangles``.

    Example:
        >>> bowtie = torch.tensor([[0, 1, 2, 2, 3, 4], [1, 2, 0, 3, 4, 2]])
        >>> triangles(bowtie, torch.tensor([0, 5])).tolist()
        [[0, 2], [1, 3], [2, 4]]
    """
    pairs = undirected_edges(edge_index, ptr, symmetrise)
    num_nodes = check_union(edge_index, ptr).numel()
    degree = torch.bincount(pairs.flatten(), minlength=num_nodes)
    order = degree.argsort(stable=True)
    rank = order.argsort()
    low, high = rank[pairs].sort(0).values
    key = (low * num_nodes + high).sort().values
    width = max(num_nodes, 1)
    low, high = key // width, key % width
    first = torch.searchsorted(key, torch.arange(num_nodes + 1, device=key.device) * width)
    out = first.diff()
    # Whichever end has fewer edges ahead is expanded, the other one is asked.
    near, far = torch.where(out[low] < out[high], torch.stack([low, high]), torch.stack([high, low]))
    cost = out[near]
    parts, total = [], 0
    for edges in slices(cost, _BUDGET):
        edge = torch.repeat_interleave(cost[edges])
        third = high[first[near[edges]][edge] + ragged_arange(cost[edges], edge.numel())]
        wanted = far[edges][edge] * num_nodes + third
        place = torch.searchsorted(key, wanted).clamp(max=key.numel() - 1)
        closed = (key[place] == wanted).nonzero().flatten()
        total += closed.numel()
        if total > max_triangles:
            raise BudgetError(
                f"more than max_triangles={max_triangles:,} triangles (of 24 bytes each)",
                where="triangles",
                hint="take a smaller union, or raise max_triangles",
            )
        edge = edge[closed]
        parts.append(torch.stack([low[edges][edge], high[edges][edge], third[closed]]))
    found = order[torch.cat([key.new_empty(3, 0), *parts], 1)].sort(0).values
    found = found[:, found[2].argsort()]
    return found[:, (found[0] * num_nodes + found[1]).argsort(stable=True)]
