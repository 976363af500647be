"""EXP and CEXP: pairs of 1-WL-equivalent graphs with different labels (Abboud et al., IJCAI 2021)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.utils import coalesce

from gnnlab.data._unpickle import load_pickle
from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import Fold, contiguous_folds
from gnnlab.data.readers._text import read_bytes
from gnnlab.data.readers._union import one_hot, store_from_union
from gnnlab.data.readers.gin_text import parse_gin_text
from gnnlab.errors import DataError

__all__ = ["read_exp_pickle", "read_exp_text"]


def read_exp_text(files: dict[str, Path], card: Card) -> RawDataset:
    """Read the text release. Graphs 2p and 2p + 1 are a pair; the graph column ``pair`` holds p.

    Nodes are of two kinds, one-hot. The scheme ``contiguous`` is the ten folds of the authors' training
    script, which never separate a pair of the test part.

    Args:
        files: ``graphs``, the text file (may be compressed).
        card: The dataset's card.

    Raises:
        DataError: a file that does not follow the format, naming graph or line.
    """
    parsed = parse_gin_text(read_bytes(files["graphs"]), str(files["graphs"]))
    return _paired(card, parsed.edge_index, parsed.num_nodes, parsed.tags, parsed.labels)


def read_exp_pickle(files: dict[str, Path], card: Card) -> RawDataset:
    """Read the copy that GNNML3 (Balcilar et al., ICML 2021) and later work use: pickled PyG graphs.

    Besides ``contiguous``, the scheme ``gnnml3`` is the single split of that paper: 0 to 199 validate, 200 to 399
    test, the other 800 train.

    Args:
        files: ``graphs``, the pickle (may be compressed).
        card: The dataset's card.
    """
    graphs = load_pickle(BytesIO(read_bytes(files["graphs"])))
    if not isinstance(graphs, list) or not all(hasattr(graph, "edge_index") for graph in graphs):
        raise DataError("the pickle is not a list of graphs", where=str(files["graphs"]))
    num_nodes = torch.tensor([graph.x.size(0) for graph in graphs])
    num_edges = torch.tensor([graph.edge_index.size(1) for graph in graphs])
    first = (num_nodes.cumsum(0) - num_nodes).repeat_interleave(num_edges)
    edge_index = torch.cat([graph.edge_index for graph in graphs], 1) + first
    kinds = torch.cat([graph.x.view(-1) for graph in graphs])
    labels = torch.cat([graph.y.view(-1) for graph in graphs])
    raw = _paired(card, coalesce(edge_index, num_nodes=int(num_nodes.sum())), num_nodes, kinds, labels)
    index = torch.arange(len(graphs))
    gnnml3: Fold = {
        "train": index[index >= 400],
        "val": index[index < 200],
        "test": index[(index >= 200) & (index < 400)],
    }
    return RawDataset(raw.store, {"gnnml3": [gnnml3], **raw.splits})


def _paired(card: Card, edge_index: Tensor, num_nodes: Tensor, kinds: Tensor, labels: Tensor) -> RawDataset:
    total = num_nodes.numel()
    graph = {"y": labels, "pair": torch.arange(total) // 2}
    store = store_from_union(card, edge_index, num_nodes, node={"x": one_hot(kinds, 2)}, graph=graph)
    return RawDataset(store, {"contiguous": contiguous_folds(total)})
