"""Transfer along a ring, a crossed ring or out of a clique: the simplest task that needs long range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe, stratified_split
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._union import undirected
from gnnlab.data.store import GraphStore
from gnnlab.errors import ConfigError, nearest

__all__ = ["TOPOLOGIES", "generate_ring_transfer"]

_VERSION = 1


def generate_ring_transfer(
    files: dict[str, Path],
    card: Card,
    *,
    topology: str = "ring",
    num_nodes: int = 10,
    num_classes: int = 5,
    num_graphs: int = 1000,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    r"""Transfer tasks of Di Giovanni et al. (ICML 2023): the source has to say which class the target carries.

    The target carries the one-hot class, the source zeros, every other node ones. Only the source is
    labelled, all other ``y`` are -1. A network needs as many layers as source and target are apart:

    ================  ======================  ========================================  ====================
    topology          source, target          edges                                     distance
    ================  ======================  ========================================  ====================
    ``ring``          0, :math:`n/2`          the cycle                                 :math:`n/2`
    ``crossed_ring``  0, :math:`n/2`          and (i, n-1-i), (i, n+1-i), i < n/2       :math:`n/2`
    ``clique_path``   0, :math:`n-1`          clique on the first n/2, path on the rest :math:`n/2 + 1`
    ================  ======================  ========================================  ====================

    Every edge is there once in each direction; the authors' generator repeats some, which would change the
    weights of a normalised aggregation.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card. The scheme ``random`` is one stratified 80/10/10 split of the graphs.
        topology: One of :data:`TOPOLOGIES`.
        num_nodes: Nodes per graph, even, at least 4.
        num_classes: Classes, and columns of ``x``.
        num_graphs: Graphs, spread evenly over the classes.
        seed: Of the split (the graphs are determined by their class).
        version: Of the generator.

    Raises:
        ConfigError: unknown topology, an option out of range, another version.
    """
    check_version(card, version, _VERSION)
    if topology not in TOPOLOGIES:
        raise ConfigError(f"unknown topology '{topology}'", where=card.name, hint=nearest(topology, TOPOLOGIES))
    check_range(card, "num_nodes", num_nodes, 4)
    check_range(card, "num_classes", num_classes, 2)
    check_range(card, "num_graphs", num_graphs, num_classes)
    if num_nodes % 2:
        raise ConfigError(f"'num_nodes' must be even, got {num_nodes}", where=f"card {card.name}, key options")
    edges, target = TOPOLOGIES[topology](num_nodes)
    edges = undirected(edges, num_nodes)
    labels = torch.arange(num_graphs) % num_classes
    x = torch.ones(num_graphs, num_nodes, num_classes)
    x[:, 0] = 0.0
    x[:, target] = torch.nn.functional.one_hot(labels, num_classes).float()
    y = torch.full((num_graphs, num_nodes), -1)
    y[:, 0] = labels
    options = {
        "topology": topology,
        "num_nodes": num_nodes,
        "num_classes": num_classes,
        "num_graphs": num_graphs,
    }
    store = GraphStore.from_tensors(
        num_nodes=torch.full((num_graphs,), num_nodes),
        num_edges=torch.full((num_graphs,), edges.size(1)),
        edge_index=edges.repeat(1, num_graphs),
        node={"x": x.flatten(0, 1), "y": y.flatten()},
        name=card.name,
        task=card.task,
        meta=recipe("ring_transfer", _VERSION, **options, seed=seed),
    )
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    return RawDataset(store, {"random": [stratified_split(labels, shares, torch.Generator().manual_seed(seed))]})


def _ring(n: int) -> tuple[Tensor, int]:
    node = torch.arange(n)
    return torch.stack([node, (node + 1) % n]), n // 2


def _crossed_ring(n: int) -> tuple[Tensor, int]:
    half = torch.arange(n // 2)
    later = half[2:]  # n + 1 - i is a node from i = 2 on
    across = [torch.stack([half, n - 1 - half]), torch.stack([later, n + 1 - later])]
    return torch.cat([_ring(n)[0], *across], 1), n // 2


def _clique_path(n: int) -> tuple[Tensor, int]:
    clique = torch.combinations(torch.arange(n // 2)).t()
    path = torch.arange(n // 2 - 1, n - 1)
    return torch.cat([clique, torch.stack([path, path + 1])], 1), n - 1


TOPOLOGIES: dict[str, Callable[[int], tuple[Tensor, int]]] = {
    "ring": _ring,
    "crossed_ring": _crossed_ring,
    "clique_path": _clique_path,
}
"""Name -> function of the number of nodes that gives edges [2, E] and target; the source is node 0."""
