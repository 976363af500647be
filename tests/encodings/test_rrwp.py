"""RRWP against dense float64 powers, closed forms and between its choices of pairs."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

from gnnlab.encodings import RRWP, RandomWalkPE
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def _graph(graph: nx.Graph) -> Data:
    edge_index = from_networkx(nx.Graph(nx.convert_node_labels_to_integers(graph).edges)).edge_index
    return Data(edge_index=edge_index, num_nodes=graph.number_of_nodes())


def _powers(data: Data, length: int) -> Tensor:
    """[N, N, K] dense powers of P, by definition."""
    n = data.num_nodes
    adjacency = torch.zeros(n, n, dtype=torch.double)
    adjacency.index_put_(tuple(data.edge_index), torch.tensor(1.0).double(), accumulate=True)
    degree = adjacency.sum(1, keepdim=True)
    transition = torch.where(degree > 0, adjacency / degree, 0.0)
    return torch.stack([torch.linalg.matrix_power(transition, t) for t in range(length)], -1)


@pytest.mark.parametrize("pairs", ["edges", "hops", "all", None])
def test_contract(pairs: str | None) -> None:
    check_transform(RRWP(walk_length=5, pairs=pairs))


def test_defaults_are_those_of_the_paper() -> None:
    encoded = RRWP()(_graph(nx.cycle_graph(6)))
    assert encoded.pe_rrwp.shape == (6, 21)
    assert encoded.edge_pe_rrwp.shape == (12, 21)
    assert encoded.pe_rrwp.dtype == encoded.edge_pe_rrwp.dtype == torch.float32


@settings(max_examples=40, deadline=None)
@given(unions(max_nodes=7, max_edges=12))
def test_every_slice_is_a_power_read_from_target_to_source(batch: Batch) -> None:
    encoded = RRWP(walk_length=6, pairs="all")(batch)
    powers = _powers(batch, 6)
    source, target = encoded.pair_index
    assert torch.allclose(encoded.pair_pe_rrwp.double(), powers[target, source], atol=1e-6)
    assert torch.allclose(encoded.pe_rrwp.double(), powers.diagonal().t(), atol=1e-6)


@pytest.mark.parametrize("graph", [nx.petersen_graph(), nx.barbell_graph(4, 2), nx.random_labeled_tree(20, seed=0)])
def test_walks_of_a_target_sum_to_one_and_flows_are_symmetric(graph: nx.Graph) -> None:
    data = _graph(graph)
    n = data.num_nodes
    encoded = RRWP(walk_length=9, pairs="all")(data)
    dense = torch.zeros(n, n, 9)
    dense[encoded.pair_index[1], encoded.pair_index[0]] = encoded.pair_pe_rrwp
    assert torch.allclose(dense.sum(1), torch.ones(n, 9), atol=1e-6)
    flow = dense * torch.bincount(data.edge_index[0])[:, None, None]
    assert torch.allclose(flow, flow.transpose(0, 1), atol=1e-5)


def test_direction_of_a_pair() -> None:
    encoded = RRWP(walk_length=2)(_graph(nx.star_graph(4)))
    to_centre = encoded.edge_index[1] == 0
    assert encoded.edge_pe_rrwp[to_centre, 1].tolist() == [0.25] * 4  # the centre leaves for each leaf with 1/4
    assert encoded.edge_pe_rrwp[~to_centre, 1].tolist() == [1.0] * 4


def test_choices_of_pairs_agree() -> None:
    batch = Batch.from_data_list([_graph(nx.gnm_random_graph(12, 18, seed=1)), _graph(nx.cycle_graph(7))])
    every = RRWP(walk_length=7, pairs="all")(batch)
    n = batch.num_nodes
    table = torch.zeros(n, n, 7)
    table[every.pair_index[0], every.pair_index[1]] = every.pair_pe_rrwp
    edges = RRWP(walk_length=7, pairs="edges")(batch)
    near = RRWP(walk_length=7, pairs="hops", hops=2)(batch)
    assert torch.allclose(edges.edge_pe_rrwp, table[batch.edge_index[0], batch.edge_index[1]], atol=1e-6)
    assert torch.allclose(near.pair_pe_rrwp, table[near.pair_index[0], near.pair_index[1]], atol=1e-6)
    assert near.pair_index.size(1) < every.pair_index.size(1)


def test_nodes_are_the_return_probabilities() -> None:
    data = _graph(nx.gnm_random_graph(15, 22, seed=3))
    nodes = RRWP(walk_length=8, pairs=None)(data).pe_rrwp
    assert torch.allclose(nodes[:, 1:], RandomWalkPE(walk_length=7)(data).pe_rwse, atol=1e-6)
    assert torch.equal(nodes[:, 0], torch.ones(15))


def test_isolated_nodes_stay_at_step_zero() -> None:
    encoded = RRWP(walk_length=3, pairs="all")(Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3))
    assert encoded.pe_rrwp[2].tolist() == [1, 0, 0]
    isolated = (encoded.pair_index == 2).any(0) & (encoded.pair_index[0] != encoded.pair_index[1])
    assert not encoded.pair_pe_rrwp[isolated].any()


def test_refuses_what_is_too_large() -> None:
    with pytest.raises(ConfigError, match="walk_length"):
        RRWP(walk_length=0)
    data = _graph(nx.gnm_random_graph(60, 120, seed=0))
    with pytest.raises(BudgetError, match="max_gigabytes"):
        RRWP(pairs="all", max_gigabytes=1e-5)(data)
    with pytest.raises(BudgetError, match="max_work"):
        RRWP(max_work=1e4)(data)
