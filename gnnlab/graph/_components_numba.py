"""Components side by side in a few passes over the edges, compiled. CPU, when numba is installed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnlab.graph.buckets import SortedUnion
from gnnlab.ops._numba._jit import compiled

__all__ = ["by_component"]


def by_component(edges: Tensor, weight: Tensor, num_nodes: int) -> tuple[Tensor, SortedUnion]:
    """As :func:`gnnlab.graph._symmetric.by_component`, number for number."""
    source, target = edges.contiguous().numpy()
    component, position = np.empty(num_nodes, np.int64), np.empty(num_nodes, np.int64)
    sizes = np.zeros(num_nodes, np.int64)
    sizes = sizes[: _label(source, target, component, position, sizes)]
    order = np.argsort(sizes, kind="stable")
    ptr = np.append(0, sizes[order].cumsum())
    start = np.empty_like(order)
    start[order] = ptr[:-1]
    row = start[component] + position
    edge_ptr, column = np.zeros(num_nodes + 1, np.int64), np.empty_like(target)
    entries = torch.empty_like(weight)
    _sort_edges(source, target, weight.contiguous().numpy(), row, edge_ptr, column, entries.numpy())
    label, *parts = (torch.from_numpy(part) for part in (component, order, ptr, row, edge_ptr, column))
    return label, SortedUnion(*parts, entries)


@compiled
def _label(source, target, component, position, sizes):
    """Number components by their first node, and the nodes in each; returns how many there are."""
    parent = position  # until positions are known
    for v in range(parent.size):
        parent[v] = v
    for edge in range(source.size):
        u, v = _root(parent, source[edge]), _root(parent, target[edge])
        if u < v:
            parent[v] = u
        elif v < u:
            parent[u] = v
    count = 0
    for v in range(parent.size):
        if parent[v] == v:
            component[v] = count
            count += 1
        else:  # its first node has its number already
            component[v] = component[_root(parent, v)]
    for v in range(parent.size):
        position[v] = sizes[component[v]]
        sizes[component[v]] += 1
    return count


@compiled
def _root(parent, v):
    while parent[v] != v:
        parent[v] = parent[parent[v]]
        v = parent[v]
    return v


@compiled
def _sort_edges(source, target, weight, row, edge_ptr, column, entries):
    """By the row of the source, else in the order they come in."""
    num_nodes = row.size
    for edge in range(source.size):
        edge_ptr[row[source[edge]] + 1] += 1
    for v in range(num_nodes):
        edge_ptr[v + 1] += edge_ptr[v]
    free = edge_ptr[:num_nodes].copy()
    for edge in range(source.size):
        u = row[source[edge]]
        column[free[u]], entries[free[u]] = row[target[edge]], weight[edge]
        free[u] += 1
