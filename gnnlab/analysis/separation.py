"""Which graphs an encoding tells apart, exactly and without training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.analysis._quantise import quantise
from gnnlab.analysis.evidence import Evidence, written_evidence
from gnnlab.data import GraphStore
from gnnlab.errors import BudgetError, ConfigError, GraphError, nearest
from gnnlab.graph import colour_refinement, refine_with_pairs
from gnnlab.graph._colours import multiset_classes, row_classes
from gnnlab.ops import expand_ptr
from gnnlab.transform import Transform

__all__ = ["SeparationReport", "family_classes", "separated_pairs"]

Method = Transform | Callable[[Data], Evidence]

_TOLERANCE = 1e-6
_CELLS = 2**20
"""Pairs of nodes in one chunk of graphs, renumbered copies included."""


@dataclass(frozen=True)
class SeparationReport:
    """Classes of the graphs of every group (two graphs of a pair, or all of a family).

    Args:
        classes: [G] long; graphs of a group with different numbers were told apart.
        group: [G] long.
        unstable: [G] bool, graphs told apart from a renumbered copy of themselves: an encoding that follows the
            numbering of the nodes, or rounding above the tolerance. What it says about them counts for nothing.
        joined: Widest difference that was taken for rounding, as a multiple of the tolerance: should be far below 1.
        cut: Narrowest difference that was taken for one, likewise: should be far above 1.
    """

    classes: Tensor
    group: Tensor
    unstable: Tensor
    joined: float
    cut: float

    @property
    def separated(self) -> Tensor:
        """[groups] bool, pairs of stable graphs that were told apart."""
        first, second = self.classes.view(-1, 2).unbind(1)
        return (first != second) & ~self.unstable.view(-1, 2).any(1)

    @property
    def num_classes(self) -> int:
        """Classes of graphs, of all groups together."""
        return row_classes(torch.stack([self.group, self.classes], 1)).unique().numel()


@torch.no_grad()
def separated_pairs(
    store: GraphStore,
    method: Method,
    colouring: str = "wl",
    *,
    tolerance: float = _TOLERANCE,
    seed: int = 0,
    track: Callable[[Iterable[Tensor]], Iterable[Tensor]] = iter,
) -> SeparationReport:
    """Which pairs of graphs (2p and 2p + 1, as in BREC) an encoding tells apart.

    ``"multiset"`` compares the values themselves: those of the graphs, and the multisets of those of nodes, edges
    and pairs. ``"wl"`` refines colours with them, which is as far as any message passing network can get: nodes
    start from their values, edges carry theirs; values of pairs colour the complete graph, or the pairs given.
    Values are compared as :func:`gnnlab.analysis._quantise.quantise` says, with the values of a pair of graphs and
    of a renumbered copy of each together, so a difference is a difference between graphs and not of rounding.

    Args:
        store: The graphs.
        method: A transform, of which all ``pe_*``, ``edge_pe_*`` and ``pair_pe_*`` count, or a function of a union
            that returns :class:`Evidence`.
        colouring: ``"multiset"`` or ``"wl"``.
        tolerance: Differences up to this, relative to the magnitude of a column (at least 1), are rounding.
        seed: Of the renumbered copies.
        track: Wraps the chunks of work, for a progress bar.

    Raises:
        ConfigError: unknown colouring, or a transform that writes no encoding.
        GraphError: an odd number of graphs, or values that are not numbers.

    Example:
        >>> from gnnlab.encodings import RandomWalkPE
        >>> ring = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> two = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]])
        >>> graphs = [Data(edge_index=torch.cat([e, e.flip(0)], 1), num_nodes=6) for e in (ring, two)]
        >>> separated_pairs(GraphStore.from_data_list(graphs), RandomWalkPE(walk_length=3)).separated.tolist()
        [True]
    """
    if len(store) % 2:
        raise GraphError(f"{len(store)} graphs are no pairs")
    return _report(store, torch.arange(len(store)) // 2, method, colouring, tolerance, seed, track)


@torch.no_grad()
def family_classes(
    store: GraphStore, method: Method, colouring: str = "wl", *, tolerance: float = _TOLERANCE, seed: int = 0
) -> SeparationReport:
    """How many of the graphs of a family an encoding tells apart (``num_classes``); see :func:`separated_pairs`.

    Raises:
        BudgetError: the family has more pairs of nodes than fit into one comparison.
    """
    group = torch.zeros(len(store), dtype=torch.long)
    pairs = 2 * int(store.sizes("node").square().sum())
    if pairs > 16 * _CELLS:
        raise BudgetError(
            f"{len(store):,} graphs and their copies have {pairs:,} pairs of nodes, more than {16 * _CELLS:,}",
            where="family_classes",
            hint="compare a part of the family: store.subset(...)",
        )
    return _report(store, group, method, colouring, tolerance, seed, iter)


def _report(
    store: GraphStore,
    group: Tensor,
    method: Method,
    colouring: str,
    tolerance: float,
    seed: int,
    track: Callable[[Iterable[Tensor]], Iterable[Tensor]],
) -> SeparationReport:
    if colouring not in _COLOURINGS:
        raise ConfigError(f"unknown colouring {colouring!r}", hint=nearest(colouring, _COLOURINGS))
    classes, unstable, joined, cut = [], [], 0.0, torch.inf
    generator = torch.Generator().manual_seed(seed)
    for index in track(_chunks(store.sizes("node"), group)):
        union = _with_copies(store, index, generator)
        found = method(union) if not isinstance(method, Transform) else written_evidence(method, union)
        levels = _Levels(union, group[index].repeat(2) - group[index[0]], tolerance)
        original, copy = _COLOURINGS[colouring](levels, found).chunk(2)
        classes.append(original)
        unstable.append(original != copy)
        joined, cut = max(joined, levels.joined), min(cut, levels.cut)
    return SeparationReport(torch.cat(classes), group, torch.cat(unstable), joined, cut)


class _Levels:
    """Classes of the values of one union, which remembers how clear they were.

    Args:
        union: The graphs, then their copies.
        group: [G] long, graphs that are compared.
        tolerance: See :func:`quantise`.
    """

    def __init__(self, union: Batch, group: Tensor, tolerance: float) -> None:
        self.union, self.group, self.tolerance = union, group, tolerance
        self.owner = expand_ptr(union.ptr)
        self.joined, self.cut = 0.0, torch.inf

    def classes(self, values: Tensor | None, graph: Tensor) -> Tensor:
        """[R] long, of the rows of ``values`` [R, F] that belong to the graphs ``graph`` [R]; 0 without values."""
        if values is None:
            return torch.zeros_like(graph)
        if bool(values.isnan().any()):
            raise GraphError("an encoding holds values that are not numbers")
        classes, joined, cut = quantise(values, self.group[graph], self.tolerance)
        self.joined, self.cut = max(self.joined, joined), min(self.cut, cut)
        return row_classes(classes)

    def graphs(self, *columns: tuple[Tensor, Tensor]) -> Tensor:
        """[G] long, of graphs by the multisets of several levels: (classes [R], graph [R]) of each."""
        bags = [multiset_classes(classes, graph, self.group.numel()) for classes, graph in columns]
        return row_classes(torch.stack(bags, 1))


def _multiset(levels: _Levels, found: Evidence) -> Tensor:
    own = torch.arange(levels.group.numel())
    columns = [(levels.classes(found.graph, own), own), (levels.classes(found.node, levels.owner), levels.owner)]
    if found.edge is not None:
        owner = levels.owner[levels.union.edge_index[0]]
        columns.append((levels.classes(found.edge, owner), owner))
    if found.pair is not None:
        owner = levels.owner[found.pairs[0]]
        columns.append((levels.classes(found.pair, owner), owner))
    return levels.graphs(*columns)


def _wl(levels: _Levels, found: Evidence) -> Tensor:
    union, owner = levels.union, levels.owner
    own = torch.arange(levels.group.numel())
    start = levels.classes(found.node, owner)
    if found.pair is not None:
        colour = levels.classes(found.pair, owner[found.pairs[0]])
        colours = refine_with_pairs(found.pairs, colour, union.ptr, start)
    else:
        edge = levels.classes(found.edge, owner[union.edge_index[0]])
        colours = colour_refinement(union.edge_index, union.ptr, start, edge_colour=edge)
    return levels.graphs((levels.classes(found.graph, own), own), (colours, owner))


_COLOURINGS: dict[str, Callable[[_Levels, Evidence], Tensor]] = {"multiset": _multiset, "wl": _wl}


def _chunks(sizes: Tensor, group: Tensor) -> list[Tensor]:
    """Indices of the graphs of consecutive groups that fit into one chunk."""
    counts = torch.bincount(group)
    cells = torch.zeros(counts.numel(), dtype=torch.long).index_add_(0, group, 2 * sizes.square())
    chunk, chunks, room = 0, [], _CELLS
    for size in cells.tolist():
        if size > room and room < _CELLS:
            chunk, room = chunk + 1, _CELLS
        room -= size
        chunks.append(chunk)
    of_graph = torch.tensor(chunks)[group]
    return list(torch.arange(group.numel()).split(torch.bincount(of_graph).tolist()))


def _with_copies(store: GraphStore, index: Tensor, generator: torch.Generator) -> Batch:
    """The union of graphs and of a copy of each whose nodes have other numbers."""
    union = store[torch.cat([index, index])]
    nodes, half = union.num_nodes, union.num_nodes // 2
    # Random numbers sorted within their graph are a permutation of it.
    order = torch.rand(nodes, generator=generator).argsort()
    order = order[union.batch[order].argsort(stable=True)]
    order[:half] = torch.arange(half)
    for key, column in store.columns.items():
        if column.level == "node":
            union[key] = union[key].index_select(column.cat_dim, order)
    union.edge_index = order.argsort()[union.edge_index]
    del union.adj
    return union
