"""OGB datasets that are one large graph: ogbn-arxiv, ogbn-products, ogbl-collab."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data._columns import Column, Layout
from gnnlab.data._unpickle import load_torch
from gnnlab.data.card import Card
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._tables import read_column, read_table, split_of
from gnnlab.data.readers.ogb_molecules import both_directions
from gnnlab.data.store import GraphStore

__all__ = ["read_ogb_links", "read_ogb_nodes"]


def read_ogb_nodes(files: dict[str, Path], card: Card, *, undirected: bool, split: str) -> RawDataset:
    """Read the tables ``edge``, ``node_features``, ``labels`` and the three index tables.

    Args:
        files: Roles above.
        card: The dataset.
        undirected: The table lists an edge once; both directions are stored.
        split: What OGB calls the split.
    """
    edges = read_table(files["edge"])
    x = read_table(files["node_features"]).float()
    edge_index = both_directions(edges)[0] if undirected else edges.t()
    store = GraphStore.from_tensors(
        num_nodes=torch.tensor([x.size(0)]),
        num_edges=torch.tensor([edge_index.size(1)]),
        edge_index=edge_index,
        node={"x": x, "y": read_column(files["labels"]).long()},
        name=card.name,
    )
    return RawDataset(store, {split: [split_of(files)]})


def read_ogb_links(files: dict[str, Path], card: Card, *, split: str) -> RawDataset:
    """Read the training graph and the labelled node pairs of a link dataset.

    The pairs are the columns ``edge_label_index`` [2, P], ``edge_label`` [P] (1 = a link, 0 = none) and
    ``edge_label_part`` [P] (0 = train, 1 = val, 2 = test), in the order of the files, links first.
    """
    x = read_table(files["node_features"]).float()
    attributes = {
        "edge_weight": read_column(files["edge_weight"]).float(),
        "edge_year": read_column(files["edge_year"]),
    }
    edge_index, _ = both_directions(read_table(files["edge"]))
    graph = GraphStore.from_tensors(
        num_nodes=torch.tensor([x.size(0)]),
        num_edges=torch.tensor([edge_index.size(1)]),
        edge_index=edge_index,
        node={"x": x},
        edge={key: value.repeat_interleave(2) for key, value in attributes.items()},
        name=card.name,
    )
    store = graph.replace(**_with_pairs(graph, [_pairs(files[part]) for part in ("train", "val", "test")]))
    return RawDataset(store, {split: [{}]})


def _pairs(path: Path) -> tuple[Tensor, Tensor]:
    """[P, 2] node pairs and their labels."""
    content = load_torch(path)
    links = torch.as_tensor(content["edge"]).long()
    others = torch.as_tensor(content.get("edge_neg", links[:0])).long()
    return torch.cat([links, others]), torch.cat([torch.ones(len(links)), torch.zeros(len(others))])


def _with_pairs(graph: GraphStore, parts: list[tuple[Tensor, Tensor]]) -> dict[str, dict]:
    pairs, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    sizes = torch.tensor([len(part) for part, _ in parts])
    part = torch.repeat_interleave(torch.arange(3, dtype=torch.uint8), sizes)
    return {
        "columns": graph.columns
        | {
            "edge_label_index": Column(pairs, "edge_label", torch.long, indexes="node", cat_dim=1),
            "edge_label": Column(labels, "edge_label", torch.float),
            "edge_label_part": Column(part, "edge_label", torch.long),
        },
        "layouts": graph.layouts | {"edge_label": Layout.from_sizes(torch.tensor([len(pairs)]))},
        "adjacency": None,  # built anew, so that the pairs are checked as well
    }
