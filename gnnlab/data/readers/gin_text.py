"""The text format of the GIN release: all graphs in one file, one line per node (Xu et al., ICLR 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import gin_folds, stratified_folds
from gnnlab.data.readers._text import Archive, numbers, tokens_per_line
from gnnlab.data.readers._union import degree, one_hot, store_from_union, undirected
from gnnlab.errors import ConfigError, DataError, nearest

__all__ = ["GinText", "parse_gin_text", "read_gin_text"]


@dataclass(frozen=True)
class GinText:
    """What such a file holds.

    Args:
        num_nodes: [G] long.
        labels: [G] long, as written.
        tags: [N] long, as written.
        edge_index: [2, E] long, global node ids, both directions, each edge once.
    """

    num_nodes: Tensor
    labels: Tensor
    tags: Tensor
    edge_index: Tensor


def read_gin_text(files: dict[str, Path], card: Card, *, member: str, features: str = "tags") -> RawDataset:
    """Read a zip of the GIN release with its ten folds, and ten stratified folds with a validation part.

    Args:
        files: ``archive``, the zip.
        card: The dataset's card.
        member: Base name of the text file inside.
        features: ``tags`` (one-hot over the tags that occur), ``degree_one_hot`` (over the degrees that occur)
            or ``constant`` (one column of ones), which is what the GIN paper uses for chemistry, for
            collaboration networks and for REDDIT.

    Raises:
        DataError: a file that does not follow the format, naming graph or line.
    """
    if features not in _FEATURES:
        raise ConfigError(f"unknown features '{features}'", where=card.name, hint=nearest(features, _FEATURES))
    archive = Archive(files["archive"])
    parsed = parse_gin_text(archive[member], archive.where(member))
    y = parsed.labels.unique(return_inverse=True)[1]
    x = _FEATURES[features](parsed)
    store = store_from_union(card, parsed.edge_index, parsed.num_nodes, node={"x": x}, graph={"y": y})
    return RawDataset(store, {"gin": gin_folds(archive), "stratified": stratified_folds(y)})


def parse_gin_text(text: bytes, where: str) -> GinText:
    """Parse ``G``, then per graph ``n label``, then per node ``tag degree neighbour ...``.

    Edges are made undirected and repeated ones merged, as the release's own loader does through networkx.
    """
    counts = tokens_per_line(text)
    values = numbers(text, where)
    if not counts.size or counts[0] != 1:
        raise DataError("the first line must be the number of graphs", where=where)
    starts = np.cumsum(counts) - counts
    headers = _header_lines(values, starts, counts.size, where)
    wrong = np.flatnonzero(counts[headers] != 2)
    if wrong.size:
        raise DataError(f"graph {wrong[0]}: expected 'nodes label' in line {headers[wrong[0]] + 1}", where=where)
    num_nodes = values[starts[headers]]
    is_node = np.ones(counts.size, dtype=bool)
    is_node[0] = is_node[headers] = False
    lines = np.flatnonzero(is_node)
    listed = values[starts[lines] + 1]
    short = np.flatnonzero(counts[lines] != listed + 2)
    if short.size:
        line = lines[short[0]]
        message = f"line {line + 1}: {listed[short[0]]} neighbours announced, {counts[line] - 2} listed"
        raise DataError(message, where=where)
    node = np.repeat(np.arange(lines.size), listed)
    slot = np.arange(node.size) - np.repeat(np.cumsum(listed) - listed, listed)
    first_node = np.repeat(np.cumsum(num_nodes) - num_nodes, num_nodes)
    neighbour = values[starts[lines][node] + 2 + slot]
    outside = np.flatnonzero((neighbour < 0) | (neighbour >= np.repeat(num_nodes, num_nodes)[node]))
    if outside.size:
        line = lines[node[outside[0]]]
        raise DataError(f"line {line + 1}: neighbour {neighbour[outside[0]]} is not in the graph", where=where)
    edges = torch.from_numpy(np.stack([node, neighbour + first_node[node]]))
    return GinText(
        num_nodes=torch.from_numpy(num_nodes),
        labels=torch.from_numpy(values[starts[headers] + 1]),
        tags=torch.from_numpy(values[starts[lines]]),
        edge_index=undirected(edges, lines.size),
    )


def _header_lines(values: np.ndarray, starts: np.ndarray, num_lines: int, where: str) -> np.ndarray:
    """Line of every graph's header; where the next one is depends on the size in this one."""
    headers, line = [], 1
    for graph in range(int(values[0])):
        if line >= num_lines:
            raise DataError(f"graph {graph} of {values[0]}: the file ends before it", where=where)
        headers.append(line)
        line += 1 + int(values[starts[line]])
    if line != num_lines:
        raise DataError(f"the {values[0]} graphs need {line} lines, the file has {num_lines}", where=where)
    return np.array(headers, dtype=np.int64)


def _tags(parsed: GinText) -> Tensor:
    return one_hot(parsed.tags.unique(return_inverse=True)[1])


def _degree_one_hot(parsed: GinText) -> Tensor:
    return one_hot(degree(parsed.edge_index, parsed.tags.numel()).unique(return_inverse=True)[1])


def _constant(parsed: GinText) -> Tensor:
    return torch.ones(parsed.tags.numel(), 1)


_FEATURES: dict[str, Callable[[GinText], Tensor]] = {
    "tags": _tags,
    "degree_one_hot": _degree_one_hot,
    "constant": _constant,
}
