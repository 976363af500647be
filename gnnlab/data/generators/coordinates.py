"""Coordinates: sensors that know their distances to others have to find out where they are."""

from __future__ import annotations

from pathlib import Path

import torch

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe, stratified_split
from gnnlab.data.generators._proximity import proximity_edges
from gnnlab.data.readers import RawDataset
from gnnlab.data.store import GraphStore

__all__ = ["generate_coordinates"]

_VERSION = 1


def generate_coordinates(
    files: dict[str, Path],
    card: Card,
    *,
    num_nodes: int = 20,
    neighbours: int = 4,
    anchors: int = 3,
    num_graphs: int = 1000,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    """Localisation: uniform points of the unit square, the first ``anchors`` of which know where they are.

    Points are joined with their nearest ones; ``edge_attr`` is the distance. ``x`` is (1, x, y) for anchors and zeros
    for the others, whose position is ``y``; that of anchors is NaN (unlabelled). Our own definition: the hogwild
    paper (arXiv 2407.00494) has no anchors and compares the distances between predicted positions, since distances
    fix positions up to a rigid motion only; three anchors fix that motion, so that a plain error can be taken.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card. The scheme ``random`` is one 80/10/10 split of the graphs.
        num_nodes: Points per graph, at least 4.
        neighbours: Nearest points every point is joined with.
        anchors: Points that know their position.
        num_graphs: Graphs.
        seed: Of points and split.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "num_nodes", num_nodes, 4)
    check_range(card, "neighbours", neighbours, 1, num_nodes - 1)
    check_range(card, "anchors", anchors, 0, num_nodes - 1)
    check_range(card, "num_graphs", num_graphs, 1)
    check_range(card, "task.out_channels", card.task.out_channels, 2, 2)
    generator = torch.Generator().manual_seed(seed)
    position = torch.rand(num_graphs, num_nodes, 2, generator=generator)
    edges, length, num_edges = proximity_edges(position, neighbours)
    x = torch.zeros(num_graphs, num_nodes, 3)
    x[:, :anchors, 0] = 1.0
    x[:, :anchors, 1:] = position[:, :anchors]
    y = position.clone()
    y[:, :anchors] = torch.nan
    options = {"num_nodes": num_nodes, "neighbours": neighbours, "anchors": anchors, "num_graphs": num_graphs}
    store = GraphStore.from_tensors(
        num_nodes=torch.full((num_graphs,), num_nodes),
        num_edges=num_edges,
        edge_index=edges,
        node={"x": x.flatten(0, 1), "y": y.flatten(0, 1)},
        edge={"edge_attr": length.unsqueeze(1)},
        name=card.name,
        task=card.task,
        meta=recipe("coordinates", _VERSION, **options, seed=seed),
    )
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    one_class = torch.zeros(num_graphs, dtype=torch.long)
    return RawDataset(store, {"random": [stratified_split(one_class, shares, generator)]})
