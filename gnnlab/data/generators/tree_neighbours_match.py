"""Trees whose root must fetch one value out of exponentially many leaves."""

from __future__ import annotations

from pathlib import Path

import torch

from gnnlab.data.card import Card
from gnnlab.data.generators._common import check_range, check_version, recipe, stratified_split
from gnnlab.data.readers import RawDataset
from gnnlab.data.store import GraphStore

__all__ = ["generate_tree_neighbours_match"]

_VERSION = 1


def generate_tree_neighbours_match(
    files: dict[str, Path],
    card: Card,
    *,
    depth: int = 3,
    num_graphs: int = 4000,
    seed: int = 0,
    version: int = _VERSION,
) -> RawDataset:
    r"""Tree-NeighborsMatch of Alon and Yahav (ICLR 2021): over-squashing with a dial.

    A complete binary tree with :math:`2^{r+1} - 1` nodes; node 0 is the root, the children of i are 2i + 1
    and 2i + 2. Edges lead from child to parent, and every node has a self-loop. The features are two integers
    (key, value): leaf number l = 1, 2, ... has key l and a value of its own, the root has a query as key and
    value 0, all others have (0, 0). The root's class is the value of the leaf whose key is the query, counted
    from 0; all other ``y`` are -1. A guess is right with probability :math:`2^{-r}`; a network needs r layers.

    The authors report accuracy on the training set: whether the network can represent the task at all.

    Args:
        files: Unused (nothing is read).
        card: The dataset's card; ``out_channels`` is :math:`2^r`. The scheme ``random`` is one 80/10/10
            split of the graphs, stratified by query.
        depth: r, the distance from leaf to root, 1 to 14.
        num_graphs: Trees: queries in turn, values drawn independently.
        seed: Of values and split.
        version: Of the generator.

    Raises:
        ConfigError: an option out of range, another version, ``out_channels`` that does not fit.
    """
    check_version(card, version, _VERSION)
    check_range(card, "depth", depth, 1, 14)
    check_range(card, "num_graphs", num_graphs, 1)
    leaves, nodes = 2**depth, 2 ** (depth + 1) - 1
    check_range(card, "task.out_channels", card.task.out_channels, leaves, leaves)
    generator = torch.Generator().manual_seed(seed)
    value = torch.rand(num_graphs, leaves, generator=generator).argsort(dim=1, stable=True)
    query = torch.arange(num_graphs) % leaves
    x = torch.zeros(num_graphs, nodes, 2, dtype=torch.long)
    x[:, 0, 0] = query + 1
    x[:, -leaves:, 0] = torch.arange(1, leaves + 1)
    x[:, -leaves:, 1] = value + 1
    y = torch.full((num_graphs, nodes), -1)
    y[:, 0] = value.gather(1, query.unsqueeze(1)).squeeze(1)
    node, child = torch.arange(nodes), torch.arange(1, nodes)
    edges = torch.cat([torch.stack([child, (child - 1) // 2]), torch.stack([node, node])], 1)
    store = GraphStore.from_tensors(
        num_nodes=torch.full((num_graphs,), nodes),
        num_edges=torch.full((num_graphs,), edges.size(1)),
        edge_index=edges.repeat(1, num_graphs),
        node={"x": x.flatten(0, 1), "y": y.flatten()},
        name=card.name,
        task=card.task,
        meta=recipe("tree_neighbours_match", _VERSION, depth=depth, num_graphs=num_graphs, seed=seed),
    )
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    return RawDataset(store, {"random": [stratified_split(query, shares, generator)]})
