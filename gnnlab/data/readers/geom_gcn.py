"""WebKB and Actor as released with Geom-GCN (Pei et al., ICLR 2020): tab-separated text and npz splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils import coalesce

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import npz_folds
from gnnlab.data.readers._text import numbers, read_bytes, table, tokens_per_line
from gnnlab.data.readers._union import single_graph, undirected
from gnnlab.errors import DataError

__all__ = ["read_actor", "read_webkb"]


def read_webkb(files: dict[str, Path], card: Card, *, make_undirected: bool = False) -> RawDataset:
    """Read Cornell, Texas or Wisconsin: dense 0/1 features.

    Args:
        files: ``nodes``, ``edges`` (the two text files), ``split_0`` to ``split_9``.
        card: The dataset's card.
        make_undirected: Add the reverse of every edge. Upstream (and PyG) keep the hyperlinks directed.

    Raises:
        DataError: a line that does not follow the format.
    """
    return _read(files, card, _dense, make_undirected)


def read_actor(files: dict[str, Path], card: Card, *, make_undirected: bool = False) -> RawDataset:
    """Read the actor co-occurrence network: features are lists of the columns that are 1.

    Args:
        files: As :func:`read_webkb`.
        card: The dataset's card.
        make_undirected: As :func:`read_webkb`.
    """
    return _read(files, card, _sparse, make_undirected)


def _read(
    files: dict[str, Path], card: Card, features: Callable[[list[bytes], str], Tensor], make_undirected: bool
) -> RawDataset:
    where = str(files["nodes"])
    rows = [line.split(b"\t") for line in _body(files["nodes"]).splitlines() if line.strip()]
    odd = next((i for i, row in enumerate(rows) if len(row) != 3), None)
    if odd is not None:
        raise DataError(f"line {odd + 2} is not 'node <tab> features <tab> label'", where=where)
    ids, columns, labels = (list(column) for column in zip(*rows, strict=True))
    node = torch.from_numpy(numbers(b" ".join(ids), where))
    if not torch.equal(node.sort().values, torch.arange(node.numel())):
        raise DataError(f"nodes must be 0 to {node.numel() - 1}, each once", where=where)
    order = node.argsort()
    x = features(columns, where)[order]
    y = torch.from_numpy(numbers(b" ".join(labels), where))[order]
    edge_index = torch.from_numpy(table(_body(files["edges"]), str(files["edges"]))).t()
    join = undirected if make_undirected else _merged
    store = single_graph(card, join(edge_index, x.size(0)), x, y)
    return RawDataset(store, {"geom-gcn": npz_folds(files)})


def _body(path: Path) -> bytes:
    """The text after its header line."""
    return read_bytes(path).partition(b"\n")[2]


def _dense(columns: list[bytes], where: str) -> Tensor:
    return torch.from_numpy(table(b"\n".join(columns), where, np.float32))


def _sparse(columns: list[bytes], where: str) -> Tensor:
    text = b"\n".join(columns)
    column = torch.from_numpy(numbers(text, where))
    row = torch.arange(len(columns)).repeat_interleave(torch.from_numpy(tokens_per_line(text)))
    x = torch.zeros(len(columns), int(column.max()) + 1)
    x[row, column] = 1.0
    return x


def _merged(edge_index: Tensor, num_nodes: int) -> Tensor:
    return coalesce(edge_index, num_nodes=num_nodes)
