"""Paths of a disjoint union: enumerated by length, the edges they take, and distances along them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, GraphError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._lookup import lookup
from gnnlab.graph._search import widest
from gnnlab.graph.near_distances import pair_distances
from gnnlab.ops import ragged_arange

__all__ = ["PathKind", "enumerate_paths", "path_distances", "path_edges"]

PathKind: TypeAlias = Literal["shortest", "all_shortest", "simple"]

_MOST_CELLS = 1 << 26
"""Pairs of nodes that are marked in a table, of 64 MB; where there are more, those that occur are sorted."""


@torch.no_grad()
def enumerate_paths(
    edge_index: Tensor,
    num_nodes: int,
    length: int,
    kind: PathKind = "all_shortest",
    *,
    ptr: Tensor | None = None,
    max_paths: int = 10**6,
    max_gigabytes: float = 8.0,
) -> list[Tensor]:
    r"""All paths of 1 to ``length`` edges, from every node.

    A path is a sequence of distinct nodes :math:`(p_0, \dots, p_l)` with an edge from every :math:`p_i` to
    :math:`p_{i+1}`; :math:`p_0` is its root. The kinds are those of "Path Neural Networks: Expressive and Accurate
    Graph Neural Networks" (Michel, Nikolentzos, Lutzeyer, Vazirgiannis; ICML 2023, arXiv 2306.05955):

    * ``simple`` (AP): all of them; their number grows like :math:`\Delta^l`.
    * ``all_shortest`` (SP+): those with :math:`d(p_0, p_l) = l`.
    * ``shortest`` (SP): one of these for every pair of nodes, the first in lexicographic order when read from
      :math:`p_l`. Which one that is depends on the numbers of the nodes.

    Paths of length l + 1 are made from those of length l by one gather over the edges, for the whole union at once;
    the size of every step is known from the degrees before it is taken. Self-loops and duplicate edges add no paths.

    Args:
        edge_index: [2, E] long, node ids of the union.
        num_nodes: N.
        length: Most edges of a path, K, at least 1.
        kind: ``shortest``, ``all_shortest`` or ``simple``.
        ptr: [G + 1] long, first node of every graph; by default the union counts as one graph.
        max_paths: Most candidates of one length in one graph: ways to prolong its paths of the length before.
        max_gigabytes: Most memory (GiB) of the candidates of one length in the whole union.

    Shapes:
        returns ``length`` tables [P_l, l + 1] long, l = 1, ..., ``length``, sorted by the last column, then the one
        before it, and so on: paths that end alike stand together.

    Raises:
        GraphError: tensors that do not describe a union.
        ConfigError: an unknown ``kind``, or ``length`` below 1.
        BudgetError: a step of more candidates than allowed.

    Example:
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> [len(paths) for paths in enumerate_paths(square, 4, length=3, kind="simple")]
        [8, 8, 8]
        >>> enumerate_paths(square, 4, length=2, kind="shortest")[1].tolist()
        [[2, 1, 0], [3, 0, 1], [0, 1, 2], [1, 0, 3]]
    """
    if kind not in _FILTERS:
        raise ConfigError(f"unknown kind '{kind}'", where="enumerate_paths", hint=nearest(str(kind), _FILTERS))
    if length < 1:
        raise ConfigError(f"length must be at least 1, got {length}", where="enumerate_paths")
    ptr = torch.tensor([0, num_nodes], device=edge_index.device) if ptr is None else ptr
    batch = check_union(edge_index, ptr)
    if batch.numel() != num_nodes:
        raise GraphError(f"ptr counts {batch.numel()} nodes, but num_nodes is {num_nodes}")
    # From the far end to the root, against the edges: paths that end alike become neighbours in the table.
    pointers, sources = _into_every_node(edge_index, num_nodes)
    columns, tables = [torch.arange(num_nodes, device=edge_index.device)], []
    width = widest(ptr)
    place = columns[0] - ptr[batch]
    seen = columns[0] * width + place  # pairs of a far end and a node that a path leads to by now
    if num_nodes * width <= _MOST_CELLS:
        seen = torch.zeros(num_nodes * width, dtype=torch.bool, device=seen.device).index_fill_(0, seen, True)
    for edges in range(1, length + 1):
        choices = pointers.diff()[columns[-1]]
        total = _check_size(choices, batch[columns[-1]], ptr, edges, max_paths, max_gigabytes)
        row = torch.repeat_interleave(choices, output_size=total)
        new = sources[pointers[columns[-1]][row] + ragged_arange(choices, total)]
        kept, seen = _FILTERS[kind](columns, row, new, columns[0][row] * width + place[new], seen)
        row, new = row[kept], new[kept]
        columns = [*(column[row] for column in columns), new]
        tables.append(torch.stack(columns[::-1], 1))
    return tables


@torch.no_grad()
def path_edges(paths: Tensor, edge_index: Tensor, num_nodes: int) -> Tensor:
    """Number of the edge between all consecutive nodes of every path; of duplicates the first.

    Args:
        paths: [P, l + 1] long.
        edge_index: [2, E] long, the edges the paths were found with.
        num_nodes: N.

    Shapes:
        returns [P, l] long; entry [r, i] is the edge from ``paths[r, i]`` to ``paths[r, i + 1]``.

    Raises:
        GraphError: paths that do not follow the edges.

    Example:
        >>> path_edges(torch.tensor([[2, 1, 0]]), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3).tolist()
        [[3, 1]]
    """
    key, order = torch.sort(edge_index[0] * num_nodes + edge_index[1], stable=True)
    found, place = lookup(key, (paths[:, :-1] * num_nodes + paths[:, 1:]).flatten())
    if not bool(found.all()):
        row = int((~found).nonzero()[0]) // (paths.size(1) - 1)
        raise GraphError(f"path {row} ({' -> '.join(map(str, paths[row].tolist()))}) does not follow the edges")
    return order[place].view(paths.size(0), -1) if place.numel() else paths[:, 1:].clone()


@torch.no_grad()
def path_distances(paths: Tensor, edge_index: Tensor, ptr: Tensor) -> Tensor:
    """Number of hops from the root of every path to every node on it.

    Args:
        paths: [P, l + 1] long, root first.
        edge_index: [2, E] long, the edges the paths were found with.
        ptr: [G + 1] long, first node of every graph.

    Shapes:
        returns [P, l + 1] long, between 0 and l.

    Example:
        >>> triangle = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
        >>> path_distances(torch.tensor([[0, 1, 2]]), triangle, torch.tensor([0, 3])).tolist()
        [[0, 1, 1]]
    """
    pairs = torch.stack([paths[:, :1].expand_as(paths).flatten(), paths.flatten()])
    return pair_distances(edge_index, ptr, pairs, paths.size(1) - 1).view_as(paths)


def _into_every_node(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Pointers [N + 1] and increasing sources of the edges into every node, without loops and duplicates."""
    source, target = edge_index[:, edge_index[0] != edge_index[1]]
    key = (target * num_nodes + source).unique()
    rows = torch.arange(num_nodes + 1, device=key.device) * num_nodes
    return torch.searchsorted(key, rows), key % max(num_nodes, 1)


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


