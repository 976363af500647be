"""Which graphs an encoding tells apart, exactly and without training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

__all__ = ["SeparationReport", "family_classes", "separated_pairs", "separation"]

Method = Transform | Callable[[Data], Evidence]

_CELLS = 2**20
"""Pairs of nodes in one chunk of graphs, renumbered copies included."""

_LARGEST_GROUP = 2**24


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
def separation(
    store: GraphStore,
    method: Method,
    group: Tensor,
    colourings: Sequence[str] = ("multiset", "wl"),
    *,
    tolerance: float | None = None,
    seed: int = 0,
    track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter,
) -> dict[str, SeparationReport]:
    """Which graphs of every group an encoding tells apart, by one or several colourings.

    ``"multiset"`` compares the values themselves: those of the graphs, and the multisets of those of nodes, edges
    and pairs. ``"wl"`` refines colours with them, which is as far as any message passing network can get: nodes
    start from their values, edges carry theirs; values of pairs colour the complete graph (or the pairs there are).

    Values are compared within a group, together with those of a renumbered copy of every graph, by sorting and
    cutting at gaps, never by rounding to fixed places: rounding resistances to five decimals "separates" a pair of
    BREC (316) that exact arithmetic does not. Columns of integers are compared exactly.

    Args:
        store: The graphs.
        method: A transform, of which all ``pe_*``, ``edge_pe_*`` and ``pair_pe_*`` count, or a function of a union
            that returns :class:`Evidence` (see :data:`INVARIANTS`). Encodings fixed up to signs or a basis are
            replaced by eigenvalues and, per node, the sum of squares over an eigenspace.
        group: [G] long, non-decreasing from 0; graphs of one group are compared.
        colourings: Of ``"multiset"`` and ``"wl"``.
        tolerance: Differences up to this, relative to the magnitude of a column (at least 1), are rounding; 1e-6 for
            values in single precision and 1e-11 in double by default.
        seed: Of the renumbered copies.
        track: Wraps the chunks of work, for a progress bar.

    Raises:
        ConfigError: unknown colouring, or a transform that writes no encoding.
        GraphError: values that are not numbers.
        BudgetError: a group of graphs with more than 2^24 pairs of nodes, copies included.
    """
    for name in colourings:
        if name not in _COLOURINGS:
            raise ConfigError(f"unknown colouring {name!r}", where="separation", hint=nearest(name, _COLOURINGS))
    found: dict[str, list[Tensor]] = {name: [] for name in colourings}
    joined, cut = 0.0, torch.inf
    generator = torch.Generator().manual_seed(seed)
    for index in track(_chunks(store.sizes("node"), group)):
        union = _with_copies(store, index, generator)
        evidence = written_evidence(method, union) if isinstance(method, Transform) else method(union)
        classes = _Classes(union, evidence, (group[index] - group[index[0]]).repeat(2), tolerance)
        joined, cut = max(joined, classes.joined), min(cut, classes.cut)
        for name in colourings:
            found[name].append(_COLOURINGS[name](classes).view(2, -1))
    reports = {}
    for name, parts in found.items():
        original, copy = torch.cat(parts, 1) if parts else torch.zeros(2, 0, dtype=torch.long)
        reports[name] = SeparationReport(original, group, original != copy, joined, cut)
    return reports


def separated_pairs(
    store: GraphStore, method: Method, colouring: str = "wl", *, tolerance: float | None = None, seed: int = 0
) -> SeparationReport:
    """Which pairs of graphs (2p and 2p + 1, as in BREC) an encoding tells apart; see :func:`separation`.

    Raises:
        GraphError: an odd number of graphs.

    Example:
        >>> from gnnlab.encodings import RandomWalkPE
        >>> ring = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> two = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]])
        >>> graphs = [Data(edge_index=torch.cat([e, e.flip(0)], 1), num_nodes=6) for e in (ring, two)]
        >>> separated_pairs(GraphStore.from_data_list(graphs), RandomWalkPE(walk_length=3)).separated.tolist()
        [True]
    """
    if len(store) % 2:
        raise GraphError(f"{len(store)} graphs are no pairs", where="separated_pairs")
    group = torch.arange(len(store)) // 2
    return separation(store, method, group, [colouring], tolerance=tolerance, seed=seed)[colouring]


def family_classes(
    store: GraphStore, method: Method, colouring: str = "wl", *, tolerance: float | None = None, seed: int = 0
) -> SeparationReport:
    """How many of the graphs of a family an encoding tells apart (``num_classes``); see :func:`separation`."""
    group = torch.zeros(len(store), dtype=torch.long)
    return separation(store, method, group, [colouring], tolerance=tolerance, seed=seed)[colouring]


class _Classes:
    """Classes of all values of one union, and how clear the cuts were.

    Args:
        union: The graphs, then their copies.
        evidence: Their values.
        group: [G] long, graphs that are compared.
        tolerance: See :func:`quantise`.
    """

    def __init__(self, union: Batch, evidence: Evidence, group: Tensor, tolerance: float | None) -> None:
        self.union, self.group, self.tolerance = union, group, tolerance
        self.joined, self.cut = 0.0, torch.inf
        node = expand_ptr(union.ptr)
        graph = torch.arange(group.numel(), device=group.device)
        self.owners = {"graph": graph, "node": node, "edge": node[union.edge_index[0]]}
        self.pairs = evidence.pairs
        if evidence.pair is not None:
            self.owners["pair"] = node[evidence.pairs[0]]
        self.levels = {level: self._of(getattr(evidence, level), owner) for level, owner in self.owners.items()}

    def _of(self, values: Tensor | None, owner: Tensor) -> Tensor:
        if values is None:
            return torch.zeros_like(owner)
        if bool(values.isnan().any()):
            raise GraphError("an encoding holds values that are not numbers", where="separation")
        classes, joined, cut = quantise(values, self.group[owner], self.tolerance)
        self.joined, self.cut = max(self.joined, joined), min(self.cut, cut)
        return row_classes(classes)

    def graphs(self, levels: dict[str, Tensor]) -> Tensor:
        """[G] long, classes of the graphs by the multisets of the classes of several levels."""
        bags = [multiset_classes(each, self.owners[level], self.group.numel()) for level, each in levels.items()]
        return row_classes(torch.stack(bags, 1))


def _multiset(classes: _Classes) -> Tensor:
    return classes.graphs(classes.levels)


def _wl(classes: _Classes) -> Tensor:
    levels, union = classes.levels, classes.union
    if "pair" in levels:
        colours = refine_with_pairs(classes.pairs, levels["pair"], union.ptr, levels["node"])
    else:
        colours = colour_refinement(union.edge_index, union.ptr, levels["node"], edge_colour=levels["edge"])
    return classes.graphs({"graph": levels["graph"], "node": colours})


_COLOURINGS: dict[str, Callable[[_Classes], Tensor]] = {"multiset": _multiset, "wl": _wl}


def _chunks(sizes: Tensor, group: Tensor) -> list[Tensor]:
    """Indices of the graphs of consecutive groups that fit into one chunk."""
    if group.numel() == 0:
        return []
    counts = torch.bincount(group)
    cells = torch.zeros(counts.numel(), dtype=torch.long).index_add_(0, group, 2 * sizes.square())
    if int(cells.max()) > _LARGEST_GROUP:
        raise BudgetError(
            f"graphs to be compared and their copies have {int(cells.max()):,} pairs of nodes, more than "
            f"{_LARGEST_GROUP:,}",
            where="separation",
            hint="compare fewer of them: store.subset(...)",
        )
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
