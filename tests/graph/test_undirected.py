"""The simple undirected graph behind any edges, and noise that belongs to a graph."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from scipy.stats import kstest
from torch_geometric.data import Batch

from gnnlab.errors import GraphError
from gnnlab.graph import undirected_edges
from gnnlab.graph._noise import pair_noise
from gnnlab.ops import complete_edge_index
from gnnlab.testing.strategies import unions


@given(unions())
def test_equals_networkx(batch: Batch) -> None:
    graph = nx.Graph()
    graph.add_edges_from(batch.edge_index.t().tolist())
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    expected = sorted(tuple(sorted(edge)) for edge in graph.edges)
    assert undirected_edges(batch.edge_index, batch.ptr, symmetrise=True).t().tolist() == [list(e) for e in expected]


@given(unions(undirected=True))
def test_undirected_input_needs_no_option(batch: Batch) -> None:
    strict = undirected_edges(batch.edge_index, batch.ptr)
    assert torch.equal(strict, undirected_edges(batch.edge_index, batch.ptr, symmetrise=True))


def test_one_direction_is_an_error_that_names_the_option() -> None:
    with pytest.raises(GraphError, match=r"nodes 1 and 4 .*\n.*symmetrise=True"):
        undirected_edges(torch.tensor([[0, 1, 4], [1, 0, 1]]), torch.tensor([0, 5]))


def test_no_nodes() -> None:
    assert undirected_edges(torch.zeros(2, 0, dtype=torch.long), torch.tensor([0])).shape == (2, 0)


@given(unions(max_graphs=3, min_nodes=1))
def test_noise_is_the_same_alone_and_in_a_batch(batch: Batch) -> None:
    pairs = complete_edge_index(batch.ptr)
    together = pair_noise(pairs, batch.edge_index, batch.ptr, seed=3)
    alone = []
    for data in batch.to_data_list():
        ptr = torch.tensor([0, data.num_nodes])
        shuffled = data.edge_index.flip(1)
        alone.append(pair_noise(complete_edge_index(ptr), shuffled, ptr, seed=3))
    assert torch.equal(together, torch.cat(alone))


def test_noise_is_uniform_and_follows_graph_and_seed() -> None:
    pairs = complete_edge_index(torch.tensor([0, 120]))
    edges = torch.tensor([[0, 1], [1, 2]])
    ptr = torch.tensor([0, 120])
    noise = [pair_noise(pairs, edges, ptr, seed) for seed in (0, 1)] + [pair_noise(pairs, edges[:, :1], ptr, 0)]
    noise.append(pair_noise(pairs.flip(0), edges, ptr, 0))
    for values in noise:
        assert float(values.min()) >= 0
        assert float(values.max()) < 1
        assert kstest(values.numpy(), "uniform").pvalue > 1e-3
    assert torch.corrcoef(torch.stack(noise)).sub(torch.eye(4)).abs().max() < 0.05
