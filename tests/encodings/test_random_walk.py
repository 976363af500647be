"""RandomWalkPE against PyG's transform and on what the walk engine does not see."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import AddRandomWalkPE
from torch_geometric.utils import erdos_renyi_graph

from gnnlab.encodings import RandomWalkPE
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.testing import check_transform


@pytest.mark.parametrize("directed", [False, True])
def test_equals_pyg_without_weights(directed: bool) -> None:
    for num_nodes, density in ((12, 0.2), (40, 0.08), (25, 0.5)):
        edge_index = erdos_renyi_graph(num_nodes, density, directed=directed)
        data = Data(edge_index=edge_index, num_nodes=num_nodes)
        ours, theirs = RandomWalkPE(walk_length=9)(data).pe_rwse, AddRandomWalkPE(9)(data).random_walk_pe
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_weights_are_transition_rates() -> None:
    edge_index = torch.tensor([[0, 1, 0, 2], [1, 0, 2, 0]])
    data = Data(edge_index=edge_index, edge_weight=torch.tensor([3.0, 3.0, 1.0, 1.0]), num_nodes=3)
    assert RandomWalkPE(walk_length=2)(data).pe_rwse.tolist() == [[0, 1], [0, 0.75], [0, 0.25]]


def test_later_start_drops_the_first_steps() -> None:
    batch = Batch.from_data_list([Data(edge_index=erdos_renyi_graph(n, 0.3), num_nodes=n) for n in (6, 9)])
    every = RandomWalkPE(walk_length=7)(batch).pe_rwse
    late = RandomWalkPE(walk_length=5, name="late", start=3)(batch).pe_late
    assert late.shape == (15, 5)
    assert torch.equal(late, every[:, 2:])


def test_refuses_empty_walks() -> None:
    with pytest.raises(ConfigError, match="RandomWalkPE"):
        RandomWalkPE(walk_length=0)
    with pytest.raises(ConfigError, match="RandomWalkPE"):
        RandomWalkPE(walk_length=3, start=0)


def test_key_follows_the_fields() -> None:
    keys = {t.key() for t in (RandomWalkPE(3), RandomWalkPE(4), RandomWalkPE(3, name="w"), RandomWalkPE(3, start=2))}
    assert len(keys) == 4
    assert RandomWalkPE(3).key() == RandomWalkPE(walk_length=3).key()


@pytest.mark.parametrize("probes", [None, 8])
def test_contract(probes: int | None) -> None:
    check_transform(RandomWalkPE(walk_length=5, probes=probes))


def test_estimates_approach_the_exact_values() -> None:
    data = Data(edge_index=erdos_renyi_graph(40, 0.1), num_nodes=40)
    exact, rough = RandomWalkPE(10)(data).pe_rwse, RandomWalkPE(10, probes=2000)(data).pe_rwse
    assert torch.allclose(rough, exact, atol=0.1)
    assert not torch.equal(rough, exact)


def test_refuses_absurd_work_and_says_what_helps() -> None:
    data = Data(edge_index=erdos_renyi_graph(40, 0.1), num_nodes=40)
    with pytest.raises(BudgetError, match="probes="):
        RandomWalkPE(10, max_work=1e3)(data)
    with pytest.raises(ConfigError, match="probes"):
        RandomWalkPE(probes=0)


def test_a_start_with_probes_drops_the_first_steps() -> None:
    data = Data(edge_index=erdos_renyi_graph(20, 0.2), num_nodes=20)
    every = RandomWalkPE(walk_length=6, probes=4)(data).pe_rwse
    assert torch.equal(RandomWalkPE(walk_length=4, start=3, probes=4)(data).pe_rwse, every[:, 2:])
