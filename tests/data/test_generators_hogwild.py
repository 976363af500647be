"""Tasks of asynchronous inference: targets in closed form, connected graphs, what two layers can and cannot know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_networkx

from gnnlab.data import load_dataset
from gnnlab.data.card import Card, SplitSpec
from gnnlab.data.generators.chains import generate_chains
from gnnlab.data.generators.coordinates import generate_coordinates
from gnnlab.data.generators.terrain import generate_terrain, terrain_height
from gnnlab.data.generators.totals import generate_count, generate_sum
from gnnlab.data.readers import RawDataset
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError

WIDTHS = {generate_chains: 2, generate_count: 1, generate_sum: 1, generate_coordinates: 2, generate_terrain: 10}
NAMES = ["chains", "count", "sum", "coordinates", "terrain"]


def made(generator: Callable[..., RawDataset], **options: Any) -> RawDataset:
    width = options.pop("out_channels", WIDTHS[generator])
    card = Card("toy", "", "", "", "", TaskSpec("node", width, "mse", "rmse"), 0, 0, SplitSpec("random", {"random": 1}))
    return generator({}, card, **options)


def simple_and_connected(data: Data) -> bool:
    pairs = list(zip(*data.edge_index.tolist(), strict=True))
    simple = len(set(pairs)) == len(pairs) and not any(a == b for a, b in pairs)
    both_ways = all((b, a) in set(pairs) for a, b in pairs)
    return simple and both_ways and nx.is_connected(to_networkx(data, to_undirected=True))


@pytest.mark.parametrize("generator", WIDTHS, ids=lambda f: f.__name__)
class TestAll:
    def test_simple_connected_graphs(self, generator: Callable) -> None:
        store = made(generator, num_graphs=30).store
        assert all(simple_and_connected(data) for data in store)

    def test_a_function_of_the_options(self, generator: Callable) -> None:
        first, second, other = (made(generator, num_graphs=100, seed=seed) for seed in (4, 4, 5))
        for key, column in first.store.columns.items():
            assert torch.equal(column.data.nan_to_num(), second.store.columns[key].data.nan_to_num())
        assert not torch.equal(first.splits["random"][0]["train"], other.splits["random"][0]["train"])
        assert any(
            column.data.shape != other.store.columns[key].data.shape
            or not torch.equal(column.data.nan_to_num(), other.store.columns[key].data.nan_to_num())
            for key, column in first.store.columns.items()
        )

    def test_global_randomness_is_left_alone(self, generator: Callable) -> None:
        state = torch.get_rng_state()
        made(generator, num_graphs=20)
        assert torch.equal(state, torch.get_rng_state())

    def test_every_graph_in_one_part(self, generator: Callable) -> None:
        fold = made(generator, num_graphs=100).splits["random"][0]
        assert torch.cat(list(fold.values())).sort().values.tolist() == list(range(100))
        sizes = [fold[part].numel() for part in ("train", "val", "test")]
        assert sizes == [80, 10, 10]

    def test_other_versions_are_refused(self, generator: Callable) -> None:
        with pytest.raises(ConfigError, match="wants version 7"):
            made(generator, version=7)
        with pytest.raises(ConfigError, match="num_graphs"):
            made(generator, num_graphs=0)


class TestChains:
    def test_the_class_is_written_at_the_first_node_and_nowhere_else(self) -> None:
        for data in made(generate_chains, num_graphs=20, min_nodes=1, max_nodes=6).store:
            n = data.num_nodes
            assert data.edge_index.t().sort(0).values.shape == (2 * (n - 1), 2)
            assert set(map(tuple, data.edge_index.t().tolist())) == {
                (i, j) for i in range(n) for j in (i - 1, i + 1) if 0 <= j < n
            }
            assert data.x[1:].abs().sum() == 0
            assert data.x[0].sum() == 1
            assert bool((data.y == data.x[0].argmax()).all())

    def test_lengths(self) -> None:
        sizes = made(generate_chains, num_graphs=300, min_nodes=3, max_nodes=5).store.sizes("node")
        assert sizes.unique().tolist() == [3, 4, 5]

    def test_options_are_checked(self) -> None:
        with pytest.raises(ConfigError, match="max_nodes"):
            made(generate_chains, min_nodes=5, max_nodes=4)
        with pytest.raises(ConfigError, match=r"task\.out_channels"):
            made(generate_chains, num_classes=3)


class TestTotals:
    @pytest.mark.parametrize("generator", [generate_count, generate_sum])
    def test_every_node_is_asked_for_the_total_of_its_graph(self, generator: Callable) -> None:
        for data in made(generator, num_graphs=20).store:
            assert bool((data.x[:, 0] == 1).all())
            assert (data.y - data.x[:, 1].sum()).abs().max() < 1e-4
            assert data.y.shape == (data.num_nodes, 1)

    def test_marks_are_marks_and_values_are_uniform(self) -> None:
        marks = made(generate_count, num_graphs=400, share=0.25).store.column("x")[:, 1]
        assert set(marks.unique().tolist()) == {0.0, 1.0}
        assert abs(marks.mean().item() - 0.25) < 0.03
        values = made(generate_sum, num_graphs=400).store.column("x")[:, 1]
        assert 0 <= values.min() < values.max() < 1
        assert abs(values.mean().item() - 0.5) < 0.02

    def test_trees_without_extra_edges(self) -> None:
        for data in made(generate_count, num_graphs=10, extra_edges=0, min_nodes=1, max_nodes=9).store:
            assert data.num_edges == 2 * (data.num_nodes - 1)


class TestCoordinates:
    def test_distances_are_those_of_the_positions(self) -> None:
        for data in made(generate_coordinates, num_graphs=10).store:
            known = data.x[:, 0] == 1
            assert known.tolist() == [True] * 3 + [False] * 17
            assert bool(data.y[:3].isnan().all())
            assert data.x[3:].abs().sum() == 0
            position = torch.where(known.unsqueeze(1), data.x[:, 1:], data.y)
            source, target = data.edge_index
            length = (position[source] - position[target]).norm(dim=1)
            assert (length - data.edge_attr.view(-1)).abs().max() < 1e-6

    def test_everyone_is_joined_with_the_nearest(self) -> None:
        data = made(generate_coordinates, num_graphs=10, num_nodes=9, neighbours=2, anchors=8).store[4]
        position = torch.cat([data.x[:8, 1:], data.y[8:]])
        distance = torch.cdist(position, position).fill_diagonal_(torch.inf)
        edges = set(map(tuple, data.edge_index.t().tolist()))
        assert {(i, j) for i, row in enumerate(distance.topk(2, largest=False).indices.tolist()) for j in row} <= edges


class TestTerrain:
    def test_heights_on_and_off_the_strokes(self) -> None:
        """The middles of the seven strokes: which are on the hill says which digit it is."""
        middles = torch.tensor([[0, 1], [-0.5, 0.5], [0.5, 0.5], [0, 0], [-0.5, -0.5], [0.5, -0.5], [0, -1.0]])
        lit = terrain_height(middles.expand(10, 7, 2), torch.arange(10)) > 0.99
        display = ["1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010"]
        display += ["1111111", "1111011"]
        assert ["".join(str(int(on)) for on in row) for row in lit.tolist()] == display

    def test_every_agent_is_asked_and_sees_its_height(self) -> None:
        store = made(generate_terrain, num_graphs=20, noise=0).store
        for i, data in enumerate(store):
            assert bool((data.y == i % 10).all())
            assert 0 <= data.x[:, 0].min() <= data.x[:, 0].max() <= 1
            assert data.x[:, 1:].abs().max() <= 1

    def test_width_of_the_output(self) -> None:
        with pytest.raises(ConfigError, match=r"task\.out_channels"):
            made(generate_terrain, out_channels=9)


@pytest.mark.parametrize("name", NAMES)
def test_cards_give_what_they_say(name: str) -> None:
    store = load_dataset(name, progress=False)
    batch = store[[0, 1]]
    assert batch.y.size(0) == batch.num_nodes
    assert set(store.splits) == {"train", "val", "test"}
    assert store.meta["generator"]["version"] == 1
    assert store.meta["generator"]["name"] == name
