"""Classes of all graphs or nodes of a dataset after every round of a refinement, with or without an encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch_geometric.data import Data

from gnnlab.analysis._quantise import quantise
from gnnlab.analysis.evidence import Evidence, written_evidence
from gnnlab.data import GraphStore
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import colour_hashes, colour_refinement, graph_classes, graph_colours, refine_with_pairs
from gnnlab.graph._colours import as_classes, row_classes
from gnnlab.ops import expand_ptr, ragged_arange
from gnnlab.transform import Transform

__all__ = ["Union", "copies", "encoded_classes", "hashed_classes", "refined_classes", "union_of", "with_twins"]

_CELLS = 2**20
"""Pairs of nodes in one chunk of graphs."""

_EDGES = 2**21
"""Edges and nodes in one chunk of graphs whose colours are hashed."""

_LARGEST = 2**24
"""Pairs of nodes whose values are compared."""

_PAUSES = (1, 2, 4, 8)
"""Rounds after which graphs that are alone in their class are dropped on the way to stable colours."""

_FIXED = ("exact", "up to sign", "up to basis")

Track = Callable[[Sequence[Tensor]], Iterable[Tensor]]


@dataclass(frozen=True)
class Union:
    """All graphs side by side, with the colours their features give nodes and edges."""

    edge_index: Tensor
    ptr: Tensor
    node: Tensor
    edge: Tensor

    def classes(self, colours: Tensor, level: str) -> Tensor:
        """Classes of graphs by the multisets of their colours, or of nodes by their colours."""
        return graph_colours(colours, self.ptr) if level == "graph" else colours


def union_of(store: GraphStore, node_features: bool, edge_features: bool) -> Union:
    """The union of all graphs of a store; only the columns that count are read."""
    nodes = store.sizes("node").to(store.device)
    ptr = torch.cat([nodes.new_zeros(1), nodes.cumsum(0)])
    if "edge_index" in store.columns:
        edges = store.column("edge_index")
        edges = edges + ptr[:-1].repeat_interleave(store.sizes("edge").to(ptr.device))
    else:
        edges = ptr.new_zeros(2, 0)
    read = {"x": node_features, "edge_attr": edge_features}
    columns = {key: store.column(key) if wanted and key in store.columns else None for key, wanted in read.items()}
    node = as_classes(columns["x"], int(ptr[-1]), "x", ptr.device)
    return Union(edges, ptr, node, as_classes(columns["edge_attr"], edges.size(1), "edge_attr", ptr.device))


def refined_classes(
    union: Union, level: str, rounds: Sequence[int | None], method: str = "wl", max_rows: int = 2**25
) -> dict[int | None, Tensor]:
    """Classes after so many rounds each; ``None`` stands for as many as split anything.

    Raises:
        ConfigError: classes of nodes by a method that has colours of graphs only, or an unknown method.
    """
    if method != "wl":
        if level != "graph":
            raise ConfigError(f"{method!r} has classes of graphs, not of nodes", where="ceilings", hint="take 'wl'")
        found = {}
        for count in rounds:
            arguments = (union.edge_index, union.ptr, method, union.node, union.edge, count)
            found[count] = graph_classes(*arguments, max_rows=max_rows)
        return found

    if level == "graph":
        return dict(_graph_steps(union, rounds))

    def step(colours: Tensor, count: int | None) -> Tensor:
        return colour_refinement(union.edge_index, union.ptr, colours, iterations=count, edge_colour=union.edge)

    return dict(_steps(union.node, rounds, step))


def hashed_classes(union: Union, level: str, rounds: Sequence[int | None], track: Track) -> dict[int | None, Tensor]:
    """The same by 64-bit words, a chunk of graphs after the other: a word means the same in all of them.

    Raises:
        ConfigError: coloured edges, or no number of rounds.
    """
    if union.edge.numel() and bool(union.edge.any()):
        raise ConfigError("hashed colours do not read edge features", where="ceilings", hint="edge_features=False")
    if None in rounds:
        raise ConfigError("hashes do not tell when colours are stable", where="ceilings", hint="number the iterations")
    edges = torch.bincount(expand_ptr(union.ptr)[union.edge_index[0]], minlength=union.ptr.numel() - 1)
    first_edge = torch.cat([edges.new_zeros(1), edges.cumsum(0)])
    words = {count: torch.empty_like(union.node) for count in rounds}
    for graphs in track(_chunks(edges + union.ptr.diff(), _EDGES)):
        begin, end = int(union.ptr[graphs[0]]), int(union.ptr[graphs[-1] + 1])
        local = union.edge_index[:, int(first_edge[graphs[0]]) : int(first_edge[graphs[-1] + 1])] - begin
        for count, word in words.items():
            word[begin:end] = colour_hashes(local, end - begin, count, union.node[begin:end])
    return {count: union.classes(row_classes(word[:, None]), level) for count, word in words.items()}


def encoded_classes(
    store: GraphStore,
    union: Union,
    level: str,
    rounds: Sequence[int | None],
    method: Transform | Callable[[Data], Evidence],
    tolerance: float | None,
    track: Track,
) -> tuple[dict[int | None, Tensor], float, float]:
    """Classes of colours that start from an encoding, and how clear its values were told apart.

    Raises:
        ConfigError: an encoding that follows the numbering of nodes, or draws at random.
        GraphError: values that are not numbers.
        BudgetError: more than 2^24 pairs of nodes with values.
    """
    if isinstance(method, Transform) and getattr(method, "equivariance", "exact") not in _FIXED:
        raise ConfigError(
            "its values do not follow from the graph alone, so they would tell any two graphs apart",
            where=f"ceilings({type(method).__name__})",
        )
    parts: list[Evidence] = []
    pairs = 0
    for graphs in track(_chunks(store.sizes("node").square(), _CELLS)):
        batch = store[graphs]
        part = written_evidence(method, batch) if isinstance(method, Transform) else method(batch)
        pairs += 0 if part.pairs is None else part.pairs.size(1)
        if pairs > _LARGEST:
            raise BudgetError(
                f"the encoding has values of more than {_LARGEST:,} pairs of nodes",
                where="ceilings",
                hint="take fewer graphs: store.subset(...), or an encoding of nodes or edges",
            )
        offset = int(union.ptr[graphs[0]])
        parts.append(Evidence(part.graph, part.node, part.edge, _moved(part.pairs, offset), part.pair))
    clear = [0.0, torch.inf]

    def numbers(name: str, rows: int, fill: float = 0.0) -> Tensor:
        values = _stacked([getattr(part, name) for part in parts], fill)
        if values is None:
            return union.ptr.new_zeros(rows)
        if bool(values.isnan().any()):
            raise GraphError("an encoding holds values that are not numbers", where="ceilings")
        classes, joined, cut = quantise(values, union.ptr.new_zeros(values.size(0)), tolerance)
        clear[:] = max(clear[0], joined), min(clear[1], cut)
        return row_classes(classes)

    # What a shorter spectrum lacks are the infinities that fill it up.
    graph = numbers("graph", union.ptr.numel() - 1, torch.inf)
    node = row_classes(torch.stack([union.node, numbers("node", union.node.numel())], 1))
    edge = row_classes(torch.stack([union.edge, numbers("edge", union.edge.numel())], 1))
    listed = [part.pairs for part in parts if part.pairs is not None]
    if listed:
        between, pair = torch.cat(listed, 1), numbers("pair", pairs)

    def step(colours: Tensor, count: int | None) -> Tensor:
        if listed:
            return refine_with_pairs(between, pair, union.ptr, colours, count)
        return colour_refinement(union.edge_index, union.ptr, colours, iterations=count, edge_colour=edge)

    of = graph if level == "graph" else graph[expand_ptr(union.ptr)]
    found = {}
    for count, colours in _steps(node, rounds, step):
        found[count] = row_classes(torch.stack([of, union.classes(colours, level)], 1))
    return found, *clear


def _steps(
    colours: Tensor, rounds: Sequence[int | None], step: Callable[[Tensor, int | None], Tensor]
) -> Iterator[tuple[int | None, Tensor]]:
    """Colours after so many rounds, every one computed from those before: a colour holds all earlier ones."""
    done = 0
    for count in sorted(set(rounds), key=_depth):
        colours = step(colours, None if count is None else count - done)
        done = done if count is None else count
        yield count, colours


def _graph_steps(union: Union, rounds: Sequence[int | None]) -> Iterator[tuple[int | None, Tensor]]:
    """Classes of graphs after so many rounds. A graph that is alone in its class stays so, and is refined no more."""
    alone = torch.arange(union.ptr.numel() - 1, device=union.ptr.device)
    graphs, done = alone, 0
    wanted = sorted(set(rounds), key=_depth)
    for count in sorted({*wanted, *(_PAUSES if None in wanted else ())}, key=_depth):
        left = None if count is None else count - done
        node = colour_refinement(union.edge_index, union.ptr, union.node, iterations=left, edge_colour=union.edge)
        union, done = Union(union.edge_index, union.ptr, node, union.edge), done if count is None else count
        if count in wanted:
            classes = alone.clone()
            classes[graphs] = alone.numel() + graph_colours(node, union.ptr)
            yield count, row_classes(classes[:, None])
        graphs, union = with_twins(graphs, union)


def with_twins(graphs: Tensor, union: Union) -> tuple[Tensor, Union]:
    """Only those graphs whose colours another one has too."""
    word = graph_colours(union.node, union.ptr)
    twin = torch.bincount(word)[word] > 1
    return graphs[twin], copies(union, twin.nonzero().flatten())


def copies(union: Union, graphs: Tensor) -> Union:
    """The union of the given graphs, in that order; a graph may occur more than once."""
    sizes = union.ptr.diff()[graphs]
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    nodes = union.ptr[graphs].repeat_interleave(sizes) + ragged_arange(sizes, int(ptr[-1]))
    # Edges of a graph need not lie together.
    owner = expand_ptr(union.ptr)[union.edge_index[0]]
    order = owner.argsort(stable=True)
    counts = torch.bincount(owner, minlength=union.ptr.numel() - 1)
    start, counts = (counts.cumsum(0) - counts)[graphs], counts[graphs]
    edges = order[start.repeat_interleave(counts) + ragged_arange(counts, int(counts.sum()))]
    shift = (ptr[:-1] - union.ptr[graphs]).repeat_interleave(counts)
    return Union(union.edge_index[:, edges] + shift, ptr, union.node[nodes], union.edge[edges])


def _depth(count: int | None) -> float:
    return torch.inf if count is None else count


def _chunks(weight: Tensor, room: int) -> list[Tensor]:
    """Consecutive graphs that weigh about so much together, or one that weighs more."""
    if weight.numel() == 0:
        return []
    # What lies before a graph, in multiples of the room: a chunk is too heavy by its last graph at most.
    weight = weight.cpu()
    chunk = (weight.cumsum(0) - weight) // room
    return list(torch.arange(weight.numel()).split(chunk.unique_consecutive(return_counts=True)[1].tolist()))


def _moved(pairs: Tensor | None, offset: int) -> Tensor | None:
    return None if pairs is None else pairs + offset


def _stacked(tables: Sequence[Tensor | None], fill: float) -> Tensor | None:
    """Rows of all tables, narrow ones filled up."""
    found = [table for table in tables if table is not None]
    if not found:
        return None
    width = max(table.size(1) for table in found)
    return torch.cat([pad(table, (0, width - table.size(1)), value=fill) for table in found])
