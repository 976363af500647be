"""Chains: the class is written at one end, and every node has to know it."""

from __future__ import annotations

from pathlib import Path

import torch

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe, stratified_split
from gnnlab.data.readers import RawDataset
from gnnlab.data.store import GraphStore
from gnnlab.ops import expand_ptr, ragged_arange

__all__ = ["generate_chains"]

_VERSION = 1


def generate_chains(
    files: dict[str, Path],
    card: Card,
    *,
    min_nodes: int = 10,
    max_nodes: int = 100,
    num_classes: int = 2,
    num_graphs: int = 200,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    """Chains, after Gu et al. ("Implicit graph neural networks", NeurIPS 2020, arXiv 2009.06211).

    A path whose first node carries the one-hot class and all others zeros; ``y`` is the class at every node. L layers
    of message passing inform the first L + 1 nodes; for the rest they can but guess. Lengths, number of classes and
    split are our own definition: those of the hogwild paper (arXiv 2407.00494) are not public.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card. The scheme ``random`` is one 80/10/10 split of the graphs, stratified by class.
        min_nodes: Shortest chain, at least 1.
        max_nodes: Longest chain; lengths are uniform.
        num_classes: Classes, and columns of ``x``.
        num_graphs: Chains, spread evenly over the classes.
        seed: Of lengths and split.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "min_nodes", min_nodes, 1)
    check_range(card, "max_nodes", max_nodes, min_nodes)
    check_range(card, "num_classes", num_classes, 2)
    check_range(card, "num_graphs", num_graphs, num_classes)
    check_range(card, "task.out_channels", card.task.out_channels, num_classes, num_classes)
    generator = torch.Generator().manual_seed(seed)
    num_nodes = torch.randint(min_nodes, max_nodes + 1, (num_graphs,), generator=generator)
    labels = torch.arange(num_graphs) % num_classes
    ptr = torch.cat([num_nodes.new_zeros(1), num_nodes.cumsum(0)])
    x = torch.zeros(int(ptr[-1]), num_classes)
    x[ptr[:-1], labels] = 1.0
    step = ragged_arange(num_nodes - 1)
    # Of every chain all edges to the right, then all edges to the left.
    owner = torch.arange(num_graphs).repeat_interleave(num_nodes - 1)
    edges = torch.cat([torch.stack([step, step + 1]), torch.stack([step + 1, step])], 1)
    order = torch.cat([owner, owner]).argsort(stable=True)
    options = {"min_nodes": min_nodes, "max_nodes": max_nodes, "num_classes": num_classes, "num_graphs": num_graphs}
    store = GraphStore.from_tensors(
        num_nodes=num_nodes,
        num_edges=2 * (num_nodes - 1),
        edge_index=edges[:, order],
        node={"x": x, "y": labels[expand_ptr(ptr)]},
        name=card.name,
        task=card.task,
        meta=recipe("chains", _VERSION, **options, seed=seed),
    )
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    return RawDataset(store, {"random": [stratified_split(labels, shares, generator)]})