def _simple(columns: list[Tensor], row: Tensor, new: Tensor, pair: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Which candidates visit no node twice; ``seen`` as it was."""
    distinct = torch.ones_like(new, dtype=torch.bool)
    for column in columns:
        distinct &= column[row] != new
    return distinct.nonzero().flatten(), seen


def _all_shortest(columns: list[Tensor], row: Tensor, new: Tensor, pair: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Which candidates make a pair that no shorter path makes; the pairs seen by now, marked or sorted."""
    if seen.dtype == torch.bool:
        kept = (~seen[pair]).nonzero().flatten()
        return kept, seen.index_fill_(0, pair[kept], True)
    kept = (~lookup(seen, pair)[0]).nonzero().flatten()
    return kept, torch.cat([seen, pair[kept].unique()]).sort().values


def _shortest(columns: list[Tensor], row: Tensor, new: Tensor, pair: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The first of those for every pair."""
    kept, seen = _all_shortest(columns, row, new, pair, seen)
    pair, number = pair[kept], torch.arange(kept.numel(), device=kept.device)
    if seen.dtype == torch.bool:
        first = torch.empty(seen.numel(), dtype=torch.long, device=seen.device)
        first = first.index_fill_(0, pair, kept.numel()).scatter_reduce_(0, pair, number, "amin")
        return kept[first[pair] == number], seen
    pair, order = torch.sort(pair, stable=True)
    first = torch.ones_like(pair, dtype=torch.bool)
    first[1:] = pair[1:] != pair[:-1]
    return kept[order[first].sort().values], seen


_FILTERS: dict[str, Callable[[list[Tensor], Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "shortest": _shortest,
    "all_shortest": _all_shortest,
    "simple": _simple,
}
