"""Node classification under heterophily as released by Platonov et al. (ICLR 2023): one npz per graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch_geometric.utils import coalesce

from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import mask_folds
from gnnlab.data.readers._union import single_graph, undirected
from gnnlab.errors import DataError

__all__ = ["read_heterophilous"]

_ARRAYS = ("node_features", "node_labels", "edges", "train_masks", "val_masks", "test_masks")


def read_heterophilous(files: dict[str, Path], card: Card, *, make_undirected: bool = True) -> RawDataset:
    """Read one npz file; a binary task (one output channel) gets float targets [N, 1].

    Args:
        files: ``data``, the npz.
        card: The dataset's card. The scheme ``official`` holds the ten splits of the file.
        make_undirected: Add the reverse of every edge, as upstream does for all but its ``_directed`` files.

    Raises:
        DataError: an array that is missing or does not fit the others.
    """
    where = str(files["data"])
    with np.load(files["data"], allow_pickle=False) as content:
        missing = [name for name in _ARRAYS if name not in content.files]
        if missing:
            raise DataError(f"the file holds no array '{missing[0]}'", where=where)
        features, labels, edges, *masks = (content[name] for name in _ARRAYS)
    total = features.shape[0]
    lengths = {
        "node_labels": len(labels),
        **{name: m.shape[-1] for name, m in zip(_ARRAYS[3:], masks, strict=True)},
    }
    for name, length in lengths.items():
        if length != total:
            raise DataError(f"'{name}' has {length} nodes, 'node_features' has {total}", where=where)
    edge_index = torch.from_numpy(edges.astype(np.int64)).t()
    edge_index = undirected(edge_index, total) if make_undirected else coalesce(edge_index, num_nodes=total)
    y = torch.from_numpy(labels.astype(np.int64))
    if card.task.out_channels == 1:
        y = y.float().unsqueeze(1)
    store = single_graph(card, edge_index, torch.from_numpy(features).float(), y)
    return RawDataset(store, {"official": mask_folds(*masks)})
