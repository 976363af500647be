"""Eigenpairs beyond a sparse factorisation: multigrid on meshes, degrees on expanders."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh
from torch import Tensor

from gnnlab.graph import _eigensolvers, laplacian_eigh


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


def test_a_torus_has_its_closed_form():
    a, b = 80, 100
    values = laplacian_eigh(*tensors(nx.grid_2d_graph(a, b, periodic=True)), k=5).values[0]
    waves = [2 - 2 * np.cos(2 * math.pi * np.arange(n) / n) for n in (a, b)]
    assert values.tolist() == pytest.approx(np.sort(np.add.outer(*waves).ravel())[:5].tolist(), abs=1e-8)


@pytest.mark.parametrize("limit", [5000, 50], ids=["factored", "iterative"])
@pytest.mark.parametrize("normalization", [None, "sym"])
@pytest.mark.parametrize(
    "graph", [nx.barabasi_albert_graph(1500, 2, seed=0), nx.grid_2d_graph(40, 41)], ids=["expander", "mesh"]
)
def test_every_preconditioner(graph, normalization, limit, monkeypatch):
    monkeypatch.setattr(_eigensolvers, "_FACTORED", limit)
    edge_index, ptr = tensors(graph)
    exact = laplacian_eigh(edge_index, ptr, 3, normalization, dense_limit=2000)
    found = laplacian_eigh(edge_index, ptr, 3, normalization, dense_limit=100)
    torch.testing.assert_close(found.values, exact.values, rtol=0, atol=1e-8)


def test_the_degrees_are_chosen_on_expanders(monkeypatch):
    monkeypatch.setattr(_eigensolvers, "_FACTORED", 50)
    monkeypatch.setattr(_eigensolvers, "Multigrid", None)
    edge_index, ptr = tensors(nx.barabasi_albert_graph(1000, 2, seed=0))
    value = laplacian_eigh(edge_index, ptr, 1, "sym", trivial=False, dense_limit=100).values.item()
    adjacency = csr_array((np.ones(edge_index.size(1)), edge_index.numpy()), shape=(1000, 1000))
    scale = 1 / np.sqrt(adjacency.sum(1))
    largest = eigsh(adjacency.multiply(scale[:, None]).multiply(scale).tocsr(), 2, which="LA")[0]
    assert value == pytest.approx(1 - largest.min(), abs=1e-8)
    with pytest.raises(TypeError):
        laplacian_eigh(*tensors(nx.grid_2d_graph(30, 30)), k=2, dense_limit=100)
