"""Cora, CiteSeer and PubMed as released by Yang et al. (ICML 2016): pickled matrices and index lists."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch_geometric.utils import coalesce, remove_self_loops

from gnnlab.data._unpickle import load_pickle
from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import npz_folds
from gnnlab.data.readers._text import numbers, read_bytes
from gnnlab.data.readers._union import single_graph
from gnnlab.errors import DataError

__all__ = ["read_planetoid"]


def read_planetoid(files: dict[str, Path], card: Card) -> RawDataset:
    """Read the ``ind.<name>.*`` files with PyG's semantics: no self-loops, repeated edges merged.

    CiteSeer's list of test nodes has gaps: nodes without features or label. They keep their number, with zero
    features and, as in every published loader, class 0; no split contains them.

    Args:
        files: ``x``, ``tx``, ``allx``, ``y``, ``ty``, ``ally``, ``graph``, ``test_index`` (the ``ind.``
            files) and ``split_0`` to ``split_9`` (the geom-gcn splits).
        card: The dataset's card. Schemes: ``public`` (20 per class / 500 / 1000), ``geom-gcn`` (10 folds).

    Raises:
        DataError: matrices that do not fit each other, naming them.
    """
    allx, tx, ally, ty = (_matrix(files[role]) for role in ("allx", "tx", "ally", "ty"))
    listed = torch.from_numpy(numbers(read_bytes(files["test_index"]), str(files["test_index"])))
    _check(card, allx, tx, ally, ty, listed)
    total = int(listed.max()) + 1
    x, y = allx.new_zeros(total, allx.size(1)), ally.new_zeros(total, ally.size(1))
    x[: allx.size(0)], y[: ally.size(0)] = allx, ally
    # Row i of tx and ty is the node on line i of the list.
    x[listed], y[listed] = tx, ty
    edge_index = _edges(files["graph"], total)
    num_train = _matrix(files["y"]).size(0)
    public = {
        "train": torch.arange(num_train),
        "val": torch.arange(num_train, num_train + 500),
        "test": listed.sort().values,
    }
    store = single_graph(card, edge_index, x, y.argmax(1))
    return RawDataset(store, {"public": [public], "geom-gcn": npz_folds(files)})


def _matrix(path: Path) -> Tensor:
    """[rows, columns] float of a pickled array or scipy matrix."""
    content = load_pickle(BytesIO(read_bytes(path)), encoding="latin1")
    if not isinstance(content, np.ndarray):
        parts = (content.data, content.indices, content.indptr)
        content = csr_matrix(parts, shape=content._shape).toarray()
    return torch.from_numpy(content).float()


def _edges(path: Path, total: int) -> Tensor:
    neighbours: dict[int, Any] = load_pickle(BytesIO(read_bytes(path)), encoding="latin1")
    counts = torch.tensor([len(row) for row in neighbours.values()])
    row = torch.tensor(list(neighbours)).repeat_interleave(counts)
    col = torch.tensor([node for listed in neighbours.values() for node in listed])
    edge_index, _ = remove_self_loops(torch.stack([row, col]))
    return coalesce(edge_index, num_nodes=total, sort_by_row=False)


def _check(card: Card, allx: Tensor, tx: Tensor, ally: Tensor, ty: Tensor, listed: Tensor) -> None:
    pairs = {"allx and ally": (allx, ally), "tx and ty": (tx, ty), "tx and test.index": (tx, listed)}
    for names, (left, right) in pairs.items():
        if left.size(0) != right.size(0):
            message = f"{names} have {left.size(0)} and {right.size(0)} rows"
            raise DataError(message, where=card.name, hint="the eight files belong to one release; fetch them again")
    if int(listed.min()) != allx.size(0):
        raise DataError(f"test nodes begin at {int(listed.min())}, allx ends at {allx.size(0)}", where=card.name)
