"""What happens to a graph's attributes when its edges change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import CSR
from gnnlab.rewiring import Edits, Rewiring
from gnnlab.rewiring._edits import both_ways
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


@dataclass(frozen=True, repr=False)
class FirstToLast(Rewiring):
    """Joins the first and the last node of every graph, and drops the self-loops."""

    equivariance: ClassVar[str] = "up to ties"

    def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
        ends = torch.stack([ptr[:-1], ptr[1:] - 1])[:, ptr.diff() > 1]
        edits = both_ways(ends, order=torch.ones_like(ends[0]))
        return edits._replace(removed=edge_index[0] == edge_index[1])


def path(num_nodes: int = 4) -> Data:
    steps = torch.arange(num_nodes - 1)
    edge_index = torch.stack([steps, steps + 1])
    return Data(
        x=torch.ones(num_nodes, 2), edge_index=edge_index, edge_attr=2.0 + edge_index[0, :, None], y=torch.ones(1)
    )


def test_keeps_the_contract() -> None:
    check_transform(FirstToLast())
    check_transform(FirstToLast(fill="mean", relation=3))


def test_added_edges_come_last_and_say_so() -> None:
    out = FirstToLast(fill=-1.0, relation=2)(path())
    assert out.edge_index.tolist() == [[0, 1, 2, 0, 3], [1, 2, 3, 3, 0]]
    assert out.edge_type.tolist() == [0, 0, 0, 2, 2]
    assert out.edge_order.tolist() == [0, 0, 0, 1, 1]
    assert out.edge_attr.flatten().tolist() == [2, 3, 4, -1, -1]
    assert "edge_weight" not in out


def test_mean_is_over_the_edges_of_the_graph() -> None:
    batch = Batch.from_data_list([path(3), path(5)])
    first, second = FirstToLast(fill="mean")(batch).to_data_list()
    assert first.edge_attr.flatten().tolist() == [2, 3, 2.5, 2.5]
    assert second.edge_attr.flatten().tolist() == [2, 3, 4, 5, 3.5, 3.5]


def test_a_batch_can_be_taken_apart() -> None:
    graphs = [path(3), path(2), path(6)]
    batch = Batch.from_data_list(graphs)
    batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    out = FirstToLast()(batch)
    assert "adj" not in out
    for got, graph in zip(out.to_data_list(), graphs, strict=True):
        expected = FirstToLast()(graph)
        assert set(got.keys()) == set(expected.keys())
        for key, value in expected.to_dict().items():
            assert torch.equal(got[key], value), key


def test_a_second_rewiring_keeps_what_the_first_wrote() -> None:
    once = FirstToLast()(path())
    twice = FirstToLast(relation=5)(once)
    assert twice.edge_type.tolist() == [0, 0, 0, 1, 1, 5, 5]
    assert twice.edge_order.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_weights_of_added_edges_are_one() -> None:
    data = path()
    data.edge_weight = torch.tensor([0.5, 0.25, 2.0])
    assert FirstToLast(fill=9.0)(data).edge_weight.tolist() == [0.5, 0.25, 2.0, 1.0, 1.0]


def test_weights_of_the_rewiring_replace_the_old_ones() -> None:
    @dataclass(frozen=True, repr=False)
    class Weighted(FirstToLast):
        def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
            edits = super().edits(edge_index, ptr)
            count = edge_index.size(1) + edits.added.size(1)
            return edits._replace(weight=torch.arange(float(count)))

    batch = Batch.from_data_list([path(3), path(3)])
    # Kept edges first, then new ones; in the result the edges of a graph stand together.
    assert Weighted()(batch).edge_weight.tolist() == [0, 1, 4, 6, 2, 3, 5, 7]


def test_graph_targets_are_no_edge_attribute() -> None:
    data = Data(edge_index=torch.tensor([[0], [1]]), y=torch.tensor([7.0]), num_nodes=3)
    out = FirstToLast()(data)
    assert out.y.tolist() == [7.0]
    assert out.num_nodes == 3


def test_isolated_last_nodes_survive_without_features() -> None:
    @dataclass(frozen=True, repr=False)
    class DropAll(Rewiring):
        def edits(self, edge_index: Tensor, ptr: Tensor) -> Edits:
            return Edits(edge_index.new_zeros(2, 0), removed=torch.ones_like(edge_index[0], dtype=torch.bool))

    assert DropAll()(Data(edge_index=torch.tensor([[0, 3], [1, 4]]))).num_nodes == 5


def test_categories_have_no_mean_and_no_fractions() -> None:
    data = path()
    data.edge_attr = data.edge_attr.long()
    assert FirstToLast(fill=3)(data).edge_attr.flatten().tolist() == [2, 3, 4, 3, 3]
    with pytest.raises(GraphError, match="no category"):
        FirstToLast(fill="mean")(data)
    with pytest.raises(GraphError, match="categories"):
        FirstToLast(fill=0.5)(data)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="fill"):
        FirstToLast(fill="median")
    with pytest.raises(ConfigError, match="relation"):
        FirstToLast(relation=-1)


@given(unions(max_graphs=4))
def test_edges_of_a_graph_stand_together(batch: Batch) -> None:
    out = FirstToLast()(batch)
    owner = out.batch[out.edge_index[0]]
    assert bool((owner.diff() >= 0).all())
    assert torch.equal(owner, out.batch[out.edge_index[1]])
    loops = int((batch.edge_index[0] == batch.edge_index[1]).sum())
    assert out.num_edges == batch.num_edges - loops + 2 * int((batch.ptr.diff() > 1).sum())
