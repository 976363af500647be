"""Classes of the examples of a dataset: by rounds of message passing, and by what sees more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.analysis._hashed_colours import graph_words, node_words
from gnnlab.analysis._quantise import quantise
from gnnlab.analysis.ceilings_colours import Union, copies
from gnnlab.errors import BudgetError
from gnnlab.graph import colour_refinement, graph_classes, graph_colours, walk_return_probabilities
from gnnlab.graph._colours import row_classes

__all__ = ["Beyond", "Round", "beyond_classes", "round_classes"]

_DEEPEST, _MESSAGES = 128, 2 * 10**8
"""Rounds of nodes if their colours go on splitting, and the edges of all rounds together."""

_STEPS = 20
_TRIPLES = 3 * 10**8
"""Triples of nodes of all graphs together up to which pairs are refined: what a round takes."""

_WORK = 2 * 10**10
"""Multiply-adds of walks: half a minute of one core at most."""

_STRONGER = {"swl-vs": "subgraph network, SWL(VS)", "2-fwl": "network on pairs of nodes, 2-FWL"}


class Round(NamedTuple):
    """``rounds`` of message passing (``None``: as many as tell anything apart) and ``classes`` [R] after them."""

    rounds: int | None
    classes: Tensor


class Beyond(NamedTuple):
    """What a method tells apart, ``classes`` [R]; or why that was not computed."""

    method: str
    classes: Tensor | None
    reason: str = ""


def round_classes(union: Union, level: str, rounds: int) -> Iterator[Round]:
    """Classes after 0, 1, ..., ``rounds`` rounds, and when nothing splits any more: by 64-bit words, of graphs exactly.

    Colours of nodes that go on splitting for too long end with the number of rounds they have had.
    """
    count, deepest = -1, max(min(_DEEPEST, _MESSAGES // max(union.edge.numel(), 1)), rounds + 1)
    for depth, word in enumerate(node_words(union)):
        classes = _classes(graph_words(word, union.ptr) if level == "graph" else word)
        if depth <= rounds:
            yield Round(depth, classes)
        if level == "graph" and depth == rounds:
            yield Round(None, _stable(union, classes))
            return
        if level != "graph" and (_number(classes) == count or depth == deepest):
            yield from (Round(more, classes) for more in range(depth + 1, rounds + 1))
            yield Round(None if _number(classes) == count else depth, classes)
            return
        count = _number(classes)


def beyond_classes(union: Union, stable: Tensor, same: Tensor | None) -> list[Beyond]:
    """What more is told apart by walks, and of graphs by subgraph networks, pairs, and any function of the graph.

    Only graphs that message passing cannot tell apart are looked at, one of all that are the same graph: nothing
    can tell those apart, and nothing here tells less apart than message passing.

    Args:
        union: All graphs.
        stable: [R] classes of message passing, of graphs or nodes.
        same: [G] classes of isomorphic graphs; ``None`` where examples are nodes.
    """
    if same is None:
        return [_walks(union, "node", stable)]
    same = row_classes(same[:, None])
    first = _firsts(same)
    open_ = first[torch.bincount(stable[first], minlength=_number(stable))[stable[first]] > 1]
    part = copies(union, open_)
    rows = [_walks(part, "graph", stable[open_])]
    rows += [_stronger(part, method, stable[open_]) for method in _STRONGER]
    spread = [Beyond(row.method, _spread(row.classes, open_, same, stable), row.reason) for row in rows]
    return [*spread, Beyond("any function of the graph", same)]


def _stable(union: Union, classes: Tensor) -> Tensor:
    """Exact stable classes of graphs; only those that share a class so far are refined."""
    shared = (torch.bincount(classes)[classes] > 1).nonzero().flatten()
    part = copies(union, shared)
    node = colour_refinement(part.edge_index, part.ptr, part.node, edge_colour=part.edge)
    result = torch.arange(classes.numel(), device=classes.device)
    result[shared] = classes.numel() + graph_colours(node, part.ptr)
    return row_classes(result[:, None])


def _walks(union: Union, level: str, stable: Tensor) -> Beyond:
    """Message passing from the chances of walks of 1 to 20 steps to come back: RWSE."""
    method = "message passing + random walks (RWSE)"
    try:
        returns = walk_return_probabilities(union.edge_index, union.ptr, _STEPS, max_work=_WORK)
    except BudgetError as error:
        return Beyond(method, None, error.what)
    values = quantise(returns, torch.zeros_like(union.node)).classes
    start = row_classes(torch.cat([union.node[:, None], values], 1))
    node = colour_refinement(union.edge_index, union.ptr, start, edge_colour=union.edge)
    found = graph_colours(node, union.ptr) if level == "graph" else node
    return Beyond(method, row_classes(torch.stack([stable, found], 1)))


def _stronger(union: Union, method: str, stable: Tensor) -> Beyond:
    name, sizes = _STRONGER[method], union.ptr.diff().double()
    if float(sizes.pow(3).sum()) > _TRIPLES:
        return Beyond(name, None, f"{sizes.numel():,} graphs of up to {int(sizes.max()):,} nodes take too long")
    found = graph_classes(union.edge_index, union.ptr, method, union.node, union.edge)
    return Beyond(name, row_classes(torch.stack([stable, found], 1)))


def _spread(found: Tensor | None, open_: Tensor, same: Tensor, stable: Tensor) -> Tensor | None:
    """Classes of all graphs, from those of the ``open_`` ones."""
    if found is None:
        return None
    of = stable.new_full((_number(same),), -1)
    of[same[open_]] = found
    return row_classes(torch.stack([stable, of[same]], 1))


def _firsts(classes: Tensor) -> Tensor:
    place = torch.arange(classes.numel(), device=classes.device)
    return torch.full((_number(classes),), place.numel()).scatter_reduce_(0, classes, place, "amin")


def _classes(words: Tensor) -> Tensor:
    return words.unique(return_inverse=True)[1]


def _number(classes: Tensor) -> int:
    return int(classes.max()) + 1 if classes.numel() else 0
