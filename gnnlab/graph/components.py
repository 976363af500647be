"""Connected components, and the breadth-first layers inside them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order
from scipy.sparse.csgraph import connected_components as scipy_components
from torch import Tensor

__all__ = ["Layers", "breadth_first_layers", "connected_components"]


def connected_components(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Weakly connected component of every node.

    Runs as one compiled call on the CPU, whatever the device of the edges.

    Args:
        edge_index: [2, E] long; directions are ignored.
        num_nodes: N.

    Shapes:
        returns [N] long, numbered by first node: the component of node 0 is 0.

    Example:
        >>> connected_components(torch.tensor([[0, 3], [2, 1]]), num_nodes=5).tolist()
        [0, 1, 0, 1, 2]
    """
    labels = _components(_adjacency(edge_index, num_nodes))
    return torch.from_numpy(labels).to(edge_index.device)


class Layers(NamedTuple):
    """Nodes of every component in breadth-first order from a peripheral node.

    ``component``, ``depth`` (distance from the first node of the component) and ``position`` (place in
    the order, from 0 in every component), each [N] long. Two adjacent nodes differ by at most one in
    ``depth``, and ``depth`` never decreases with ``position``.
    """

    component: Tensor
    depth: Tensor
    position: Tensor


def breadth_first_layers(edge_index: Tensor, num_nodes: int) -> Layers:
    """Search every component from a node that is farthest from its first one (which makes layers narrow).

    Args:
        edge_index: [2, E] long; directions are ignored.
        num_nodes: N.

    Example:
        >>> path = torch.tensor([[1, 0, 0, 2], [0, 1, 2, 0]])   # 1 - 0 - 2
        >>> breadth_first_layers(path, num_nodes=3).depth.tolist()
        [1, 2, 0]
    """
    adjacency = _adjacency(edge_index, num_nodes)
    labels = _components(adjacency)
    count = int(labels.max(initial=-1)) + 1
    roots = np.empty(count, dtype=np.int64)
    roots[labels[::-1]] = np.arange(num_nodes)[::-1]
    order, _ = _search(adjacency, roots)
    roots[labels[order]] = order
    order, depth = _search(adjacency, roots)
    order = order[np.argsort(labels[order], kind="stable")]
    starts = np.cumsum(np.bincount(labels, minlength=count)) - np.bincount(labels, minlength=count)
    position = np.empty(num_nodes, dtype=np.int64)
    position[order] = np.arange(num_nodes) - starts[labels[order]]
    return Layers(*(torch.from_numpy(column).to(edge_index.device) for column in (labels, depth, position)))


def _adjacency(edge_index: Tensor, num_nodes: int) -> csr_array:
    source, target = edge_index.cpu().numpy()
    upper, lower = np.concatenate([source, target]), np.concatenate([target, source])
    return csr_array((np.ones(upper.size), (upper, lower)), shape=(num_nodes, num_nodes))


def _components(adjacency: csr_array) -> np.ndarray:
    if adjacency.shape[0] == 0:
        return np.empty(0, dtype=np.int64)
    return scipy_components(adjacency, directed=False)[1].astype(np.int64)


def _search(adjacency: csr_array, roots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Breadth-first order and depth of every node, from all roots at once.

    One more node with an edge to every root turns the search of all components into a single call.
    """
    num_nodes = adjacency.shape[0]
    columns = np.concatenate([adjacency.indices, roots.astype(adjacency.indices.dtype)])
    pointers = np.append(adjacency.indptr, columns.size).astype(adjacency.indptr.dtype)
    joined = csr_array((np.ones(columns.size), columns, pointers), shape=(num_nodes + 1, num_nodes + 1))
    order, parent = breadth_first_order(joined, num_nodes, directed=True)
    parent[num_nodes] = num_nodes
    depth = np.ones(num_nodes + 1, dtype=np.int64)
    depth[num_nodes] = 0
    while (parent != num_nodes).any():
        depth += depth[parent]
        parent = parent[parent]
    return order[1:], depth[:-1] - 1
