"""Classes of isomorphic graphs: colours first, then nodes told apart one by one, all graphs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.analysis._hashed_colours import without_clear_cases
from gnnlab.analysis.ceilings_colours import Union, copies, with_twins
from gnnlab.graph import colour_refinement, graph_colours
from gnnlab.graph._colours import multiset_classes, row_classes
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["Isomorphism", "isomorphism_classes"]

_ROUNDS = (1, 2, 4, None)
"""Rounds of refinement between which what has no counterpart is dropped: most is gone early."""

_WIDTHS = (1, 16, 256)
"""Partial maps of a pair of graphs that are followed side by side; wider only where the narrow search was cut."""

_LEVELS = 200
"""Nodes that are told apart in a graph before the search gives up."""

_ROOM = 2**22
"""Nodes and edges of all partial maps that are refined together."""

Track = Callable[[Sequence[Tensor]], Iterable[Tensor]]


class Isomorphism(NamedTuple):
    """``classes`` [G] long, equal where shown to be isomorphic; ``undecided`` [G] bool, where that was left open."""

    classes: Tensor
    undecided: Tensor


def isomorphism_classes(union: Union, work: int = 2**24, track: Track = iter) -> Isomorphism:
    """Classes of isomorphic graphs, with colours of nodes and edges.

    Colour refinement tells most graphs apart. Where stable colours of two graphs agree and no two nodes of a graph
    share one, the graphs are isomorphic. Other graphs get one node of their smallest cell a colour of its own, and are
    refined again, until no two nodes share a colour: if that ends alike for two graphs they are isomorphic, whichever
    nodes were taken. For those that do not end alike all nodes of the cell are tried, and a pair of graphs is different
    when every attempt has failed. ``work`` bounds the nodes and edges that are refined in these attempts, all together.
    """
    count = union.ptr.numel() - 1
    classes = torch.arange(count, device=union.ptr.device)
    undecided = torch.zeros(count, dtype=torch.bool, device=union.ptr.device)
    graphs, part = without_clear_cases(union)
    for rounds in _ROUNDS:
        graphs, part = with_twins(graphs, _refined(part, rounds))
    graphs, part = with_twins(graphs, _refined(_ordered_twins(part)))
    if graphs.numel() == 0:
        return Isomorphism(classes, undecided)
    alike = graph_colours(part.node, part.ptr)
    found, undecided[graphs] = _Search(part, work, track).classes(alike, _first_paths(part))
    classes[graphs] = graphs[_first_of(found)]
    return Isomorphism(row_classes(classes[:, None]), undecided)


def _refined(union: Union, rounds: int | None = None) -> Union:
    node = colour_refinement(union.edge_index, union.ptr, union.node, iterations=rounds, edge_colour=union.edge)
    return Union(union.edge_index, union.ptr, node, union.edge)


def _ordered_twins(union: Union) -> Union:
    """Nodes that can be exchanged without changing anything else get different colours, in any order.

    Those are nodes of one colour that have the same neighbours, or would have if each were its own neighbour: leaves
    of a star, nodes of a clique. Which is first does not matter, as exchanging them changes nothing.
    """
    source, target = union.edge_index
    nodes = torch.arange(union.node.numel(), device=source.device)
    # The colour a node's own loop would have has to follow from its colour: the largest it hears.
    loop = torch.zeros_like(nodes).scatter_reduce_(0, target, union.edge, "amax")
    node = union.node
    for own in (nodes[:0], nodes):
        ends = torch.cat([union.edge_index, own.expand(2, -1)], 1)
        labels = torch.cat([union.edge, loop[own]])
        heard, told = (
            multiset_classes(row_classes(torch.stack([other, labels], 1)), one, nodes.numel())
            for one, other in (ends.flip(0), ends)
        )
        # A node without neighbours is nobody's neighbour in all graphs: only twins of one graph are exchanged.
        same = row_classes(torch.stack([expand_ptr(union.ptr), node, heard, told], 1))
        node = row_classes(torch.stack([node, _rank(same)], 1))
    return Union(union.edge_index, union.ptr, node, union.edge)


def _rank(group: Tensor) -> Tensor:
    """[R] long, how many earlier rows are of the same group."""
    order = group.argsort(stable=True)
    sizes = group[order].unique_consecutive(return_counts=True)[1]
    return torch.empty_like(group).index_copy_(0, order, ragged_arange(sizes, group.numel()))


def _first_of(group: Tensor) -> Tensor:
    """[R] long, the first row of the group of every row."""
    place = torch.arange(group.numel(), device=group.device)
    return torch.full_like(group, group.numel()).scatter_reduce_(0, group, place, "amin")[group]


class _Cells(NamedTuple):
    """``inside`` [N] bool, nodes of the smallest cell of several nodes of every graph; ``size`` [G], 0 without one."""

    inside: Tensor
    size: Tensor


def _cells(union: Union) -> _Cells:
    """Cells are chosen by size, then colour, so by nothing that follows the numbering of the nodes."""
    owner, graphs = expand_ptr(union.ptr), union.ptr.numel() - 1
    colours = int(union.node.max()) + 1 if union.node.numel() else 1
    _, cell, counts = (owner * colours + union.node).unique(return_inverse=True, return_counts=True)
    size = counts[cell]
    none = (int(size.max()) + 1 if size.numel() else 1) * colours
    order = torch.where(size > 1, size * colours + union.node, none)
    least = torch.full((graphs,), none, device=order.device).scatter_reduce_(0, owner, order, "amin")
    inside = (order == least[owner]) & (order < none)
    return _Cells(inside, torch.zeros_like(least).index_add_(0, owner, inside.long()))


def _marked(union: Union, node: Tensor) -> Union:
    """The given nodes have colours of their own."""
    marked = (2 * union.node).index_add_(0, node, torch.ones_like(node))
    return Union(union.edge_index, union.ptr, marked, union.edge)


def _first_nodes(union: Union, cells: _Cells) -> Tensor:
    """The first node of the cell of every graph that has one."""
    return cells.inside.nonzero().flatten()[_starts(cells.size)[cells.size > 0]]


def _starts(sizes: Tensor) -> Tensor:
    return sizes.cumsum(0) - sizes


def _first_paths(union: Union) -> Tensor:
    """[G] long, equal for graphs that end alike if always the first node of a cell is singled out."""
    count = union.ptr.numel() - 1
    proven = torch.arange(count, device=union.ptr.device)
    graphs = proven
    for _ in range(_LEVELS):
        cells = _cells(union)
        word = graph_colours(union.node, union.ptr)
        done = cells.size == 0
        proven[graphs[done]] = graphs[_first_of(word)[done]]
        left = ~done & (torch.bincount(word)[word] > 1)
        if not bool(left.any()):
            break
        chosen = left.nonzero().flatten()
        graphs, union = graphs[chosen], copies(union, chosen)
        union = _refined(_marked(union, _first_nodes(union, _cells(union))))
    return row_classes(proven[:, None])


class _Search:
    """Decides what ``proven`` holds apart among graphs of a union that are ``alike``; marks what stays open."""

    def __init__(self, union: Union, work: int, track: Track) -> None:
        edges = torch.bincount(expand_ptr(union.ptr)[union.edge_index[0]], minlength=union.ptr.numel() - 1)
        self.union, self.work, self.track = union, work, track
        self.weight = (union.ptr.diff() + edges) * _cells(union).size

    def classes(self, alike: Tensor, proven: Tensor) -> tuple[Tensor, Tensor]:
        """[G] classes, and whether something about a graph stays open."""
        first, open_graphs = _first_of(proven), torch.zeros_like(proven, dtype=torch.bool)
        waiting = (first == torch.arange(first.numel(), device=first.device)).nonzero().flatten()
        while True:
            # One graph of every class is compared with all others that wait; those that differ from it wait on.
            base = waiting[_first_of(row_classes(alike[waiting, None]))]
            other = base != waiting
            base, waiting = base[other], waiting[other]
            if waiting.numel() == 0:
                return proven, open_graphs
            same, undecided = self.compare(base, waiting)
            joined = torch.arange(proven.numel(), device=proven.device)
            joined[proven[waiting[same]]] = proven[base[same]]
            proven = joined[proven]
            open_graphs[base[undecided]] = open_graphs[waiting[undecided]] = True
            waiting = waiting[~same]

    def compare(self, base: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """[P] bool each: isomorphic, and not decided, for pairs of graphs of equal colours."""
        same = torch.zeros_like(base, dtype=torch.bool)
        undecided = torch.ones_like(same)
        for width in _WIDTHS:
            pairs = undecided.nonzero().flatten()
            load = self.weight[base[pairs]] * width
            # A pair that is too much by itself stays open.
            pairs, load = pairs[load <= _ROOM], load[load <= _ROOM]
            chunk = load.cumsum(0) // _ROOM
            for part in self.track(list(pairs.split(chunk.unique_consecutive(return_counts=True)[1].tolist()))):
                if self.work > 0:
                    same[part], undecided[part] = self.pairs(base[part], other[part], width)
        return same, undecided

    def pairs(self, base: Tensor, other: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """The same for few pairs, with at most ``width`` partial maps of every pair.

        The first node of a cell is singled out in the base, and every node of that cell in turn in copies of the other
        graph. An isomorphism maps the node somewhere, so one copy stays alike and goes on; if none does, there is none.
        """
        count = base.numel()
        same = torch.zeros(count, dtype=torch.bool, device=base.device)
        undecided, cut = torch.ones_like(same), torch.zeros_like(same)
        pair = torch.arange(count, device=base.device).repeat(2)
        known = torch.arange(2 * count, device=base.device) < count  # whether it is a base
        part = copies(self.union, torch.cat([base, other]))
        for _ in range(_LEVELS):
            cells = _cells(part)
            if not bool((cells.size > 0).any()):
                break
            # All copies are alike, so their cells are of one size; the base tries the first node alone.
            tries = torch.where(known, 1, cells.size)
            source = torch.arange(tries.numel(), device=tries.device).repeat_interleave(tries)
            place = ragged_arange(tries, source.numel())
            node = cells.inside.nonzero().flatten()[_starts(cells.size)[source] + place] - part.ptr[source]
            pair, known = pair[source], known[source]
            part = copies(part, source)
            part = _marked(part, node + part.ptr[:-1])
            for rounds in _ROUNDS:
                part = _refined(part, rounds)
                self.work -= part.node.numel() + part.edge.numel()
                word = graph_colours(part.node, part.ptr)
                wanted = torch.zeros_like(same, dtype=torch.long)
                wanted[pair[known]] = word[known]
                alive = (word == wanted[pair]).nonzero().flatten()
                pair, known, part = pair[alive], known[alive], copies(part, alive)
            left = torch.zeros_like(wanted).index_add_(0, pair, (~known).long())
            found = torch.zeros_like(same).index_fill_(0, pair[~known & (_cells(part).size == 0)], True)
            same |= found
            undecided &= ~found & ((left > 0) | cut)
            kept = ((left > 0) & ~found)[pair].nonzero().flatten()
            rank = _rank(2 * pair[kept] + known[kept].long())
            cut = cut.index_fill(0, pair[kept[rank >= width]], True)
            kept = kept[rank < width]
            pair, known, part = pair[kept], known[kept], copies(part, kept)
        return same, undecided
