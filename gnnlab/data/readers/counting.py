"""Substructure counting (Chen et al., NeurIPS 2020): random graphs in DGL's binary format, and what they hold."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._text import numbers, read_bytes
from gnnlab.data.readers._union import store_from_union
from gnnlab.errors import ConfigError, DataError, nearest
from gnnlab.graph import subgraph_counts

__all__ = ["TARGETS", "DGLGraphs", "count_targets", "decode_dgl_graphs", "normalised", "read_counting"]

TARGETS = {
    "triangle": "cycle-3",
    "tailed_triangle": "paw",
    "star": "star-3",
    "chordal_cycle": "chordal-square",
    "cycle_4": "cycle-4",
    "cycle_5": "cycle-5",
    "cycle_6": "cycle-6",
}
"""Target -> the pattern that is counted, as :func:`gnnlab.graph.subgraph_counts` names it."""

_RELEASED = ("triangle", "tailed_triangle", "star", "chordal_cycle")
"""Targets whose counts are in the file."""

_FILE, _VERSION, _IMMUTABLE = 0xDD2E4FF046B4A13F, 1, 1
_ARRAY = 0xDD5E40F096B4A13F
_HEAD = 4096
"""Bytes set aside for the head of a file."""

_DTYPES = {(0, 32): "<i4", (0, 64): "<i8", (2, 32): "<f4", (2, 64): "<f8"}
"""DLPack's code (0 integer, 2 floating point) and bits of a number."""


def read_counting(
    files: dict[str, Path], card: Card, *, targets: Sequence[str] = tuple(TARGETS), counts: str = "subgraph"
) -> RawDataset:
    """Read the graphs of the benchmark; ``y`` is how often every pattern occurs, divided by its standard deviation.

    Features are constant. The scheme ``official`` is that of the index files.

    Args:
        files: ``graphs``, written by ``dgl.save_graphs`` (0.4.3); ``train``, ``val``, ``test``, a number per line.
        card: The dataset's card.
        targets: Of :data:`TARGETS`, one column of ``y`` each.
        counts: ``"subgraph"`` counts subgraphs, which later studies predict; ``"released"`` takes the numbers of the
            file, which are of induced subgraphs but for the star.

    Raises:
        ConfigError: unknown target or ``counts``, or one whose counts are not in the file.
        DataError: a file of another format.
    """
    known = {"subgraph": TARGETS, "released": _RELEASED}
    if counts not in known:
        raise ConfigError(f"unknown counts '{counts}'", where=card.name, hint=nearest(counts, known))
    _check(targets, known[counts], card.name)
    content = decode_dgl_graphs(read_bytes(files["graphs"]), str(files["graphs"]))
    if counts == "released":
        y = torch.stack([content.labels[target] for target in targets], 1)
    else:
        y = count_targets(content.edge_index, content.num_nodes, targets, card.name)
    scaled, deviation = normalised(y)
    store = store_from_union(
        card,
        content.edge_index,
        content.num_nodes,
        node={"x": torch.ones(int(content.num_nodes.sum()), 1)},
        graph={"y": scaled},
    )
    parts = {part: numbers(read_bytes(files[part]), str(files[part])) for part in ("train", "val", "test")}
    fold = {part: torch.from_numpy(index) for part, index in parts.items()}
    return RawDataset(store.replace(meta={"deviation": deviation}), {"official": [fold]})


def count_targets(edge_index: Tensor, num_nodes: Tensor, targets: Sequence[str], where: str) -> Tensor:
    """[G, T] long, how often every pattern occurs in every graph.

    Raises:
        ConfigError: unknown target.

    Example:
        >>> square_with_diagonal = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])
        >>> count_targets(square_with_diagonal, torch.tensor([4]), list(TARGETS), "example").tolist()
        [[2, 4, 2, 1, 1, 0, 0]]
    """
    _check(targets, TARGETS, where)
    ptr = torch.cat([num_nodes.new_zeros(1), num_nodes.cumsum(0)])
    return torch.cat([subgraph_counts(edge_index, ptr, TARGETS[target], level="graph") for target in targets], 1)


def normalised(counts: Tensor) -> tuple[Tensor, list[float]]:
    """[G, T] float, counts divided by their (unbiased) standard deviations over all graphs, and these."""
    deviation = counts.double().std(0)
    return (counts / deviation).float(), deviation.tolist()


class DGLGraphs(NamedTuple):
    """``num_nodes`` [G], ``edge_index`` [2, E] (nodes of the union, edges in their order), ``labels`` by name."""

    num_nodes: Tensor
    edge_index: Tensor
    labels: dict[str, Tensor]


