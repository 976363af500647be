"""From a disjoint union with global node ids to a store, and the tensor idioms readers share."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnlab.data.card import Card
from gnnlab.data.store import GraphStore
from gnnlab.errors import DataError

__all__ = ["degree", "one_hot", "single_graph", "store_from_union", "undirected"]


def store_from_union(
    card: Card,
    edge_index: Tensor,
    num_nodes: Tensor,
    *,
    node: dict[str, Tensor],
    edge: dict[str, Tensor] | None = None,
    graph: dict[str, Tensor] | None = None,
) -> GraphStore:
    """A store of the graphs whose nodes are numbered through.

    Args:
        card: Gives name and task.
        edge_index: [2, E] long, global node ids, edges grouped by graph.
        num_nodes: [G] long.
        node: Attribute to [N, ...].
        edge: Attribute to [E, ...].
        graph: Attribute to [G, ...].

    Raises:
        DataError: an edge between two graphs, or to a node that does not exist.
    """
    ptr = torch.cat([num_nodes.new_zeros(1), num_nodes.cumsum(0)])
    if edge_index.numel() and not (int(edge_index.min()) >= 0 and int(edge_index.max()) < int(ptr[-1])):
        first = int((edge_index < 0).logical_or(edge_index >= ptr[-1]).any(0).nonzero()[0])
        raise DataError(f"edge {first} leads to no node: {edge_index[:, first].tolist()}", where=card.name)
    owner = torch.repeat_interleave(torch.arange(num_nodes.numel()), num_nodes)[edge_index]
    torn = owner[0] != owner[1]
    if torn.any():
        first = int(torn.nonzero()[0])
        raise DataError(f"edge {first} joins graphs {owner[:, first].tolist()}", where=card.name)
    return GraphStore.from_tensors(
        num_nodes=num_nodes,
        num_edges=torch.bincount(owner[0], minlength=num_nodes.numel()),
        edge_index=edge_index - ptr[owner],
        node=node,
        edge=edge,
        graph=graph,
        name=card.name,
        task=card.task,
    )


def single_graph(card: Card, edge_index: Tensor, x: Tensor, y: Tensor) -> GraphStore:
    """A store of the one graph of a node-level dataset."""
    return store_from_union(card, edge_index, torch.tensor([x.size(0)]), node={"x": x, "y": y})


def undirected(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Every edge in both directions, once (self-loops stay), sorted by source, then target."""
    source, target = edge_index
    keys = torch.cat([source * num_nodes + target, target * num_nodes + source]).unique()
    row = keys // num_nodes
    return torch.stack([row, keys - row * num_nodes])


def one_hot(values: Tensor, num_classes: int | None = None) -> Tensor:
    """[N, C] float indicator of [N] integers from 0 on."""
    return torch.nn.functional.one_hot(values.long(), num_classes or -1).float()


def degree(edge_index: Tensor, num_nodes: int) -> Tensor:
    """[N] long out-degree."""
    return torch.bincount(edge_index[0], minlength=num_nodes)
