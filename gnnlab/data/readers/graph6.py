"""Files of graph6 strings (McKay), decoded all at once: families of graphs that are hard to tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import everything
from gnnlab.data.readers._text import read_bytes
from gnnlab.data.store import GraphStore
from gnnlab.errors import DataError

__all__ = ["decode_graph6", "graph6_store", "read_graph6"]

_HEADER = b">>graph6<<"


def read_graph6(files: dict[str, Path], card: Card) -> RawDataset:
    """Read a family of graphs with constant features; every graph is a class of its own.

    The scheme ``all`` trains, validates and tests on all graphs: accuracy is the share of graphs a model can
    tell apart (a model bounded by 1-WL stays at one in as many as there are).

    Args:
        files: ``graphs``, one graph6 string per line.
        card: The dataset's card.
    """
    strings = read_bytes(files["graphs"]).split()
    store = graph6_store(card, strings, {"y": torch.arange(len(strings))}, str(files["graphs"]))
    return RawDataset(store, {"all": everything(len(strings))})


def graph6_store(card: Card, strings: Sequence[bytes], graph: dict[str, Tensor], where: str) -> GraphStore:
    """A store of decoded graphs with a column of ones as ``x``, and the graph columns given."""
    num_nodes, num_edges, edge_index = decode_graph6(strings, where)
    return GraphStore.from_tensors(
        num_nodes=num_nodes,
        num_edges=num_edges,
        edge_index=edge_index,
        node={"x": torch.ones(int(num_nodes.sum()), 1)},
        graph=graph,
        name=card.name,
        task=card.task,
    )


def decode_graph6(strings: Sequence[bytes], where: str = "graph6") -> tuple[Tensor, Tensor, Tensor]:
    """Decode graph6 strings of up to 258,047 nodes, with or without the ``>>graph6<<`` header.

    Bit k of a graph is the pair (i, j), i < j, with k = j (j - 1) / 2 + i.

    Args:
        strings: [G] strings.
        where: Named in errors.

    Shapes:
        Returns ``num_nodes`` [G], ``num_edges`` [G] (directed) and ``edge_index`` [2, E], both directions,
        node ids local to each graph.

    Raises:
        DataError: a string that is no graph6 string, naming the graph.

    Example:
        >>> num_nodes, num_edges, edge_index = decode_graph6([b"Bw"])
        >>> num_nodes.tolist(), edge_index.tolist()
        ([3], [[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]])
    """
    strings = [string.removeprefix(_HEADER) for string in strings]
    lengths = np.array([len(string) for string in strings], dtype=np.int64)
    raw = np.frombuffer(b"".join(strings), dtype=np.uint8).astype(np.int64) - 63
    starts = np.cumsum(lengths) - lengths
    owner = np.repeat(np.arange(lengths.size), lengths)
    bad = (raw < 0) | (raw > 63)
    if bad.any() or not lengths.all():
        graph = int(owner[bad.argmax()]) if bad.any() else int((lengths == 0).argmax())
        raise DataError(f"graph {graph} is not a graph6 string", where=where)
    head, num_nodes = _sizes(raw, starts, lengths, where)
    pairs = num_nodes * (num_nodes - 1) // 2
    wrong = np.flatnonzero(lengths != head + (pairs + 5) // 6)
    if wrong.size:
        g = int(wrong[0])
        raise DataError(f"graph {g}: {lengths[g]} characters do not encode {num_nodes[g]} nodes", where=where)
    bits = ((raw[:, None] >> np.arange(5, -1, -1)) & 1).reshape(-1)
    place = np.flatnonzero(bits)
    graph = owner[place // 6]
    bit = place - 6 * (starts + head)[graph]
    inside = (bit >= 0) & (bit < pairs[graph])
    graph, bit = graph[inside], bit[inside]
    # The root is exact to one unit in double precision; the comparison settles it.
    j = ((1 + np.sqrt(1.0 + 8.0 * bit)) / 2).astype(np.int64)
    j -= j * (j - 1) // 2 > bit
    i = bit - j * (j - 1) // 2
    source, target, graph = np.append(i, j), np.append(j, i), np.append(graph, graph)
    order = np.lexsort((target, source, graph))
    counts = torch.from_numpy(np.bincount(graph, minlength=lengths.size))
    edge_index = torch.from_numpy(np.stack([source, target])[:, order])
    return torch.from_numpy(num_nodes), counts, edge_index


def _sizes(raw: np.ndarray, starts: np.ndarray, lengths: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Characters that hold the number of nodes (1, or 4 of which the first is 63), and that number."""
    long = raw[starts] == 63
    if (long & (lengths < 4)).any() or (long & (raw[np.minimum(starts + 1, raw.size - 1)] == 63)).any():
        raise DataError("holds a graph of more than 258,047 nodes, or one cut short", where=where)
    digits = raw[np.minimum(starts[:, None] + np.arange(1, 4), raw.size - 1)] << np.array([12, 6, 0])
    return np.where(long, 4, 1), np.where(long, digits.sum(1), raw[starts])
