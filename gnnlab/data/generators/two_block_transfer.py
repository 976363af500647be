"""Transfer between two blocks over a chosen number of bridges: one dial for the spectral gap and the resistance."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe, stratified_split
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._union import store_from_union, undirected

__all__ = ["generate_two_block_transfer", "two_blocks"]

_VERSION = 1


def generate_two_block_transfer(
    files: dict[str, Path],
    card: Card,
    *,
    bridges: int = 1,
    block_size: int = 8,
    density: float = 0.3,
    num_classes: int = 5,
    num_graphs: int = 1000,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    """The transfer task on a stochastic block model: the class is carried from a node of one block to one of the other.

    Graphs are those of :func:`two_blocks`; the source is the first node, the target the last one. As in
    :func:`gnnlab.data.generators.ring_transfer.generate_ring_transfer` the target carries the one-hot class, the
    source zeros, every other node ones; the source alone is labelled. The task is our own.

    With the same seed, every graph with more bridges is the one with fewer bridges and more edges: its spectral gap
    grows and its resistances fall, while everything else stays.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card. The scheme ``random`` is one 80/10/10 split of the graphs, stratified by class.
        bridges: Edges between the blocks, 1 to ``(block_size - 1) ** 2``.
        block_size: Nodes per block, at least 3.
        density: Probability of an edge within a block beside its cycle, 0 to 1.
        num_classes: Classes, and columns of ``x``.
        num_graphs: Graphs, spread evenly over the classes.
        seed: Of graphs and split.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    check_range(card, "block_size", block_size, 3)
    check_range(card, "bridges", bridges, 1, (block_size - 1) ** 2)
    check_range(card, "density", density, 0, 1)
    check_range(card, "num_classes", num_classes, 2)
    check_range(card, "num_graphs", num_graphs, num_classes)
    check_range(card, "task.out_channels", card.task.out_channels, num_classes, num_classes)
    generator = torch.Generator().manual_seed(seed)
    nodes, labels = 2 * block_size, torch.arange(num_graphs) % num_classes
    x = torch.ones(num_graphs, nodes, num_classes)
    x[:, 0] = 0.0
    x[:, -1] = torch.nn.functional.one_hot(labels, num_classes).float()
    y = torch.full((num_graphs, nodes), -1)
    y[:, 0] = labels
    options = {
        "bridges": bridges,
        "block_size": block_size,
        "density": density,
        "num_classes": num_classes,
        "num_graphs": num_graphs,
    }
    store = store_from_union(
        card,
        two_blocks(num_graphs, block_size, density, bridges, generator),
        torch.full((num_graphs,), nodes),
        node={"x": x.flatten(0, 1), "y": y.flatten()},
    ).replace(meta=recipe("two_block_transfer", _VERSION, **options, seed=seed))
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    return RawDataset(store, {"random": [stratified_split(labels, shares, generator)]})


def two_blocks(graphs: int, block_size: int, density: float, bridges: int, generator: torch.Generator) -> Tensor:
    """[2, E] edges of a union of graphs of two blocks, both directions.

    A block is a cycle, so that it is connected, and every other pair of its nodes with the same probability. Bridges
    are drawn from the pairs of two nodes of different blocks, but end neither in the first node nor in the last:
    those two are at least three hops apart.

    Args:
        graphs: How many.
        block_size: Nodes per block.
        density: Probability of an edge within a block beside its cycle.
        bridges: Edges between the blocks.
        generator: Source of the draws; their number does not depend on ``bridges``.

    Example:
        >>> edges = two_blocks(3, 4, 0.0, 2, torch.Generator().manual_seed(0))
        >>> edges.shape, int((edges // 4 % 2).diff(dim=0).abs().sum()) // 2
        (torch.Size([2, 60]), 6)
    """
    nodes = 2 * block_size
    inside = torch.combinations(torch.arange(block_size)).t()
    apart = inside[1] - inside[0]
    cycle = (apart == 1) | (apart == block_size - 1)
    drawn = torch.rand(graphs, 2, inside.size(1), generator=generator) < density
    graph, block, pair = (drawn | cycle).nonzero().unbind(1)
    within = inside[:, pair] + nodes * graph + block_size * block
    between = torch.cartesian_prod(torch.arange(1, block_size), torch.arange(block_size, nodes - 1)).t()
    chosen = torch.rand(graphs, between.size(1), generator=generator).argsort(dim=1, stable=True)[:, :bridges]
    across = between[:, chosen] + nodes * torch.arange(graphs)[:, None]
    return undirected(torch.cat([within, across.flatten(1)], 1), graphs * nodes)
