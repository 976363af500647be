"""Paths of a disjoint union: enumerated by length, the edges they take, and distances along them."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._engine import engine
from gnnlab.graph._lookup import lookup
from gnnlab.graph._paths_torch import FILTERS, lengthened
from gnnlab.graph._search import widest
from gnnlab.graph.distances import shortest_path_distances
from gnnlab.graph.near_distances import pair_distances

__all__ = ["PathKind", "enumerate_paths", "path_distances", "path_edges"]

PathKind: TypeAlias = Literal["shortest", "all_shortest", "simple"]

_MOST_CELLS = 1 << 24
"""Distances in the table that paths are looked up in, of 64 MB; in larger unions the pairs on paths are sorted."""


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
    if kind not in FILTERS:
        raise ConfigError(f"unknown kind '{kind}'", where="enumerate_paths", hint=nearest(str(kind), FILTERS))
    if length < 1:
        raise ConfigError(f"length must be at least 1, got {length}", where="enumerate_paths")
    ptr = torch.tensor([0, num_nodes], device=edge_index.device) if ptr is None else ptr
    batch = check_union(edge_index, ptr)
    if batch.numel() != num_nodes:
        raise GraphError(f"ptr counts {batch.numel()} nodes, but num_nodes is {num_nodes}")
    # From the far end to the root, against the edges: paths that end alike become neighbours in the table.
    given = edge_index, ptr, batch, length, kind, max_paths, max_gigabytes
    search = None if kind == "simple" else engine(ptr.device, None, "gnnlab.graph._paths_numba:shortest_paths")
    tables = search(*given) if search else None
    # What is too many for a search is counted again, length by length, by what can tell how many.
    return lengthened(*given) if tables is None else tables


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
    cutoff, width, num_nodes = paths.size(1) - 1, widest(ptr), int(ptr[-1])
    if num_nodes * width > _MOST_CELLS:
        pairs = torch.stack([paths[:, :1].expand_as(paths).flatten(), paths.flatten()])
        return pair_distances(edge_index, ptr, pairs, cutoff).view_as(paths)
    # Paths go through the same pairs over and over: all distances are fewer.
    table = shortest_path_distances(edge_index, ptr, cutoff).flatten()
    check_pairs(paths.reshape(1, -1).expand(2, -1), num_nodes)
    root = paths[:, 0]
    base = root * width - ptr[torch.repeat_interleave(ptr.diff(), output_size=num_nodes)[root]]
    out = torch.zeros_like(paths)
    for place, node in enumerate(paths.unbind(1)[1:], start=1):
        out[:, place] = table[base + node]
    return out
