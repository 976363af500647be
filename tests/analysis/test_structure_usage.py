"""What models make of paths and relations, where the answer is known."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.analysis import structure_usage, without_structure
from gnnlab.data import GraphLoader, GraphStore
from gnnlab.errors import ConfigError, GraphError
from gnnlab.lifting import Paths
from gnnlab.nn import GNN, DRew, PathNN, RelationalConv, SumMeanConv
from gnnlab.rewiring import LASER


class Counting(nn.Module):
    """Weights times numbers of paths."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, batch: Data) -> Tensor:
        found = [weight * batch[f"path_{length}"].size(0) for length, weight in enumerate(self.weights, start=1)]
        return torch.tensor([[sum(found)]])


def cycle(nodes: int, channels: int = 8) -> Data:
    node = torch.arange(nodes)
    edges = torch.stack([node, (node + 1) % nodes])
    generator = torch.Generator().manual_seed(nodes)
    x = torch.randn(nodes, channels, generator=generator)
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1))


def test_changes_are_those_of_the_outputs() -> None:
    graphs = [Paths(length=3)(cycle(nodes)) for nodes in (7, 8)]
    usage = structure_usage(Counting([1.0, -2.0, 0.0]), graphs)
    assert usage.structures == ("path_1", "path_2", "path_3")
    assert usage.rows.tolist() == [30, 30, 30]
    assert usage.change.tolist() == [15, 30, 0]
    assert usage.share.tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert usage.spread == pytest.approx(1)  # 14 - 28 and 16 - 32
    assert usage.table()[1]["change"] == 30
    assert "path_2" in str(usage)
    assert "66.7 %" in str(usage)


def test_a_path_network_that_ignores_a_length() -> None:
    model = PathNN(2, hidden_channels=8, length=3, in_channels=8, distances=True, norm=None)
    graphs = GraphStore.from_data_list([Paths(length=3, distances=True)(cycle(nodes)) for nodes in (7, 8, 9)])
    loader = GraphLoader(graphs, batch_size=2)
    model.train()
    before = structure_usage(model, loader)
    assert model.training
    assert bool((before.change > 0).all())
    # The last layer reads nothing any more, so no paths matter.
    model.updates[2].register_forward_pre_hook(lambda module, inputs: (inputs[0] * 0,))
    silent = structure_usage(model, loader)
    assert silent.change.tolist() == [0, 0, 0]
    assert silent.share.tolist() == [0, 0, 0]
    shorter = PathNN(2, hidden_channels=8, length=2, in_channels=8, distances=True, norm=None)
    usage = structure_usage(shorter, loader)
    assert bool((usage.change[:2] > 0).all())
    assert usage.change[2] == 0


@pytest.mark.parametrize("layer", [1, 2])
def test_hops_of_drew(layer: int) -> None:
    edges = torch.tensor([[0, 1, 1, 2, 2, 3, 0, 2, 1, 3, 0, 3], [1, 0, 2, 1, 3, 2, 2, 0, 3, 1, 3, 0]])
    kinds = torch.tensor([0] * 6 + [1] * 4 + [2] * 2)
    batch = Batch.from_data_list([Data(x=torch.randn(4, 8), edge_index=edges, edge_type=kinds)] * 2)
    model = DRew(3, 8, layer, in_channels=8)
    usage = structure_usage(model, [batch])
    assert usage.structures == ("edge_type=0", "edge_type=1", "edge_type=2")
    assert usage.rows.tolist() == [12, 8, 4]
    # Layer t reads hops up to t.
    assert (usage.change > 0).tolist() == [True, layer > 1, False]


def test_snapshots_of_laser() -> None:
    conv = partial(RelationalConv, conv=partial(SumMeanConv), num_relations=3)
    graphs = GraphStore.from_data_list([LASER(num_snapshots=2, density=0.5)(cycle(nodes)) for nodes in (9, 10)])
    loader = GraphLoader(graphs, batch_size=2)
    model = GNN(2, 8, 2, conv, in_channels=8)
    usage = structure_usage(model, loader)
    assert bool((usage.change > 0).all())
    for layer in model.layers:
        for parameter in layer.conv.convs[2].parameters():
            nn.init.zeros_(parameter)
    deaf = structure_usage(model, loader, ["edge_type=2", "edge_type=1"])
    assert deaf.change[0] == 0
    assert deaf.change[1] > 0


def test_edges_go_with_all_that_is_known_of_them() -> None:
    graph = cycle(5)
    graph.edge_type = torch.tensor([0, 1] * 5)
    graph.edge_attr = torch.arange(10.0)[:, None]
    store = GraphStore.from_data_list([graph])
    batch = next(iter(GraphLoader(store, batch_size=1)))
    less, removed = without_structure(batch, "edge_type=1")
    assert removed == 5
    assert torch.equal(less.edge_attr, batch.edge_attr[batch.edge_type == 0])
    assert torch.equal(less.edge_index, batch.edge_index[:, batch.edge_type == 0])
    assert less.adj.num_edges == 5
    assert (batch.edge_index.size(1), batch.adj.num_edges) == (10, 10)


def test_what_is_not_there_is_said() -> None:
    graph = Paths(length=1, edges=True)(cycle(5))
    with pytest.raises(GraphError, match="no 'path_2'"):
        structure_usage(Counting([1.0]), [graph], ["path_2"])
    with pytest.raises(GraphError, match="no 'edge_type'"):
        structure_usage(Counting([1.0]), [graph], ["edge_type=0"])
    graph.edge_type = torch.zeros(10, dtype=torch.long)
    with pytest.raises(GraphError, match="refer to its edges"):
        structure_usage(Counting([1.0]), [graph], ["edge_type=0"])
    with pytest.raises(ConfigError, match="unknown structure"):
        structure_usage(Counting([1.0]), [graph], ["paths"])
    with pytest.raises(GraphError, match="no batch"):
        structure_usage(Counting([1.0]), [])
    with pytest.raises(GraphError, match="neither paths nor relations"):
        structure_usage(Counting([]), [cycle(4)])
