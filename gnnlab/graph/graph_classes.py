"""Classes of graphs that a refinement cannot tell apart, on a disjoint union of graphs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, nearest
from gnnlab.graph._check import check_union
from gnnlab.graph._colours import as_classes
from gnnlab.graph._noise import mix
from gnnlab.graph._refinement import EqualGraphs, Refinement, signatures
from gnnlab.graph.buckets import SortedUnion, sort_union
from gnnlab.graph.distance_wl import DistanceWL
from gnnlab.graph.path_wl import PathWL
from gnnlab.graph.subgraph_wl import SubgraphWL
from gnnlab.graph.tuple_wl import TupleWL
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["REFINEMENTS", "graph_classes"]

_CHUNK = 2**18
"""Words refined at once: 2 MB, and a few times that for a round."""

_BYTES = 6 * 8
"""Of memory for every word: itself, what it says and hears, and the next one."""

REFINEMENTS: dict[str, Refinement] = {
    "wl": TupleWL(1),
    "2-wl": TupleWL(2),
    "2-fwl": TupleWL(2, folklore=True),
    "3-wl": TupleWL(3),
    "swl-vs": SubgraphWL(("uL",), "vs"),
    "swl-sv": SubgraphWL(("uL",), "sv"),
    "pswl-vs": SubgraphWL(("uL", "vv"), "vs"),
    "pswl-sv": SubgraphWL(("uL", "vv"), "sv"),
    "gswl": SubgraphWL(("uL", "vG"), "vs"),
    "sswl": SubgraphWL(("uL", "vL"), "vs"),
    "1,1-wl": TupleWL(1, 1),
    "1,2-wl": TupleWL(1, 2),
    "2,1-wl": TupleWL(2, 1),
    "2,1-fwl": TupleWL(2, 1, folklore=True),
    "spd-wl": DistanceWL(),
    "resistance-wl": DistanceWL("resistance"),
    "path-wl": PathWL(),
}
"""Methods by name; any other ``k-wl``, ``k-fwl``, ``k,l-wl`` and ``k,l-fwl`` is known as well."""

_TUPLES = re.compile(r"(\d+)(?:,(\d+))?-(f?)wl")


@torch.no_grad()
def graph_classes(
    edge_index: Tensor,
    ptr: Tensor,
    method: str | Refinement = "wl",
    x: Tensor | None = None,
    edge_colour: Tensor | None = None,
    iterations: int | None = None,
    *,
    max_rows: int = 2**25,
) -> Tensor:
    r"""Classes of graphs that a refinement of colours cannot tell apart, the oracle of the network of its name.

    ``method`` is a name or a refinement with other settings:

    * ``wl``, colour refinement: message passing networks.
    * ``k-wl`` (oblivious) and ``k-fwl`` (folklore, as strong as ``k+1-wl``): 2-IGN and PPGN;
      ``k,l-wl`` and ``k,l-fwl``, the same on copies with l labelled nodes: see :class:`gnnlab.graph.TupleWL`.
    * ``swl-vs``, ``swl-sv``, ``pswl-vs``, ``pswl-sv``, ``gswl``, ``sswl``, subgraph networks: see
      :class:`gnnlab.graph.SubgraphWL`.
    * ``spd-wl`` and ``resistance-wl``, attention with distances: see :class:`gnnlab.graph.DistanceWL`.
    * ``path-wl``, path networks: see :class:`gnnlab.graph.PathWL`.

    A colour is a 64-bit word, hashed from those it follows from; a multiset is the sum of its mixed words. A round
    needs no sorting, and a word means the same in any union. Graphs with different words are told apart for certain
    (but for ``resistance-wl``, whose resistances are residues modulo two primes: a graph whose number of spanning trees
    one of them divides, about one in :math:`2^{31}`, loses what that prime says);
    R different colours are all given different words but for a probability of about :math:`R^2 / 2^{65}`, and a
    multiset whose multiplicities share the factor :math:`2^j` has the words of :math:`64 - j` bits:
    :func:`gnnlab.graph.colour_refinement` hashes nothing. Graphs of one size are refined together, a chunk after the
    other, so memory follows the largest graph.

    Messages go from source to target; duplicate edges count, but for distances and paths.

    Args:
        edge_index: [2, E] long, node ids of the union.
        ptr: [G + 1] long, first node of every graph.
        method: A name, or a refinement.
        x: [N] or [N, C], colours of the nodes to start from: rows are equal or not. All equal by default.
        edge_colour: [E] or [E, D], colours of the edges; all equal by default. Distances and paths do not read them.
        iterations: Rounds; until no class of any graph splits any more by default.
        max_rows: Most colours of one graph (its nodes, pairs or tuples), of 48 bytes each.

    Shapes:
        returns [G] long, numbers from 0 that follow the union: equal numbers mean not told apart.

    Raises:
        ConfigError: unknown method, or negative ``iterations``.
        GraphError: tensors that do not describe a union, or colours that do not match it or are nan.
        BudgetError: a graph with more than ``max_rows`` colours.

    Example:
        >>> ring = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> two = torch.tensor([[6, 7, 8, 9, 10, 11], [7, 8, 6, 10, 11, 9]])
        >>> edges = torch.cat([ring, ring.flip(0), two, two.flip(0)], 1)
        >>> [graph_classes(edges, torch.tensor([0, 6, 12]), method).unique().numel() for method in ("wl", "swl-vs")]
        [1, 2]
    """
    refinement = refinement_of(method) if isinstance(method, str) else method
    if iterations is not None and iterations < 0:
        raise ConfigError(f"iterations must be at least 0, got {iterations}", where="graph_classes")
    batch = check_union(edge_index, ptr)
    node = as_classes(x, batch.numel(), "x", ptr.device)
    edge = as_classes(edge_colour, edge_index.size(1), "edge_colour", ptr.device)
    sizes = ptr.diff()
    _check_budget(refinement, int(sizes.max()) if sizes.numel() else 0, max_rows)
    # By target, so that what a node hears lies together.
    union = sort_union(edge_index.flip(0), edge, batch, ragged_arange(sizes, batch.numel()), sizes)
    words = torch.zeros_like(sizes)
    for first, last, graphs in _chunks(union, torch.empty_like(node).index_copy_(0, union.row, node), refinement):
        word = signatures(refinement.program(graphs), iterations)
        words[union.group[first:last]] = mix(word + mix(torch.full_like(word, graphs.size + 1)))
    return words.unique(return_inverse=True)[1]


def refinement_of(name: str) -> Refinement:
    """What a name stands for.

    Raises:
        ConfigError: an unknown name.
    """
    if name in REFINEMENTS:
        return REFINEMENTS[name]
    found = _TUPLES.fullmatch(name)
    if found is None:
        raise ConfigError(f"unknown method {name!r}", where="graph_classes", hint=nearest(name, REFINEMENTS))
    return TupleWL(int(found[1]), int(found[2] or 0), folklore=bool(found[3]))


def _check_budget(refinement: Refinement, largest: int, max_rows: int) -> None:
    rows = refinement.rows(largest)
    if rows > max_rows:
        raise BudgetError(
            f"a graph of {largest:,} nodes has {rows:,} colours, more than {max_rows:,}, and takes about "
            f"{_BYTES * rows / 2**30:.1f} GiB",
            where=f"graph_classes({refinement})",
            hint="take tuples of fewer nodes ('wl' has one colour per node), or raise max_rows",
        )


def _chunks(union: SortedUnion, node: Tensor, refinement: Refinement) -> Iterator[tuple[int, int, EqualGraphs]]:
    """Ranges of graphs of one size, as many as are refined together."""
    sizes, counts = union.ptr.diff().unique_consecutive(return_counts=True)
    coloured, first = bool((union.weight != 0).any()), 0
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        room = max(_CHUNK // max(refinement.rows(size), 1), 1)
        for last in [*range(first + room, first + count, room), first + count]:
            begin, end = int(union.ptr[first]), int(union.ptr[last])
            pointers, source, label = union.edges(begin, end)
            edge_index = torch.stack([source, expand_ptr(pointers, source.numel())])
            words = mix(node[begin:end] + 1).view(last - first, size)
            yield first, last, EqualGraphs(last - first, size, edge_index, words, mix(label + 1) if coloured else None)
            first = last
