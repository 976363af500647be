"""Circulant skip links (Murphy et al., ICML 2019) as released with benchmarking-gnns: 150 graphs, 10 classes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch_geometric.utils import coalesce, remove_self_loops

from gnnlab.data._unpickle import load_pickle, load_torch
from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import Fold
from gnnlab.data.readers._text import Archive, numbers, read_bytes
from gnnlab.data.readers._union import store_from_union
from gnnlab.errors import DataError

__all__ = ["read_csl"]

_GRAPHS, _LABELS = "graphs_Kary_Deterministic_Graphs.pkl", "y_Kary_Deterministic_Graphs.pt"


def read_csl(files: dict[str, Path], card: Card) -> RawDataset:
    """Read the pickled adjacencies; the self-loops on their diagonals are dropped, as upstream does.

    Args:
        files: ``archive`` (the zip), ``train``, ``val``, ``test`` (index files, one line per fold).
        card: The dataset's card. The scheme ``official`` holds the five folds of the index files.

    Raises:
        DataError: labels or folds that do not fit the graphs.
    """
    archive = Archive(files["archive"])
    matrices = load_pickle(BytesIO(archive[_GRAPHS]))
    y = load_torch(BytesIO(archive[_LABELS])).long()
    if y.numel() != len(matrices):
        raise DataError(f"{len(matrices)} graphs, {y.numel()} labels", where=str(files["archive"]))
    num_nodes = torch.tensor([matrix._shape[0] for matrix in matrices])
    first = (num_nodes.cumsum(0) - num_nodes).tolist()
    ends = [np.stack([m.row, m.col]) + start for m, start in zip(matrices, first, strict=True)]
    edge_index, _ = remove_self_loops(torch.from_numpy(np.concatenate(ends, 1)).long())
    total = int(num_nodes.sum())
    edge_index = coalesce(edge_index, num_nodes=total)
    store = store_from_union(card, edge_index, num_nodes, node={"x": torch.ones(total, 1)}, graph={"y": y})
    return RawDataset(store, {"official": _folds(files)})


def _folds(files: dict[str, Path]) -> list[Fold]:
    parts = {part: _lines(files[part]) for part in ("train", "val", "test")}
    counts = {part: len(lines) for part, lines in parts.items()}
    if len(set(counts.values())) != 1:
        raise DataError(f"the index files have {counts} folds", where=str(files["train"].parent))
    return [dict(zip(parts, fold, strict=True)) for fold in zip(*parts.values(), strict=True)]


def _lines(path: Path) -> list[torch.Tensor]:
    return [torch.from_numpy(numbers(line, str(path))) for line in read_bytes(path).splitlines() if line.strip()]
