"""Encodings the way they are usually computed: one graph after the other, with dense matrices."""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np
import torch
from torch import Tensor

__all__ = [
    "cycles",
    "electrostatic",
    "heat_kernel",
    "propagation",
    "resistance",
    "rrwp",
]


def propagation(edge_index: Tensor, start: Tensor, steps: int, normalise: Callable[[Tensor], Tensor]) -> Tensor:
    """[n, steps + 1, k], powers of the normalised adjacency, normalised after every step."""
    adjacency = _adjacency(edge_index, start.size(0), start.dtype)
    scale = adjacency.sum(1).clamp(min=1).rsqrt()
    operator = scale[:, None] * adjacency * scale
    trajectory = [start]
    for _ in range(steps):
        trajectory.append(normalise(operator @ trajectory[-1]))
    return torch.stack(trajectory, 1)


def rrwp(edge_index: Tensor, num_nodes: int, length: int) -> tuple[Tensor, Tensor]:
    """[n, length] and [E, length], from all powers of the transition matrix as one n x n x length array."""
    adjacency = _adjacency(edge_index, num_nodes)
    walk = adjacency / adjacency.sum(1, keepdim=True).clamp(min=1)
    powers = [torch.eye(num_nodes)]
    for _ in range(length - 1):
        powers.append(powers[-1] @ walk)
    table = torch.stack(powers, -1)
    return table.diagonal().t(), table[edge_index[1], edge_index[0]]


def heat_kernel(edge_index: Tensor, num_nodes: int, times: list[float]) -> Tensor:
    """[n, T], diagonals of exp(-t L) from all eigenpairs."""
    values, vectors = torch.linalg.eigh(_laplacian(edge_index, num_nodes))
    return vectors.square() @ torch.exp(-values[:, None] * torch.tensor(times, dtype=values.dtype))


def electrostatic(edge_index: Tensor, num_nodes: int) -> Tensor:
    """[n, n], potentials at all nodes (column: of a unit charge at that node)."""
    potential = torch.linalg.pinv(_laplacian(edge_index, num_nodes), hermitian=True)
    return potential - potential.diagonal()


def resistance(edge_index: Tensor, num_nodes: int) -> Tensor:
    """[E] effective resistance of the edges, from the pseudo-inverse."""
    inverse = np.linalg.pinv(_laplacian(edge_index, num_nodes).numpy(), hermitian=True)
    diagonal = inverse.diagonal()
    source, target = edge_index.numpy()
    return torch.from_numpy(diagonal[source] + diagonal[target] - 2 * inverse[source, target])


def cycles(edge_index: Tensor, num_nodes: int, longest: int) -> Tensor:
    """[n, longest - 2], simple cycles of 3 to ``longest`` nodes through every node, listed by networkx."""
    graph = nx.Graph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edge_index.t().tolist())
    counts = torch.zeros(num_nodes, longest - 2)
    for cycle in nx.simple_cycles(graph, length_bound=longest):
        if len(cycle) > 2:
            counts[cycle, len(cycle) - 3] += 1
    return counts


def _adjacency(edge_index: Tensor, num_nodes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    adjacency = torch.zeros(num_nodes, num_nodes, dtype=dtype)
    adjacency[edge_index[0], edge_index[1]] = 1
    return adjacency


def _laplacian(edge_index: Tensor, num_nodes: int) -> Tensor:
    adjacency = _adjacency(edge_index, num_nodes, torch.float64)
    return adjacency.sum(1).diag() - adjacency
