"""The shells of DRew: every pair at every distance, once, under its relation."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.rewiring import DRewShells
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def undirected(graph: nx.Graph) -> Data:
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).view(-1, 2).t().contiguous()
    return Data(edge_index=edges, num_nodes=graph.number_of_nodes())


@pytest.mark.parametrize("rewire", [DRewShells(symmetrise=True), DRewShells(num_hops=2, relation=4, symmetrise=True)])
def test_keeps_the_contract(rewire: DRewShells) -> None:
    check_transform(rewire)


@given(unions(max_nodes=9, undirected=True), st.integers(1, 6))
def test_relations_are_distances(batch, num_hops: int) -> None:
    out = DRewShells(num_hops=num_hops)(batch)
    graph = nx.Graph(batch.edge_index.t().tolist())
    lengths = nx.all_pairs_shortest_path_length(graph, cutoff=num_hops)
    expected = sorted((u, v, hops - 1) for u, row in lengths for v, hops in row.items() if hops > 1)
    added = out.edge_type > 0
    assert sorted(zip(*out.edge_index[:, added].tolist(), out.edge_type[added].tolist(), strict=True)) == expected
    assert torch.equal(out.edge_order, out.edge_type)
    assert torch.equal(out.edge_index[:, ~added].sort().values, batch.edge_index.sort().values)


def test_a_cycle() -> None:
    out = DRewShells(num_hops=5)(undirected(nx.cycle_graph(10)))
    assert out.edge_type.bincount().tolist() == [20, 20, 20, 20, 10]


def test_says_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="num_hops"):
        DRewShells(num_hops=0)
    with pytest.raises(GraphError, match="symmetrise=True"):
        DRewShells()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    with pytest.raises(BudgetError, match="max_pairs"):
        DRewShells(max_pairs=10)(undirected(nx.cycle_graph(10)))