def decode_dgl_graphs(raw: bytes, where: str = "DGL graphs") -> DGLGraphs:
    """Decode what ``dgl.save_graphs`` of DGL 0.4 writes for graphs without features.

    After 4096 bytes of head (magic number, version and kind, 64 bits each): the number of graphs, three vectors (where
    each graph starts, its nodes, its edges), labels by name, then for every graph three arrays of its edges by target
    (first edge of every node, sources, numbers of the edges) and its (no) node and edge features. Arrays have a
    head of their own. The sizes say where everything is, so the graphs are read at once.

    Raises:
        DataError: another format or version, a file that is cut short, graphs with features.
    """
    stream = _Stream(raw, where)
    if stream.take("<u8", 3).tolist() != [_FILE, _VERSION, _IMMUTABLE]:
        raise DataError("is no file of graphs of DGL 0.4", where=where)
    stream.place = _HEAD
    graphs = int(stream.words(1)[0])
    starts, nodes, edges = (stream.vector() for _ in range(3))
    labels = {stream.text(): stream.array() for _ in range(int(stream.words(1)[0]))}
    sizes = 3 * 6 + (nodes + 1) + 2 * edges + 2  # in words of 64 bits: heads of arrays, arrays, counts of features
    body = stream.words(int(sizes.sum()))
    first = sizes.cumsum() - sizes
    if len(starts) != graphs or ((starts - starts[:1]) // 8 != first).any() or stream.place != len(raw):
        raise DataError("holds features, or graphs that are not stored one after the other", where=where)
    heads = np.stack([first, first + nodes + 7, first + nodes + edges + 13])
    if (body[heads].view(np.uint64) != _ARRAY).any() or body[first + sizes - 2].any():
        raise DataError("an array does not start where it should, or there are features", where=where)
    source, number = _ragged(first + nodes + 13, edges), _ragged(first + nodes + edges + 19, edges)
    degree = np.diff(body[_ragged(first + 6, nodes + 1)])
    degree = np.delete(degree, (nodes + 1).cumsum()[:-1] - 1)  # between two graphs
    offset = np.repeat(nodes.cumsum() - nodes, edges)
    ends = np.stack([body[source] + offset, np.repeat(np.arange(nodes.sum()), degree)])
    order = np.empty(ends.shape[1], dtype=np.int64)
    order[body[number] + np.repeat(edges.cumsum() - edges, edges)] = np.arange(order.size)
    return DGLGraphs(torch.from_numpy(nodes.copy()), torch.from_numpy(ends[:, order]), labels)


class _Stream:
    """Reads numbers of 64 bits, vectors, texts and arrays one after the other."""

    def __init__(self, raw: bytes, where: str) -> None:
        self.raw, self.where, self.place = raw, where, 0

    def take(self, dtype: str, count: int) -> np.ndarray:
        size = count * np.dtype(dtype).itemsize
        if count < 0 or self.place + size > len(self.raw):
            raise DataError("is cut short", where=self.where, hint="delete it and fetch it again")
        self.place += size
        return np.frombuffer(self.raw, dtype, count, self.place - size)

    def words(self, count: int) -> np.ndarray:
        return self.take("<i8", count)

    def vector(self) -> np.ndarray:
        return self.words(int(self.words(1)[0]))

    def text(self) -> str:
        return self.take("u1", int(self.words(1)[0])).tobytes().decode("latin1")

    def array(self) -> Tensor:
        magic, _, _, _, dims, code, bits, _ = struct.unpack("<QQiiiBBH", self.take("u1", 32).tobytes())
        if magic != _ARRAY or (code, bits) not in _DTYPES:
            raise DataError("an array does not start where it should", where=self.where)
        shape = self.words(dims)
        self.words(1)  # its size in bytes
        return torch.from_numpy(self.take(_DTYPES[code, bits], int(shape.prod())).reshape(shape).copy())


def _ragged(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """first[g], first[g] + 1, ..., first[g] + count[g] - 1 for every g."""
    return np.repeat(first - (count.cumsum() - count), count) + np.arange(count.sum())


def _check(targets: Sequence[str], known: Sequence[str] | dict[str, str], where: str) -> None:
    for target in targets:
        if target not in known:
            raise ConfigError(f"unknown target '{target}'", where=where, hint=nearest(target, known))
    if not targets:
        raise ConfigError("no targets", where=f"{where}, key options.targets", hint=f"of {', '.join(known)}")
