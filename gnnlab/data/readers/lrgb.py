"""The Long Range Graph Benchmark in the layout that PyTorch Geometric distributes: one file per split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gnnlab.data._columns import Column, Layout
from gnnlab.data._unpickle import load_pickle, load_torch
from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.store import GraphStore
from gnnlab.errors import IntegrityError

__all__ = ["read_contacts", "read_peptides", "read_superpixels"]

_PARTS = ("train", "val", "test")

_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""Category numbers of COCO, 0 (background) to 90, that no object carries."""


def read_peptides(files: dict[str, Path], card: Card) -> RawDataset:
    """Read ``train``, ``val``, ``test``: lists of (x, edge_attr, edge_index, y), saved by torch."""
    graphs, fold = _read(files, load_torch, 4)
    y = torch.cat([graph[3].view(1, -1) for graph in graphs]).float()
    return RawDataset(GraphStore.from_tensors(**_tensors(graphs), graph={"y": y}, name=card.name), {"official": [fold]})


def read_superpixels(files: dict[str, Path], card: Card, *, coco: bool = False) -> RawDataset:
    """Read ``train``, ``val``, ``test``: pickled lists of (x, edge_attr, edge_index, y), y per node.

    Args:
        files: Roles above.
        card: The dataset.
        coco: Number the 81 categories in use without gaps.
    """
    graphs, fold = _read(files, load_pickle, 4)
    labels = torch.cat([torch.as_tensor(graph[3]).long().view(-1) for graph in graphs])
    if coco:
        used = torch.tensor([number for number in range(91) if number not in _COCO_GAPS])
        numbered = torch.searchsorted(used, labels)
        if not torch.equal(used[numbered.clamp_max(len(used) - 1)], labels):
            raise IntegrityError("a label is no category of COCO", where=f"dataset {card.name}")
        labels = numbered
    columns = _tensors(graphs, features=torch.float)
    columns["node"]["y"] = labels
    return RawDataset(GraphStore.from_tensors(**columns, name=card.name), {"official": [fold]})


def read_contacts(files: dict[str, Path], card: Card) -> RawDataset:
    """Read ``train``, ``val``, ``test``: lists of (x, edge_attr, edge_index, edge_label_index, edge_label)."""
    graphs, fold = _read(files, load_torch, 5)
    store = GraphStore.from_tensors(**_tensors(graphs), name=card.name)
    pairs = torch.cat([graph[3].t() for graph in graphs])
    labels = torch.cat([graph[4].view(-1) for graph in graphs]).float()
    columns = {
        "edge_label_index": Column(pairs, "edge_label", torch.long, indexes="node", cat_dim=1),
        "edge_label": Column(labels, "edge_label", torch.float),
    }
    layout = {"edge_label": Layout.from_sizes(torch.tensor([graph[4].numel() for graph in graphs]))}
    store = store.replace(columns=store.columns | columns, layouts=store.layouts | layout, adjacency=None)
    return RawDataset(store, {"official": [fold]})


def _read(
    files: dict[str, Path], load: Callable[[Path], Any], width: int
) -> tuple[list[Sequence[Any]], dict[str, Tensor]]:
    """All graphs, train first, and the graph indices of every part."""
    parts = {part: load(files[part]) for part in _PARTS}
    graphs = [graph for part in _PARTS for graph in parts[part]]
    odd = next((i for i, graph in enumerate(graphs) if len(graph) != width), None)
    if odd is not None:
        raise IntegrityError(f"graph {odd} is not a tuple of {width}", where=", ".join(map(str, files.values())))
    sizes = [len(parts[part]) for part in _PARTS]
    return graphs, dict(zip(_PARTS, torch.arange(len(graphs)).split(sizes), strict=True))


def _tensors(graphs: list[Sequence[Any]], features: torch.dtype | None = None) -> dict[str, Any]:
    x, edge_attr = (torch.cat([graph[i] for graph in graphs]) for i in (0, 1))
    if features is not None:
        x, edge_attr = x.to(features), edge_attr.to(features)
    return {
        "num_nodes": torch.tensor([graph[0].size(0) for graph in graphs]),
        "num_edges": torch.tensor([graph[2].size(1) for graph in graphs]),
        "edge_index": torch.cat([graph[2] for graph in graphs], dim=1),
        "node": {"x": x},
        "edge": {"edge_attr": edge_attr},
    }
