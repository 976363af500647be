"""Statistics of potentials against a dense pseudo-inverse, component by component."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor
from torch_geometric.data import Batch

from gnnlab.errors import BudgetError
from gnnlab.graph import electrostatic_statistics
from gnnlab.testing.strategies import unions


def laplacian(edge_index: Tensor, nodes: list[int]) -> np.ndarray:
    """Of the nodes given, in float64; an edge in one direction conducts half."""
    place = {node: i for i, node in enumerate(nodes)}
    adjacency = np.zeros((len(nodes), len(nodes)))
    for source, target in edge_index.t().tolist():
        if source != target and source in place:
            adjacency[place[source], place[target]] += 0.5
            adjacency[place[target], place[source]] += 0.5
    return np.diag(adjacency.sum(1)) - adjacency


def components(edge_index: Tensor, nodes: range) -> list[list[int]]:
    graph = nx.Graph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edge for edge in edge_index.t().tolist() if edge[0] in nodes)
    return [sorted(part) for part in nx.connected_components(graph)]


def expected_rows(laplace: np.ndarray) -> np.ndarray:
    """Definition, one entry after the other."""
    n = laplace.shape[0]
    inverse = np.linalg.pinv(laplace, rcond=1e-10, hermitian=True)
    potential = inverse - np.diag(inverse)[None, :]
    degree = np.diag(laplace)
    adjacency = np.diag(degree) - laplace
    walk = np.divide(adjacency, degree[:, None], out=np.zeros_like(adjacency), where=degree[:, None] > 0)
    rows = []
    for v in range(n):
        row = []
        for values in (potential[:, v], potential[v]):
            row += [values.min(), values.max(), values.mean(), values.std(ddof=1) if n > 1 else 0.0]
        rows.append([*row, (walk[:, v] * potential[:, v]).sum(), (walk[v] * potential[v]).sum()])
    return np.array(rows).reshape(n, 10)


@given(unions())
def test_equals_the_definition_on_components(batch: Batch) -> None:
    got = electrostatic_statistics(batch.edge_index, batch.ptr).numpy()
    for begin, end in zip(batch.ptr[:-1].tolist(), batch.ptr[1:].tolist(), strict=True):
        for nodes in components(batch.edge_index, range(begin, end)):
            np.testing.assert_allclose(got[nodes], expected_rows(laplacian(batch.edge_index, nodes)), atol=1e-9)


@given(unions(max_nodes=7, max_edges=8))
def test_equals_the_definition_on_whole_graphs(batch: Batch) -> None:
    got = electrostatic_statistics(batch.edge_index, batch.ptr, whole_graph=True).numpy()
    for begin, end in zip(batch.ptr[:-1].tolist(), batch.ptr[1:].tolist(), strict=True):
        nodes = list(range(begin, end))
        if nodes:
            np.testing.assert_allclose(got[nodes], expected_rows(laplacian(batch.edge_index, nodes)), atol=1e-9)


def test_what_the_docstring_says_is_constant() -> None:
    graph = nx.karate_club_graph()
    edge_index = torch.tensor([(u, v) for u, v in graph.edges] + [(v, u) for u, v in graph.edges]).t()
    values = electrostatic_statistics(edge_index, torch.tensor([0, 34]))
    trace = np.trace(np.linalg.pinv(laplacian(edge_index, list(range(34))), rcond=1e-10, hermitian=True))
    assert values[:, [1, 5]].abs().max() < 1e-12
    assert torch.allclose(values[:, 6], torch.tensor(-trace / 34))


def test_weights_conduct() -> None:
    edge_index = torch.tensor([[0, 1, 1, 2, 0, 2], [1, 0, 2, 1, 2, 0]])
    weight = torch.tensor([2.0, 2.0, 1.0, 1.0, 0.0, 0.0])
    doubled = torch.tensor([[0, 1, 0, 1, 1, 2], [1, 0, 1, 0, 2, 1]])
    ptr = torch.tensor([0, 3])
    assert torch.allclose(electrostatic_statistics(edge_index, ptr, weight), electrostatic_statistics(doubled, ptr))


def test_large_components_are_refused_before_anything_is_done() -> None:
    nodes = torch.arange(200_000)
    with pytest.raises(BudgetError, match="200,000 nodes"):
        electrostatic_statistics(torch.stack([nodes[1:], nodes[:-1]]), torch.tensor([0, 200_000]))
