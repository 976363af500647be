"""Analyses graph by graph, or node by node, the usual way: what ours are measured against and checked with.

Written for the benchmark. Every function takes one graph, but for the scores of classes.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import networkx as nx
import numpy as np
import scipy.linalg
import torch
from torch import Tensor

__all__ = ["MEASURES", "by_jacobian", "by_node", "hashes", "scores", "topology"]

MEASURES = (
    "components",
    "diameter",
    "total_resistance",
    "commute_mean",
    "commute_q50",
    "edge_resistance_q90",
    "resistance_curvature_mean",
    "spectral_gap",
    "curvature_mean",
    "curvature_min",
)
"""Names, of a topology profile, of what :func:`topology` returns in this order."""


def by_jacobian(function: Callable[[Tensor], Tensor], x: Tensor, target: Sequence[int]) -> Tensor:
    """[T, n], sums of the absolute entries of the Jacobians, by ``torch.autograd.functional.jacobian``."""
    rows = torch.tensor(target)
    jacobian = torch.autograd.functional.jacobian(lambda features: function(features)[rows], x)
    return jacobian.abs().sum((1, 3))


def by_node(function: Callable[[Tensor], Tensor], x: Tensor, target: Sequence[int]) -> Tensor:
    """The same by a backward pass for every channel of one node after the other."""
    x = x.detach().requires_grad_(True)
    out = function(x)
    rows = []
    for node in target:
        gradients = [torch.autograd.grad(value, x, retain_graph=True)[0] for value in out[node]]
        rows.append(torch.stack(gradients).abs().sum((0, 2)))
    return torch.stack(rows)


def hashes(graphs: Sequence[nx.Graph], iterations: int) -> list[str]:
    """A hash per graph, without features."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The hashes produced")  # by other versions are others
        return [nx.weisfeiler_lehman_graph_hash(graph, iterations=iterations) for graph in graphs]


def scores(classes: Sequence[str], labels: Sequence[int]) -> tuple[int, int, float]:
    """Number of classes, of graphs alone in theirs, and the share of the most frequent labels."""
    members = defaultdict(Counter)
    for name, label in zip(classes, labels, strict=True):
        members[name][label] += 1
    alone = sum(count.total() == 1 for count in members.values())
    return len(members), alone, sum(max(count.values()) for count in members.values()) / len(labels)


def topology(graph: nx.Graph) -> list[float]:
    """:data:`MEASURES` of a connected graph of two nodes or more, from dense matrices and sets of neighbours."""
    size = graph.number_of_nodes()
    adjacency = nx.to_numpy_array(graph, nodelist=range(size))
    degree = adjacency.sum(1)
    inverse = np.linalg.pinv(np.diag(degree) - adjacency, hermitian=True)
    own = np.diag(inverse)
    resistance = own[:, None] + own[None, :] - 2 * inverse
    pairs = resistance[np.triu_indices(size, 1)]
    edges = np.array(graph.edges).T
    of_edges = resistance[edges[0], edges[1]]
    node = 1 - (adjacency * resistance).sum(1) / 2
    scale = 1 / np.sqrt(degree)
    spectrum = scipy.linalg.eigvalsh(np.eye(size) - scale[:, None] * adjacency * scale[None, :])
    neighbours = {node: set(graph[node]) for node in graph}
    curvature = [_balanced_forman(neighbours, i, j) for i, j in graph.edges]
    return [
        nx.number_connected_components(graph),
        nx.diameter(graph),
        pairs.sum(),
        degree.sum() * pairs.mean(),
        degree.sum() * np.quantile(pairs, 0.5),
        np.quantile(of_edges, 0.9),
        (2 * (node[edges[0]] + node[edges[1]]) / of_edges).mean(),
        spectrum[1],
        np.mean(curvature),
        np.min(curvature),
    ]


def _balanced_forman(neighbours: dict[int, set[int]], i: int, j: int) -> float:
    """Definition 1 of Topping et al. (ICLR 2022) for the edge i, j."""
    near, far = neighbours[i], neighbours[j]
    low, high = sorted((len(near), len(far)))
    if low == 1:
        return 0.0
    common = len(near & far)
    ours = [len((neighbours[k] & far) - near - {i}) for k in near - far - {j}]
    theirs = [len((neighbours[k] & near) - far - {j}) for k in far - near - {i}]
    squares = sum(count > 0 for count in (*ours, *theirs))
    value = 2 / low + 2 / high - 2 + 2 * common / high + common / low
    return value + (squares / (max(*ours, *theirs) * high) if squares else 0.0)
