"""Hop distances up to a cutoff: of given pairs, and how many nodes lie at each of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import _search_torch
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._engine import engine
from gnnlab.graph._search import by_source, widest
from gnnlab.graph._search_torch import walk_bound
from gnnlab.graph.distances import k_hop_pairs
from gnnlab.ops import CSR, aggregate

__all__ = ["distance_histogram", "pair_distances"]

_CELLS = 1 << 22  # of a part of the table, 16 MB
_MOST_CELLS = 1 << 32  # of a table that is gone through part by part: about a minute
_MOST_PAIRS = 10**8  # that are kept
_PAIR = 8  # cells that take as long as a pair that is found and sorted


@torch.no_grad()
def pair_distances(edge_index: Tensor, ptr: Tensor, pairs: Tensor, cutoff: int) -> Tensor:
    """Number of hops from the first to the second node of every pair.

    Searches from the nodes of every graph, at most ``cutoff`` hops deep. Where few nodes are that near, and in unions
    of more than 4.3e9 cells (N times the nodes of the largest graph), near pairs are found and sorted, see
    :func:`gnnlab.graph.k_hop_pairs`; otherwise the table of all distances is gone through in parts of 16 MB.

    Args:
        edge_index: [2, E] long, node ids of the union; followed from source to target.
        ptr: [G + 1] long, first node of every graph.
        pairs: [2, P] long, of any nodes.
        cutoff: Largest distance of interest, in hops.

    Shapes:
        returns [P] long, -1 where the distance is larger or there is no way.

    Raises:
        ConfigError: a negative ``cutoff``.
        GraphError: pairs outside the union, or tensors that do not describe a union.
        BudgetError: a large union with more than 10^8 near pairs.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> pair_distances(path, torch.tensor([0, 3]), torch.tensor([[0, 0, 2], [2, 0, 1]]), cutoff=1).tolist()
        [-1, 0, 1]
    """
    batch = _checked(edge_index, ptr, cutoff)
    source, target = check_pairs(pairs, batch.numel())
    if _is_sparse(edge_index, ptr, batch, cutoff):
        return _among_near(edge_index, ptr, pairs, cutoff)
    out = torch.full_like(source, -1)
    order = torch.argsort(source)
    order = order[(batch[source] == batch[target])[order]]
    place = (target - ptr[batch[target]])[order]
    row = source[order]
    for begin, end, table in _tables(edge_index, ptr, batch, cutoff):
        low, high = torch.searchsorted(row, torch.tensor([begin, end], device=row.device)).tolist()
        out[order[low:high]] = table[row[low:high] - begin, place[low:high]].long()
    return out


@torch.no_grad()
def distance_histogram(edge_index: Tensor, ptr: Tensor, cutoff: int, targets: Tensor | None = None) -> Tensor:
    """Number of nodes (or targets) at every distance from every node.

    Without targets by search from every node, as :func:`pair_distances`. With targets by ``cutoff`` products of the
    adjacency matrix with as many columns as a graph has targets, in parts of at most 16 MB: a few targets are
    found in a graph of any size.

    Args:
        edge_index: [2, E] long, node ids of the union; followed from source to target.
        ptr: [G + 1] long, first node of every graph.
        cutoff: Largest distance of interest, in hops.
        targets: [N] bool, the nodes to count; all by default.

    Shapes:
        returns [N, cutoff + 1] long; entry [v, d] counts the nodes that v reaches in d hops and no fewer.

    Raises:
        ConfigError: a negative ``cutoff``.
        GraphError: ``targets`` is not [N] bool, or tensors that do not describe a union.
        BudgetError: a large union with more than 10^8 near pairs (without targets).

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> distance_histogram(path, torch.tensor([0, 3]), cutoff=2).tolist()
        [[1, 1, 1], [1, 2, 0], [1, 1, 1]]
        >>> distance_histogram(path, torch.tensor([0, 3]), 2, torch.tensor([True, False, False])).tolist()
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    """
    batch = _checked(edge_index, ptr, cutoff)
    if targets is not None:
        if targets.shape != batch.shape or targets.dtype != torch.bool:
            raise GraphError(f"targets must be [{batch.numel()}] bool, got {list(targets.shape)} of {targets.dtype}")
        return _of_targets(edge_index, ptr, batch, cutoff, targets)
    num_nodes, width = batch.numel(), cutoff + 1
    if _is_sparse(edge_index, ptr, batch, cutoff):
        pairs, distance = k_hop_pairs(edge_index, ptr, cutoff, max_pairs=_MOST_PAIRS)
        out = torch.bincount(pairs[0] * width + distance, minlength=num_nodes * width).view(num_nodes, width)
        out[:, 0] = 1
        return out
    out = torch.empty(num_nodes, width, dtype=torch.long, device=batch.device)
    for begin, end, table in _tables(edge_index, ptr, batch, cutoff):
        row = torch.arange(1, (end - begin) * (width + 1), width + 1, dtype=table.dtype, device=table.device)
        count = torch.bincount(table.add_(row[:, None]).flatten(), minlength=(end - begin) * (width + 1))
        out[begin:end] = count.view(end - begin, width + 1)[:, 1:]
    return out


def _checked(edge_index: Tensor, ptr: Tensor, cutoff: int) -> Tensor:
    if cutoff < 0:
        raise ConfigError(f"cutoff must be at least 0, got {cutoff}")
    return check_union(edge_index, ptr)


def _is_sparse(edge_index: Tensor, ptr: Tensor, batch: Tensor, cutoff: int) -> bool:
    """Whether near pairs are cheaper than the table."""
    cells = batch.numel() * widest(ptr)
    if cells <= _CELLS or cells > _MOST_CELLS:
        return cells > _MOST_CELLS
    near = torch.minimum(walk_bound(*by_source(edge_index, batch.numel()), cutoff), ptr.diff()[batch] - 1)
    return int(near.sum()) < min(cells // _PAIR, _MOST_PAIRS)


def _tables(edge_index: Tensor, ptr: Tensor, batch: Tensor, cutoff: int) -> Iterator[tuple[int, int, Tensor]]:
    """Distances [end - begin, n_max] int32 from the nodes ``begin`` to ``end``, -1 beyond the cutoff, all in turn."""
    pointers, targets = by_source(edge_index, batch.numel())
    search, width = engine(edge_index.device, _search_torch, "gnnlab.graph._search_numba"), widest(ptr)
    step = max(_CELLS // max(width, cutoff + 2), 1)  # the histogram has a column for every distance
    home, cutoff = ptr[batch], min(cutoff, width)
    for begin in range(0, batch.numel(), step):
        end = min(begin + step, batch.numel())
        yield begin, end, search.distance_table(pointers, targets, home, begin, end, width, cutoff)


def _among_near(edge_index: Tensor, ptr: Tensor, pairs: Tensor, cutoff: int) -> Tensor:
    num_nodes = int(ptr[-1])
    near, distance = k_hop_pairs(edge_index, ptr, cutoff, max_pairs=_MOST_PAIRS)
    key, order = torch.sort(near[0] * num_nodes + near[1])
    wanted = pairs[0] * num_nodes + pairs[1]
    slot = torch.searchsorted(key, wanted)
    out = torch.full_like(wanted, -1)
    found = slot < key.numel()
    found[found.clone()] = key[slot[found]] == wanted[found]
    out[found] = distance[order[slot[found]]]
    return torch.where(pairs[0] == pairs[1], 0, out)


def _of_targets(edge_index: Tensor, ptr: Tensor, batch: Tensor, cutoff: int, targets: Tensor) -> Tensor:
    # The target of number c in its graph owns column c, in every graph at once.
    node = targets.nonzero().flatten()
    per_graph = torch.zeros_like(ptr[1:]).index_add_(0, batch[node], torch.ones_like(node))
    column = torch.arange(node.numel(), device=node.device) - (per_graph.cumsum(0) - per_graph)[batch[node]]
    backwards = CSR.from_edge_index(edge_index.flip(0), batch.numel())
    out = torch.zeros(batch.numel(), cutoff + 1, dtype=torch.long, device=batch.device)
    out[:, 0] = targets.long()
    total = int(per_graph.max()) if per_graph.numel() else 0
    step = max(_CELLS // max(batch.numel(), 1), 1)
    for first in range(0, total, step):
        mine = (column >= first) & (column < first + step)
        reached = torch.zeros(batch.numel(), min(step, total - first), device=batch.device)
        reached[node[mine], column[mine] - first] = 1
        before = reached.sum(1)
        for distance in range(1, cutoff + 1):
            reached += aggregate(reached, backwards)
            reached.clamp_(max=1)
            after = reached.sum(1)
            if torch.equal(before, after):
                break
            out[:, distance] += (after - before).long()
            before = after
    return out
