"""GPSE: random inputs that evaluation repeats, heads, and a checkpoint that says what it belongs to."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError
from gnnlab.nn import GPSE
from gnnlab.ops import CSR

SMALL = {"hidden_channels": 8, "num_layers": 3, "noise_channels": 5}


def graphs() -> list[Data]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(6, 9), (1, 0), (4, 5), (3, 0)]
    return [
        Data(edge_index=torch.randint(n, (2, e), generator=generator), x=torch.ones(n, 1), num_nodes=n)
        for n, e in sizes
    ]


def test_evaluation_is_repeatable_and_training_is_not() -> None:
    model, batch = GPSE(3, **SMALL), Batch.from_data_list(graphs())
    assert not torch.allclose(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_a_batch_gives_what_its_graphs_give() -> None:
    model = GPSE(3, num_draws=2, **SMALL).eval()
    together = model(Batch.from_data_list(graphs()))
    torch.testing.assert_close(together, torch.cat([model(graph) for graph in graphs()]))


def test_features_make_no_difference_and_a_csr_serves() -> None:
    model, graph = GPSE(3, **SMALL).eval(), graphs()[0]
    other = graph.clone()
    other.x = torch.randn(6, 4)
    other.adj = CSR.from_edge_index(graph.edge_index, 6)
    torch.testing.assert_close(model(graph), model(other))


def test_draws_are_averaged() -> None:
    one, many = GPSE(2, **SMALL).eval(), GPSE(2, num_draws=400, **SMALL).eval()
    many.load_state_dict(one.state_dict())
    graph = graphs()[0]

    def draw(seed: int) -> torch.Tensor:
        one.seed = seed
        return one.embed(graph)

    mean = torch.stack([draw(seed) for seed in range(400)]).mean(0)
    # Averages over 400 independent draws agree far better than two draws do.
    assert (many.embed(graph) - mean).norm() < 0.3 * (draw(1) - draw(2)).norm()


def test_heads_divide_the_columns() -> None:
    model = GPSE(6, target_channels=[4, 2], **SMALL)
    assert [head[-1].out_features for head in model.heads] == [4, 2]
    with pytest.raises(ConfigError, match="add up to 5"):
        GPSE(6, target_channels=[4, 1], **SMALL)


def test_weights_of_another_network_are_refused() -> None:
    weights = GPSE(2, **SMALL).state_dict()
    GPSE(2, num_draws=7, **SMALL).load_state_dict(weights)
    with pytest.raises(ConfigError, match="another network"):
        GPSE(2, **SMALL | {"noise_channels": 6}).load_state_dict(weights)


def test_every_parameter_learns() -> None:
    model = GPSE(3, target_channels=[1, 2], dropout=0.0, **SMALL)
    model(graphs()[0]).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
