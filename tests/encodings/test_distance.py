"""DistancePE against networkx and against the definition of distance encoding."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from gnnlab.encodings import DistancePE
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions
from gnnlab.transform import Compose, Transform


@dataclass(frozen=True, repr=False)
class Leaves(Transform):
    """Marks nodes of at most one edge."""

    def forward(self, data: Data) -> Data:
        data.leaves = torch.bincount(data.edge_index[1], minlength=data.num_nodes) < 2
        return data


@pytest.mark.parametrize(
    "transform",
    [
        DistancePE(),
        DistancePE(max_distance=1, pairs="all"),
        DistancePE(3, one_hot=False, pairs="edges"),
        DistancePE(2, node=False, pairs="all"),
        Compose((Leaves(), DistancePE(3, targets="leaves", pairs=None))),
    ],
)
def test_contract(transform: Transform) -> None:
    check_transform(transform)


@given(unions(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_equals_the_definition(batch: Batch, most: int, drawn) -> None:
    batch.target = torch.tensor([drawn.random() < 0.4 for _ in range(batch.num_nodes)], dtype=torch.bool)
    graph = nx.Graph()
    graph.add_nodes_from(range(batch.num_nodes))
    graph.add_edges_from(batch.edge_index.t().tolist())
    table = [nx.single_source_shortest_path_length(graph, v) for v in graph]

    def kind(v: int, u: int) -> int:
        return min(table[v][u], most) if u in table[v] else most + 1

    def histogram(v: int, mask: torch.Tensor) -> list[int]:
        kinds = [kind(v, u) for u in range(batch.num_nodes) if mask[u] and batch.batch[u] == batch.batch[v]]
        return [kinds.count(d) for d in range(most + 2)]

    every = torch.ones(batch.num_nodes, dtype=torch.bool)
    plain = DistancePE(most, pairs="all")(batch)
    aimed = DistancePE(most, pairs="all", one_hot=False, targets="target")(batch)
    assert plain.pe_distance.tolist() == [histogram(v, every) for v in graph]
    assert aimed.pe_distance.tolist() == [histogram(v, batch.target) for v in graph]
    pairs = plain.pair_index.t().tolist()
    assert aimed.pair_pe_distance.flatten().tolist() == [kind(v, u) for v, u in pairs]
    assert plain.pair_pe_distance.argmax(1).tolist() == [kind(v, u) for v, u in pairs]
    assert torch.equal(plain.pair_pe_distance.sum(1), torch.ones(len(pairs)))


def test_large_graphs() -> None:
    n = 120_000
    nodes = torch.arange(n)
    ring = Data(edge_index=torch.stack([nodes, (nodes + 1) % n]), num_nodes=n)
    encoded = DistancePE(3)(ring)
    assert encoded.pe_distance.unique(dim=0).tolist() == [[1, 2, 2, n - 5, 0]]
    assert encoded.pair_pe_distance.sum(0).tolist() == [n, n, n, 0, 0]  # pairs of hops follow the edges
    with pytest.raises(BudgetError, match="GiB"):
        DistancePE(pairs="all")(ring)


def test_bad_input() -> None:
    graph = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    with pytest.raises(GraphError, match="'seeds'"):
        DistancePE(targets="seeds")(graph)
    with pytest.raises(ConfigError, match="max_distance"):
        DistancePE(max_distance=0)
