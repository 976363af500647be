"""Rewirings graph by graph, at the cost of the authors' code: what ours are measured against and checked with.

Written for the benchmark. Every function takes ``edge_index`` and the number of nodes of one graph and returns
the undirected edges it adds in order. With ``follow``, a sequence found elsewhere, it makes these choices and raises
unless each is one of the best, up to round-off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, reduce

import networkx as nx
import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx, to_networkx

from gnnlab.errors import GnnlabError

__all__ = ["fosr", "gtr", "laser"]

Pairs = list[tuple[int, int]]


def gtr(edge_index: Tensor, num_nodes: int, num_edges: int, follow: Pairs | None = None) -> Pairs:
    """Dense Laplacian, pseudo-inverse and its square, updated by Woodbury's formula; all scores for every edge."""
    graph = to_networkx(Data(edge_index=edge_index, num_nodes=num_nodes)).to_undirected()
    laplacian = torch.tensor(nx.laplacian_matrix(graph).todense().astype("float"))
    inverse = torch.linalg.pinv(laplacian, hermitian=True)
    square = inverse @ inverse
    candidates = ~laplacian.bool() & reduce(torch.logical_or, _blocks(graph, num_nodes))
    chosen: Pairs = []
    for step in range(num_edges if follow is None else len(follow)):
        score = _distances(square) / (1 + _distances(inverse)) * candidates
        s, t = divmod(int(torch.argmax(score)), num_nodes)
        if s == t:  # nothing is left; the authors' code adds the self-loop
            break
        if follow is not None:
            s, t = _followed(score, follow[step])
        chosen.append((s, t))
        candidates[[s, t], [t, s]] = False
        column = laplacian[:, s] - laplacian[:, t]
        laplacian[[s, t], [s, t]] += 1
        laplacian[[s, t], [t, s]] -= 1
        if follow is not None:
            # Woodbury's formula drifts, by 1e-4 within ten edges of a long molecule: enough to mistake the best pair.
            inverse = torch.linalg.pinv(laplacian, hermitian=True)
            square = inverse @ inverse
            continue
        v = inverse[:, s] - inverse[:, t]
        ends = torch.zeros(num_nodes, dtype=torch.float64)
        ends[s], ends[t] = 1, -1
        left, right = torch.column_stack([ends, column + ends]), torch.stack([column + ends, ends])
        centre = torch.inverse(torch.eye(2, dtype=torch.float64) + right @ square @ left)
        inverse = inverse - torch.outer(v, v) / (1 + v[s] - v[t])
        square = square - (square @ left) @ centre @ (right @ square)
    return chosen


def laser(edge_index: Tensor, num_nodes: int, num_snapshots: int, density: float, noise: np.ndarray) -> Pairs:
    """Dense distances and walk counts, and a loop over nodes for every snapshot; ``noise`` [n, n] breaks ties.

    As the paper has it: whole shells of exact distances, and an edge for both ends.
    """
    graph = to_networkx(Data(edge_index=edge_index, num_nodes=num_nodes), to_undirected=True)
    adjacency = nx.adjacency_matrix(graph, nodelist=range(num_nodes)).toarray() + np.eye(num_nodes)
    distance, reached, power = adjacency.copy(), adjacency, adjacency
    for radius in range(2, num_snapshots + 1):
        power = power @ adjacency
        within = (power != 0).astype(float)
        distance += radius * (within - reached)
        reached = within
    walks = np.linalg.matrix_power(adjacency, 8)
    chosen: Pairs = []
    for radius in range(2, num_snapshots + 1):
        added = set()
        for i in range(num_nodes):
            shell = distance[i] == radius
            scores = walks[i][shell] + noise[i][shell] / 2
            count = max(1, round(density * scores.shape[0]))
            best = np.argpartition(scores, count)[:count] if count < scores.shape[0] else np.arange(scores.shape[0])
            for j in np.where(shell)[0][best]:
                added.add((min(i, int(j)), max(i, int(j))))
        chosen += sorted(added)
    # The authors' code returns the edges there were as well, read back from networkx.
    both = torch.tensor([chosen, [pair[::-1] for pair in chosen]], dtype=torch.long).view(-1, 2).t()
    torch.cat([from_networkx(graph).edge_index, both], 1)
    return chosen


def fosr(
    edge_index: Tensor, num_nodes: int, num_edges: int, power_steps: int, x: np.ndarray, follow: Pairs | None = None
) -> Pairs:
    """Compiled as the authors' code is: all products for every edge, and a copy of the edges with one more."""
    whole, choose, power = _compiled()
    edges = edge_index.numpy()
    if follow is None:
        return [tuple(pair) for pair in whole(x, edges, num_edges, power_steps).tolist()]
    degree = np.bincount(edges[0], minlength=num_nodes).astype(float)
    for _ in range(power_steps):
        x = power(x, edges, degree)
    for pair in follow:
        _, _, products = choose(x, edges, degree)
        _followed(torch.from_numpy(-products), pair)
        edges = np.concatenate([edges, np.array([pair, pair[::-1]]).T], axis=1)
        degree[list(pair)] += 1
        x = power(x, edges, degree)
    return follow


def _distances(matrix: Tensor) -> Tensor:
    diagonal = torch.diagonal(matrix)
    return diagonal.unsqueeze(0) + diagonal.unsqueeze(1) - 2 * matrix


def _blocks(graph: nx.Graph, num_nodes: int) -> Sequence[Tensor]:
    """One n x n mask per component."""
    masks = []
    for component in map(list, nx.connected_components(graph)):
        rows, columns = torch.zeros(num_nodes, num_nodes), torch.zeros(num_nodes, num_nodes)
        rows[component, :] = 1
        columns[:, component] = 1
        masks.append(torch.logical_and(rows, columns))
    return masks


def _followed(score: Tensor, pair: tuple[int, int]) -> tuple[int, int]:
    best, mine = float(score.max()), float(score[pair])
    if not mine >= best - 1e-7 * abs(best):
        raise GnnlabError(f"edge {pair} scores {mine}, but the best one {best}", where="gnnlab bench rewiring")
    return pair


@cache
def _compiled() -> tuple[Callable, ...]:
    from numba import njit

    @njit
    def choose(x, edges, degree):
        y = x / np.sqrt(degree + 1)
        products = np.outer(y, y)
        for e in range(edges.shape[1]):
            products[edges[0, e], edges[1, e]] = np.inf
        for i in range(x.size):
            products[i, i] = np.inf
        place = np.argmin(products)
        return place % x.size, place // x.size, products

    @njit
    def power(x, edges, degree):
        root = np.sqrt(degree)
        x = x - x.dot(root) * root / degree.sum()
        scaled, out = x / root, np.zeros(x.size)
        for e in range(edges.shape[1]):
            out[edges[0, e]] += scaled[edges[1, e]]
        out = x + out / root
        return out / np.linalg.norm(out)

    @njit
    def whole(x, edges, num_edges, power_steps):
        degree = np.zeros(x.size)
        for e in range(edges.shape[1]):
            degree[edges[0, e]] += 1
        for _ in range(power_steps):
            x = power(x, edges, degree)
        pairs = np.empty((num_edges, 2), np.int64)
        for step in range(num_edges):
            s, t, _ = choose(x, edges, degree)
            if s == t:
                return pairs[:step]
            pairs[step] = s, t
            edges = np.concatenate((edges, np.array([[s, t], [t, s]])), axis=1)
            degree[s] += 1
            degree[t] += 1
            x = power(x, edges, degree)
        return pairs

    return whole, choose, power
