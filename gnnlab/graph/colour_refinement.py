"""Colour refinement (1-WL) on a disjoint union of graphs, with colours of edges and of node pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gnnlab.errors import ConfigError, nearest
from gnnlab.graph._check import check_pairs, check_union
from gnnlab.graph._colours import as_classes, multiset_classes, row_classes
from gnnlab.graph._noise import mix
from gnnlab.ops import expand_ptr

__all__ = ["colour_hashes", "colour_refinement", "graph_colours", "refine_with_pairs"]

_STEP = 0x9E3779B97F4A7C15 - 2**64


@torch.no_grad()
def colour_refinement(
    edge_index: Tensor,
    ptr: Tensor,
    x: Tensor | None = None,
    method: str = "wl",
    iterations: int | None = None,
    *,
    edge_colour: Tensor | None = None,
) -> Tensor:
    r"""Classes of nodes that colour refinement cannot tell apart (Weisfeiler and Leman, 1968).

    .. math:: c_v^{(t+1)} = \big(c_v^{(t)}, \{\!\{ (c_u^{(t)}, a_{uv}) : u \to v \}\!\}\big)

    Colours are numbers from 0 that mean the same in all graphs of the union, and follow the graph, not the
    numbering of its nodes. They are exact: multisets are compared by sorting, nothing is hashed. A round sorts the
    edges about twice, in time :math:`O(E \log E)` and memory :math:`O(E + N)`.

    Messages go from source to target; a duplicate edge is a second element of the multiset, a self-loop an element
    of the node itself.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        x: [N] or [N, C], colours to start from: rows are equal or not. All equal by default.
        method: ``"wl"``.
        iterations: Rounds; until no class splits any more by default (at most N).
        edge_colour: [E] or [E, D], colours of the edges; all equal by default.

    Shapes:
        returns [N] long

    Raises:
        ConfigError: unknown method, or negative ``iterations``.
        GraphError: tensors that do not describe a union, or colours that do not match it or are nan.

    Example:
        >>> star_and_edge = torch.tensor([[0, 1, 0, 2, 3, 4], [1, 0, 2, 0, 4, 3]])
        >>> colour_refinement(star_and_edge, torch.tensor([0, 3, 5])).tolist()
        [2, 1, 1, 0, 0]
    """
    if method not in _METHODS:
        raise ConfigError(f"unknown method {method!r}", where="colour_refinement", hint=nearest(method, _METHODS))
    if iterations is not None and iterations < 0:
        raise ConfigError(f"iterations must be at least 0, got {iterations}", where="colour_refinement")
    nodes = check_union(edge_index, ptr).numel()
    start = as_classes(x, nodes, "x", ptr.device)
    labels = as_classes(edge_colour, edge_index.size(1), "edge_colour", ptr.device)
    return _METHODS[method](edge_index, start, labels, nodes if iterations is None else iterations)


@torch.no_grad()
def refine_with_pairs(
    pairs: Tensor, pair_colour: Tensor, ptr: Tensor, x: Tensor | None = None, iterations: int | None = None
) -> Tensor:
    r"""Colour refinement on the complete graph whose edges carry the colours of node pairs.

    "Rethinking the Expressive Power of GNNs via Graph Biconnectivity" (Zhang et al., ICLR 2023, arXiv 2301.09505)
    with any colour in place of a distance: hops (SPD-WL), resistance (RD-WL), walk probabilities (what GRIT and
    Graphormer can tell apart at most).

    .. math:: c_v^{(t+1)} = \big(c_v^{(t)}, \{\!\{ (c_u^{(t)}, a_{uv}) : u \in V \}\!\}\big)

    A node always knows itself: the pair (v, v) counts as a colour of v. Exact, with the cost of
    :func:`colour_refinement` for P edges; take unions of a bounded number of pairs.

    Args:
        pairs: [2, P] long, ordered pairs (u, v) of nodes of the same graph; u reports to v.
        pair_colour: [P] or [P, D], rows are equal or not.
        ptr: [G + 1] long, first node of every graph.
        x: [N] or [N, C], colours to start from; all equal by default.
        iterations: Rounds; until no class splits any more by default.

    Shapes:
        returns [N] long

    Raises:
        ConfigError: negative ``iterations``.
        GraphError: pairs outside the union or between graphs, or colours that do not match or are nan.

    Example:
        >>> pairs = torch.tensor([[0, 1, 0, 1, 2, 3, 2, 3], [0, 0, 1, 1, 2, 2, 3, 3]])
        >>> refine_with_pairs(pairs, torch.tensor([0, 1, 1, 0, 0, 2, 2, 0]), torch.tensor([0, 2, 4])).tolist()
        [0, 0, 1, 1]
    """
    check_pairs(pairs, int(ptr[-1]))
    colour = as_classes(pair_colour, pairs.size(1), "pair_colour", ptr.device)
    same = (pairs[0] == pairs[1]).long()
    return colour_refinement(pairs, ptr, x, iterations=iterations, edge_colour=2 * colour + same)


@torch.no_grad()
def graph_colours(colours: Tensor, ptr: Tensor) -> Tensor:
    """Classes of graphs with the same multiset of colours.

    Args:
        colours: [N] long, of nodes (or of the rows of any other level).
        ptr: [G + 1] long, first row of every graph.

    Shapes:
        returns [G] long

    Example:
        >>> graph_colours(torch.tensor([0, 1, 1, 0, 1, 1]), torch.tensor([0, 2, 4, 6])).tolist()
        [0, 0, 1]
    """
    return multiset_classes(colours, expand_ptr(ptr, colours.numel()), ptr.numel() - 1)


@torch.no_grad()
def colour_hashes(edge_index: Tensor, num_nodes: int, iterations: int, x: Tensor | None = None) -> Tensor:
    r"""Names of colours that mean the same in any union: 64-bit hashes of the unfolding trees.

    The number :func:`colour_refinement` gives a colour depends on what else is in the union; a hash does not, so it
    can be stored, or fed to a network. Two different trees get the same hash with a probability of about
    :math:`2^{-64}`.

    Args:
        edge_index: [2, E] long; messages go from source to target.
        num_nodes: Number N of nodes.
        iterations: Depth of the trees.
        x: [N] long, colours to start from; all 0 by default.

    Shapes:
        returns [N] long

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> end, middle, other = colour_hashes(path, 3, iterations=2).tolist()
        >>> end == other, end == middle
        (True, False)
    """
    word = torch.zeros(num_nodes, dtype=torch.long, device=edge_index.device) if x is None else x
    word = mix(word * _STEP + 1)
    for depth in range(iterations):
        # Of mixed words: the sum of a multiset of bare ones would only count what it sums.
        message = mix(word + (2 * depth + 1))
        heard = torch.zeros_like(word).index_add_(0, edge_index[1], message[edge_index[0]])
        word = mix(mix(word + (2 * depth + 2)) + heard)
    return word


def _wl(edge_index: Tensor, colours: Tensor, labels: Tensor, rounds: int) -> Tensor:
    source, target = edge_index
    count = _classes(colours)
    for _ in range(rounds):
        heard = multiset_classes(row_classes(torch.stack([colours[source], labels], 1)), target, colours.numel())
        refined = row_classes(torch.stack([colours, heard], 1))
        finer = _classes(refined)
        if finer == count:
            break
        colours, count = refined, finer
    return colours


def _classes(colours: Tensor) -> int:
    return int(colours.max()) + 1 if colours.numel() else 0


_METHODS: dict[str, Callable[[Tensor, Tensor, Tensor, int], Tensor]] = {"wl": _wl}
