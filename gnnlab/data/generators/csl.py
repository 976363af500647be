"""Circulant skip links, generated: regular graphs that 1-WL cannot tell apart."""

from __future__ import annotations

from pathlib import Path

import torch

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._union import undirected
from gnnlab.data.store import GraphStore

__all__ = ["SKIPS", "generate_csl"]

_VERSION = 1
_FOLDS = 5

SKIPS = (2, 3, 4, 5, 6, 9, 11, 12, 13, 16)
"""The ten skip lengths that give pairwise non-isomorphic graphs on 41 nodes (Murphy et al., ICML 2019)."""


def generate_csl(
    files: dict[str, Path], card: Card, *, copies: int = 15, seed: int = 0, version: int = _VERSION
) -> RawDataset:
    """Graphs on 41 nodes in a ring, node i also joined to i + R and i - R; the class is R, one of ten.

    Every graph is a random renumbering of its class, so the data is the published one up to isomorphism.
    The features are constant. Scheme ``random``: five folds; of every class three fifths train, one
    validates, one tests.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card.
        copies: Graphs per class, at least 5 (published: 15).
        seed: Of the renumbering; the folds follow the order of the copies.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "copies", copies, _FOLDS)
    nodes, num_graphs = 41, copies * len(SKIPS)
    labels = torch.arange(len(SKIPS)).repeat_interleave(copies)
    generator = torch.Generator().manual_seed(seed)
    number = torch.rand(num_graphs, nodes, generator=generator).argsort(dim=1, stable=True)
    node = torch.arange(nodes)
    skip = torch.tensor(SKIPS)[labels].unsqueeze(1)
    source = number.repeat(1, 2)
    target = torch.cat([number[:, (node + 1) % nodes], number.gather(1, (node + skip) % nodes)], 1)
    first = nodes * torch.arange(num_graphs).unsqueeze(1)
    edge_index = torch.stack([(source + first).flatten(), (target + first).flatten()])
    edge_index = undirected(edge_index, nodes * num_graphs)
    store = GraphStore.from_tensors(
        num_nodes=torch.full((num_graphs,), nodes),
        num_edges=torch.full((num_graphs,), 4 * nodes),
        edge_index=edge_index % nodes,
        node={"x": torch.ones(nodes * num_graphs, 1)},
        graph={"y": labels},
        name=card.name,
        task=card.task,
        meta=recipe("csl", _VERSION, copies=copies, seed=seed),
    )
    block = (torch.arange(num_graphs) % copies) % _FOLDS
    index = torch.arange(num_graphs)
    folds = []
    for k in range(_FOLDS):
        after = (k + 1) % _FOLDS
        train = index[(block != k) & (block != after)]
        folds.append({"train": train, "val": index[block == after], "test": index[block == k]})
    return RawDataset(store, {"random": folds})
