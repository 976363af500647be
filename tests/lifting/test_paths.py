"""Paths as columns: the contract of transforms, the store, and its way through batches."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from jsonargparse import ArgumentParser
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphLoader, GraphStore
from gnnlab.errors import BudgetError, ConfigError, DataError
from gnnlab.lifting import Paths
from gnnlab.rewiring import RandomEdges
from gnnlab.testing import check_transform
from gnnlab.transform import Transform

KINDS = ("shortest", "all_shortest", "simple")
EVERYTHING = {"distances": True, "edges": True}


def graph(num_nodes: int, seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.combinations(torch.arange(num_nodes), 2).t()
    pairs = pairs[:, torch.rand(pairs.size(1), generator=generator) < 0.6]
    edges = torch.cat([pairs, pairs.flip(0)], 1)
    edges = edges[:, torch.randperm(edges.size(1), generator=generator)]
    return Data(x=torch.randn(num_nodes, 2, generator=generator), edge_index=edges, edge_attr=edges.t().clone())


GRAPHS = [graph(n, n) for n in (5, 1, 4, 6)]


def check_consistent(batch: Data, length: int) -> None:
    for edges in range(1, length + 1):
        paths, taken, distance = (batch[f"path_{edges}{name}"] for name in ("", "_edge", "_distance"))
        assert torch.equal(batch.edge_index[0][taken], paths[:, 1:])
        assert torch.equal(batch.edge_index[1][taken], paths[:, :-1])
        assert torch.equal(distance[:, :2], torch.tensor([0, 1]).expand(len(paths), 2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"distances": True}, {"edges": True}, EVERYTHING])
def test_keeps_the_contract(kind, options):
    check_transform(Paths(3, kind, **options))


@dataclass(frozen=True, repr=False)
class _Wrong(Paths):
    """Its distances depend on the numbers of the roots."""

    def forward(self, data):
        data = super().forward(data)
        data.path_2_distance = data.path_2_distance + data.path_2[:, :1] % 2
        return data


def test_the_check_sees_columns_beside_the_paths():
    with pytest.raises(AssertionError, match=r"path_2\+path_2_distance"):
        check_transform(_Wrong(2, "simple", distances=True))


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_a_store(kind):
    lifting = Paths(3, kind, **EVERYTHING)
    store = GraphStore.from_data_list(GRAPHS)
    ways = {
        "mapped": store.map(lifting),
        "mapped in parts": store.map(lifting, chunk_nodes=7),
        "collected": GraphStore.from_data_list([lifting(data) for data in GRAPHS]),
        "chosen": store.map(lifting).subset([0, 1, 2, 3]),
    }
    chosen = [3, 0, 1, 2]
    expected = lifting(store[chosen])
    for name, way in ways.items():
        batch = way[chosen]
        check_consistent(batch, 3)
        for length in (1, 2, 3):
            key = f"path_{length}"
            assert sorted(batch[key].tolist()) == sorted(expected[key].tolist()), name
            assert way.columns[key].level == way.columns[f"{key}_edge"].level == key
            assert way.columns[f"{key}_edge"].indexes == "edge"
    check_consistent(store.map(lifting)[2], 3)


def test_saved_and_loaded(tmp_path):
    store = GraphStore.from_data_list(GRAPHS).map(Paths(2, "simple", **EVERYTHING))
    store.save(tmp_path / "store")
    check_consistent(GraphStore.load(tmp_path / "store")[[2, 3, 0]], 2)


def test_padded_batches_keep_real_paths_apart():
    store = GraphStore.from_data_list(GRAPHS * 4).map(Paths(2, **EVERYTHING))
    for batch in GraphLoader(store, batch_size=4, pad=True):
        check_ends = batch.edge_index[:, batch.path_2_edge]
        real = int(batch.padding[len(batch.path_2)])
        assert torch.equal(check_ends[0][:real], batch.path_2[:real, 1:])
        nodes = int(batch.padding[batch.num_nodes])
        assert bool((batch.path_2[real:] >= nodes).all())


def test_new_edges_after_the_paths_are_refused():
    store = GraphStore.from_data_list(GRAPHS).map(Paths(2, edges=True))
    with pytest.raises(DataError, match="changes the edges that 'path_1_edge' counts"):
        store.map(RandomEdges(num_edges=1))
    rewired = GraphStore.from_data_list(GRAPHS).map(RandomEdges(num_edges=1)).map(Paths(2, **EVERYTHING))
    check_consistent(rewired[[3, 2]], 2)


def test_shortest_paths_depend_on_the_numbering():
    square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
    swap = torch.tensor([0, 3, 2, 1])
    for kind, follows in zip(KINDS, (False, True, True), strict=True):
        lifted, moved = (Paths(2, kind)(Data(edge_index=edges, num_nodes=4)) for edges in (square, swap[square]))
        assert (sorted(swap[lifted.path_2].tolist()) == sorted(moved.path_2.tolist())) == follows


def test_paths_along_directed_edges_lead_to_the_root():
    lifted = Paths(2)(Data(edge_index=torch.tensor([[2, 1], [1, 0]]), num_nodes=3))
    assert lifted.path_2.tolist() == [[0, 1, 2]]


def test_bad_settings():
    with pytest.raises(ConfigError, match="unknown kind 'simpel'") as error:
        Paths(kind="simpel")
    assert "simple" in str(error.value)
    with pytest.raises(ConfigError, match="must be at least 1, got 0 and 1000000"):
        Paths(length=0)
    complete = torch.combinations(torch.arange(8), 2).t()
    data = Batch.from_data_list([Data(edge_index=torch.cat([complete, complete.flip(0)], 1), num_nodes=8)])
    with pytest.raises(BudgetError, match=r"graph 0 has 2,352 candidates for paths of length 3 \(limit 1,000") as error:
        Paths(5, "simple", max_paths=1000)(data)
    assert "raise max_paths" in str(error.value)
    with pytest.raises(ConfigError, match="max_gigabytes must be positive, got 0"):
        Paths(max_gigabytes=0)
    with pytest.raises(BudgetError, match=r"2,352 candidates for paths of length 3 take 0.0 GiB") as error:
        Paths(3, "simple", max_gigabytes=5e-5)(data)
    assert "raise max_gigabytes" in str(error.value)
    assert len(Paths(3, "simple", max_gigabytes=1e-4)(data).path_3) == 8 * 7 * 6 * 5


def test_from_yaml():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--transform", type=Transform)
    config = {"class_path": "gnnlab.lifting.Paths", "init_args": {"length": 2, "kind": "simple", "distances": True}}
    parsed = parser.parse_object({"transform": config})
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    assert instantiate(parsed).transform == Paths(2, "simple", distances=True)
