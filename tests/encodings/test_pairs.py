"""Encodings of pairs: which pairs, where the values go, what is refused, and how a store keeps them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphStore
from gnnlab.encodings._pairs import PairEncoding, all_pairs
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.testing import check_transform


@dataclass(frozen=True, repr=False)
class Degrees(PairEncoding):
    """Degrees of both ends of a pair."""

    name: str = "degrees"

    @property
    def pair_channels(self) -> int:
        return 2

    def forward(self, data: Data) -> Data:
        degree = torch.bincount(data.edge_index[1], minlength=data.num_nodes).float()
        self.write_pairs(data, self.name, lambda pairs: degree[pairs].t())
        return data


PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def graphs() -> list[Data]:
    return [Data(x=torch.ones(n, 1), edge_index=PATH) for n in (3, 5, 4)]


@pytest.mark.parametrize("pairs", ["edges", "hops", "all", None])
def test_contract(pairs: str | None) -> None:
    check_transform(Degrees(pairs=pairs))


def test_which_pairs() -> None:
    graph = Data(edge_index=PATH, num_nodes=3)
    assert Degrees(pairs="edges")(graph).edge_pe_degrees.tolist() == [[1, 2], [2, 1], [2, 1], [1, 2]]
    near = Degrees(pairs="hops", hops=1)(graph)
    assert near.pair_index.tolist() == [[0, 1, 0, 1, 2, 1, 2], [0, 0, 1, 1, 1, 2, 2]]
    assert near.pair_pe_degrees[1].tolist() == [2, 1]
    assert Degrees(pairs="all")(graph).pair_index.tolist() == all_pairs(torch.tensor([0, 3])).tolist()
    assert set(Degrees(pairs=None)(graph).keys()) == {"edge_index", "num_nodes"}


def test_pairs_there_are_stay() -> None:
    graph = Degrees(pairs="hops", hops=1)(Data(edge_index=PATH, num_nodes=3))
    again = Degrees(pairs="all", name="again")(graph)
    assert again.pair_index is graph.pair_index
    assert torch.equal(again.pair_pe_again, graph.pair_pe_degrees)


def test_a_store_keeps_pairs() -> None:
    store = GraphStore.from_data_list(graphs()).map(Degrees(pairs="all")).map(Degrees(pairs="all", name="later"))
    expected = Degrees(pairs="all")(Batch.from_data_list([graphs()[2], graphs()[0]]))
    batch = store[[2, 0]]
    for key in ("pair_index", "pair_pe_degrees"):
        assert torch.equal(batch[key], expected[key])
    assert torch.equal(batch.pair_pe_later, batch.pair_pe_degrees)


def test_too_many_pairs_are_refused_before_anything_is_done() -> None:
    small = Degrees(pairs="all", max_gigabytes=200 / 2**30)
    assert small(graphs()[1]).pair_pe_degrees.shape == (25, 2)
    store = GraphStore.from_data_list(graphs())
    with pytest.raises(BudgetError, match=r"50 pairs.*max_gigabytes"):
        store.map(small)
    with pytest.raises(BudgetError, match="batch_transforms"):
        small(Batch.from_data_list(graphs()))


def test_bad_settings_name_what_there_is() -> None:
    with pytest.raises(ConfigError, match="edges"):
        Degrees(pairs="edge")
    with pytest.raises(ConfigError, match="hops"):
        Degrees(hops=-1)
