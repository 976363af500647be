"""All paths of a union, lengthened by one edge after the other, as a tensor program."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnlab.errors import BudgetError
from gnnlab.graph._lookup import lookup
from gnnlab.graph._search import widest

__all__ = ["FILTERS", "lengthened"]

_MOST_CELLS = 1 << 26
"""Pairs of nodes that are marked in a table, of 256 MB at most; where there are more, those that occur are sorted."""

_UNSEEN = torch.iinfo(torch.int32).max


def lengthened(
    edge_index: Tensor, ptr: Tensor, batch: Tensor, length: int, kind: str, max_paths: int, max_gigabytes: float
) -> list[Tensor]:
    """``length`` tables [P_l, l + 1] long of paths, root first, sorted by what is read from the last column.

    Args:
        edge_index: [2, E] long.
        ptr: [G + 1] long, first node of every graph.
        batch: [N] long, graph of every node.
    """
    pointers, sources = _into_every_node(edge_index, batch.numel())
    node, width = torch.arange(batch.numel(), device=batch.device), widest(ptr)
    table, tables, degree = node[:, None], [], pointers.diff()
    # Number of a pair of a far end and a node of its graph, less the node.
    base = node * width - ptr[batch]
    keep = FILTERS[kind](base + node, batch.numel() * width)
    for edges in range(1, length + 1):
        tip = table[:, 0]
        choices = degree[tip]
        total = _check_size(choices, batch[tip], ptr, edges, max_paths, max_gigabytes)
        row = torch.repeat_interleave(choices, output_size=total)
        skipped = pointers[tip] - (choices.cumsum(0) - choices)
        new = sources[skipped[row].add_(torch.arange(total, device=row.device))]
        kept = keep(table, row, new, base)
        row, new = row[kept], new[kept]
        base = base[row]
        table = torch.cat([new[:, None], table.index_select(0, row)], 1)
        tables.append(table)
    return tables


def _into_every_node(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Pointers [N + 1] and increasing sources of the edges into every node, without loops and duplicates."""
    source, target = edge_index[:, edge_index[0] != edge_index[1]]
    key = (target * num_nodes + source).unique()
    degree = torch.bincount(key // max(num_nodes, 1), minlength=num_nodes)
    return F.pad(degree.cumsum(0), (1, 0)), key % max(num_nodes, 1)


def _check_size(choices: Tensor, graph: Tensor, ptr: Tensor, edges: int, max_paths: int, max_gigabytes: float) -> int:
    """Number of candidates for paths of so many edges."""
    total = int(choices.sum())
    gigabytes = total * (edges + 1) * 8 / 2**30
    if gigabytes > max_gigabytes:
        raise BudgetError(
            f"{total:,} candidates for paths of length {edges} take {gigabytes:.1f} GiB (limit {max_gigabytes:g})",
            hint="take shorter paths, kind='shortest' or smaller unions, or raise max_gigabytes",
        )
    if total > max_paths:
        most, graph = torch.zeros_like(ptr[1:]).index_add_(0, graph, choices).max(0)
        if int(most) > max_paths:
            raise BudgetError(
                f"graph {int(graph)} has {int(most):,} candidates for paths of length {edges} (limit {max_paths:,}, "
                f"{int(most) * (edges + 1) * 8 / 2**30:.2f} GiB)",
                hint="take shorter paths or kind='shortest', or raise max_paths",
            )
    return total


class _Simple:
    """Which candidates visit no node twice."""

    def __init__(self, pairs: Tensor, cells: int) -> None:
        pass

    def __call__(self, table: Tensor, row: Tensor, new: Tensor, base: Tensor) -> Tensor:
        distinct = torch.ones_like(new, dtype=torch.bool)
        for column in table.unbind(1)[1:]:  # no edge leads to where it comes from
            distinct &= column[row] != new
        return distinct.nonzero().flatten()


class _AllShortest:
    """Which candidates make a pair that no shorter path makes.

    Args:
        pairs: [N] long, numbers of the pairs of every node and itself.
        cells: Number of all pairs.
    """

    def __init__(self, pairs: Tensor, cells: int) -> None:
        self.seen = pairs
        if cells <= _MOST_CELLS:
            self.seen = torch.zeros(cells, dtype=torch.bool, device=pairs.device).index_fill_(0, pairs, True)

    def __call__(self, table: Tensor, row: Tensor, new: Tensor, base: Tensor) -> Tensor:
        pair = base[row].add_(new)
        if self.seen.dtype == torch.bool:
            kept = self.seen[pair].logical_not_().nonzero().flatten()
            self.seen.index_fill_(0, pair[kept], True)
            return kept
        kept = lookup(self.seen, pair)[0].logical_not_().nonzero().flatten()
        self.seen = torch.cat([self.seen, pair[kept].unique()]).sort().values
        return kept


class _Shortest:
    """The first of those for every pair."""

    def __init__(self, pairs: Tensor, cells: int) -> None:
        self.first = self.others = None
        if cells > _MOST_CELLS:
            self.others = _AllShortest(pairs, cells)
        else:
            first = torch.full((cells,), _UNSEEN, dtype=torch.int32, device=pairs.device)
            self.first = first.index_fill_(0, pairs, 0)

    def __call__(self, table: Tensor, row: Tensor, new: Tensor, base: Tensor) -> Tensor:
        if self.first is None:
            kept = self.others(table, row, new, base)
            pair, order = torch.sort(base[row[kept]].add_(new[kept]), stable=True)
            first = torch.ones_like(pair, dtype=torch.bool)
            first[1:] = pair[1:] != pair[:-1]
            return kept[order[first].sort().values]
        pair = base[row].add_(new)
        kept = (self.first[pair] == _UNSEEN).nonzero().flatten()
        pair, number = pair[kept], torch.arange(kept.numel(), dtype=torch.int32, device=kept.device)
        self.first.scatter_reduce_(0, pair, number, "amin")
        return kept[self.first[pair] == number]


FILTERS: dict[str, Callable[[Tensor, int], Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]]] = {
    "shortest": _Shortest,
    "all_shortest": _AllShortest,
    "simple": _Simple,
}
"""Kind of paths -> what tells which candidates are kept: the paths, the one each prolongs, by what, and its base."""
