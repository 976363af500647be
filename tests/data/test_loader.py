"""GraphLoader: order by seed and epoch, replicas, and the borders."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.data import GraphLoader, GraphStore
from gnnlab.errors import ConfigError


@pytest.fixture(scope="module")
def store() -> GraphStore:
    graphs = [Data(x=torch.full((2, 1), float(i)), edge_index=torch.tensor([[0], [1]])) for i in range(11)]
    return GraphStore.from_data_list(graphs, name="eleven")


def seen(loader: GraphLoader) -> list[int]:
    return [int(value) for batch in loader for value in batch.x[::2, 0]]


def test_order_is_a_function_of_seed_and_epoch(store: GraphStore) -> None:
    loader = GraphLoader(store, 4, shuffle=True, seed=3)
    first, second = seen(loader), seen(loader)
    assert sorted(first) == sorted(second) == list(range(11))
    assert first != second
    again = GraphLoader(store, 4, shuffle=True, seed=3)
    again.set_epoch(1)
    assert seen(again) == second
    assert seen(GraphLoader(store, 4, shuffle=True, seed=4)) != first


def test_lengths(store: GraphStore) -> None:
    assert len(GraphLoader(store, 4)) == len(list(GraphLoader(store, 4))) == 3
    assert len(GraphLoader(store, 4, drop_last=True)) == len(list(GraphLoader(store, 4, drop_last=True))) == 2
    assert seen(GraphLoader(store, 4, index=torch.tensor([5, 2]))) == [5, 2]


def test_evaluation_replicas_see_every_graph_once(store: GraphStore) -> None:
    parts = [seen(GraphLoader(store, 2, rank=rank, world_size=3)) for rank in range(3)]
    assert sorted(sum(parts, [])) == list(range(11))


def test_training_replicas_take_equally_many_steps(store: GraphStore) -> None:
    loaders = [GraphLoader(store, 2, shuffle=True, rank=rank, world_size=3) for rank in range(3)]
    parts = [seen(loader) for loader in loaders]
    assert {len(part) for part in parts} == {3}
    assert len(set(sum(parts, []))) == 9
    assert {len(loader) for loader in loaders} == {2}


def test_errors(store: GraphStore) -> None:
    with pytest.raises(ConfigError, match="no graphs"):
        GraphLoader(store, index=torch.tensor([], dtype=torch.long))
    with pytest.raises(ConfigError, match="batch_size"):
        GraphLoader(store, 0)
