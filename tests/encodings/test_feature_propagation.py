"""RandomFeaturePropagation: its layout, its draws, what it promises about graphs and batches."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch_geometric.data import Batch, Data

from gnnlab.encodings import RandomFeaturePropagation
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import propagate_features
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


@pytest.mark.parametrize(
    "transform",
    [
        RandomFeaturePropagation(),
        RandomFeaturePropagation(k=3, steps=5, normalization="l2", trajectories=2, operator="lazy"),
        RandomFeaturePropagation(k=4, steps=6, operator="laplacian", qr_every=3),
        RandomFeaturePropagation(k=2, steps=0),
    ],
)
def test_keeps_the_contract(transform: RandomFeaturePropagation) -> None:
    check_transform(transform)


def _karate() -> Data:
    edges = torch.tensor(list(nx.karate_club_graph().to_directed().edges)).t()
    return Data(edge_index=edges, num_nodes=34)


def test_layout() -> None:
    transform = RandomFeaturePropagation(k=3, steps=4, trajectories=2, operator="looped")
    encoded = transform(_karate()).pe_rfp
    assert encoded.shape == (34, 2 * 3 * 5)
    assert encoded.dtype == torch.float32
    parts = encoded.view(34, 2, 5, 3)
    again = propagate_features(_karate().edge_index, torch.tensor([0, 34]), parts[:, :, 0].double(), 4, "looped", "qr")
    assert torch.allclose(again.float(), parts, atol=1e-4)
    for draw in range(2):
        for step in range(1, 5):
            inner = parts[:, draw, step].T @ parts[:, draw, step]
            assert torch.allclose(inner, torch.eye(3), atol=1e-5)
    assert not torch.allclose(parts[:, 0], parts[:, 1])


def test_draws_are_normal_and_follow_seed_and_graph() -> None:
    data = _karate()
    start = RandomFeaturePropagation(k=64, steps=0)(data).pe_rfp
    assert abs(float(start.mean())) < 0.1
    assert abs(float(start.std()) - 1) < 0.1
    assert not torch.equal(RandomFeaturePropagation(k=64, steps=0, seed=1)(data).pe_rfp, start)
    other = Data(edge_index=data.edge_index[:, 1:], num_nodes=34)
    assert not torch.equal(RandomFeaturePropagation(k=64, steps=0)(other).pe_rfp, start)
    shuffled = Data(edge_index=data.edge_index.flip(1), num_nodes=34)
    assert torch.equal(RandomFeaturePropagation(k=64, steps=0)(shuffled).pe_rfp, start)


@settings(max_examples=25, deadline=None)
@given(unions(max_nodes=8, max_edges=16))
def test_a_batch_gives_what_its_graphs_give(batch) -> None:
    transform = RandomFeaturePropagation(k=4, steps=4, operator="laplacian")
    together = transform(batch).pe_rfp
    assert together.isfinite().all()
    single = torch.cat([transform(graph).pe_rfp for graph in batch.to_data_list()])
    assert torch.allclose(together, single, atol=1e-5)


def test_more_columns_than_nodes_are_zero() -> None:
    edge = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    encoded = RandomFeaturePropagation(k=5, steps=2)(Batch.from_data_list([edge, _karate()])).pe_rfp.view(36, 3, 5)
    assert encoded[:2, 0].all()
    assert not encoded[:2, 1:, 2:].any()
    assert encoded[2:, 1:].abs().amax(0).min() > 0


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(BudgetError, match="lower steps"):
        RandomFeaturePropagation(max_gigabytes=1e-4)(_karate())
    with pytest.raises(BudgetError, match="GiB"):
        RandomFeaturePropagation().check_budget(torch.tensor([10**7]))
    RandomFeaturePropagation(k=8, steps=4).check_budget(torch.tensor([10**7]))
    with pytest.raises(ConfigError, match="did you mean 'laplacian'"):
        RandomFeaturePropagation(operator="laplacien")
    with pytest.raises(ConfigError, match="normalization"):
        RandomFeaturePropagation(normalization="l3")
    with pytest.raises(ConfigError, match="at least 1"):
        RandomFeaturePropagation(k=0)
