"""Statistics of actions against a count by hand, and in any split into batches."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from gnnlab.analysis import ACTIONS, action_statistics
from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import CoGNN, LayerActions


class Scripted(nn.Module):
    """Nodes act as their features say."""

    def actions(self, batch: Data) -> list[LayerActions]:
        assert not self.training
        kept = batch.x[batch.edge_index[0], 0].fmod(2) == 0
        return [LayerActions(batch.x[:, layer], kept.double() * (1 - layer)) for layer in range(2)]


GRAPH = Data(
    x=torch.tensor([[0, 3], [1, 3], [2, 3], [0, 1]]),
    edge_index=torch.tensor([[0, 1, 2, 3, 3], [1, 0, 1, 0, 3]]),
    part=torch.tensor([True, True, False, False]),
)


def test_by_hand():
    table = action_statistics(Scripted(), [GRAPH])
    assert table.actions.tolist() == [[0.5, 0.25, 0.25, 0.0], [0.0, 0.25, 0.0, 0.75]]
    assert table.kept.tolist() == [0.8, 0.0]
    assert (table.num_nodes, table.num_edges) == (4, 5)
    assert table.rows()[0] == {"layer": 0, **dict(zip(ACTIONS, [0.5, 0.25, 0.25, 0.0], strict=True)), "kept edges": 0.8}
    assert str(table).splitlines()[1].split() == ["0", "50.0", "%", "25.0", "%", "25.0", "%", "0.0", "%", "80.0", "%"]


def test_part_of_the_nodes():
    table = action_statistics(Scripted(), [GRAPH], mask="part")
    assert table.actions.tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0, 1]]
    assert table.kept.tolist() == [0.5, 0]
    assert (table.num_nodes, table.num_edges) == (2, 2)
    with pytest.raises(GraphError, match="has no 'parts'"):
        action_statistics(Scripted(), [GRAPH], mask="parts")


def test_batches_do_not_matter_and_the_mode_of_the_model_is_restored():
    generator = torch.Generator().manual_seed(0)
    graphs = [
        Data(x=torch.randn(n, 5, generator=generator), edge_index=torch.randint(n, (2, 2 * n), generator=generator))
        for n in (4, 7, 1, 9)
    ]
    model = CoGNN(2, 16, 3, in_channels=5).train()
    one, many = (action_statistics(model, DataLoader(graphs, batch_size=size)) for size in (4, 1))
    torch.testing.assert_close(one.actions, many.actions)
    torch.testing.assert_close(one.kept, many.kept)
    torch.testing.assert_close(one.actions.sum(1), torch.ones(3).double())
    assert model.training
    layers = model.eval().actions(Batch.from_data_list(graphs))
    torch.testing.assert_close(one.kept, torch.stack([layer.kept_ratio for layer in layers]).double())


def test_nothing_to_count():
    with pytest.raises(GraphError, match="no batch"):
        action_statistics(Scripted(), [])
    with pytest.raises(ConfigError, match="Linear takes no actions"):
        action_statistics(nn.Linear(1, 1), [GRAPH])
    empty = Data(x=torch.zeros(0, 5), edge_index=torch.zeros(2, 0, dtype=torch.long))
    table = action_statistics(CoGNN(1, in_channels=5), [empty])
    assert table.actions.sum() == table.kept.sum() == table.num_nodes == table.num_edges == 0
