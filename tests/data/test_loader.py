"""GraphLoader: order by seed and epoch, replicas, and the borders."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.data import GraphLoader, GraphStore
from gnnlab.encodings import RandomWalkPE
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


def test_a_transform_of_batches_gives_what_a_stored_one_gives(store: GraphStore) -> None:
    encode = RandomWalkPE(walk_length=3)
    stored = store.map(encode)
    loader = GraphLoader(store, 4, transform=encode)
    for batch, expected in zip(loader, GraphLoader(stored, 4), strict=True):
        assert torch.equal(batch.pe_rwse, expected.pe_rwse)
        assert torch.equal(batch.x, expected.x)
    assert "pe_rwse" not in store.columns


def test_a_single_graph_is_transformed_once() -> None:
    graph = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
    loader = GraphLoader(GraphStore.from_data_list([graph]), transform=RandomWalkPE(walk_length=2))
    (first,), (second,) = list(loader), list(loader)
    assert first is second
    assert first.pe_rwse.tolist() == [[0, 1], [0, 1]]


def test_padded_batches_cannot_be_transformed(store: GraphStore) -> None:
    with pytest.raises(ConfigError, match="static shape"):
        GraphLoader(store, 4, pad=True, transform=RandomWalkPE(walk_length=3))
