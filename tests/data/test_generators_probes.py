"""Mixing by commute time and transfer between blocks, against networkx and brute force."""

from __future__ import annotations

import re
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.utils import to_networkx

from gnnlab.data import GraphStore, load_dataset
from gnnlab.data.card import Card, SplitSpec, card, card_names
from gnnlab.data.generators._molecule_like import molecule_like_graphs
from gnnlab.data.generators.commute_time_mixing import generate_commute_time_mixing, pairs_at_quantile
from gnnlab.data.generators.two_block_transfer import generate_two_block_transfer
from gnnlab.data.readers import RawDataset
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError
from gnnlab.graph import effective_resistance, spectral_gap

QUANTILES = {"q0": 0.0, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q100": 1.0}


def mixing(schemes: tuple[str, ...] = tuple(QUANTILES), **options: Any) -> RawDataset:
    split = SplitSpec(schemes[0], dict.fromkeys(schemes, 1))
    toy = Card("toy", "", "", "", "", TaskSpec("graph", 1, "l1", "mae", False), 1, 0, split)
    return generate_commute_time_mixing({}, toy, num_graphs=30, **options)


def blocks(out_channels: int = 5, **options: Any) -> RawDataset:
    task = TaskSpec("node", out_channels, "cross_entropy", "accuracy")
    toy = Card("toy", "", "", "", "", task, 5, 0, SplitSpec("random", {"random": 1}))
    return generate_two_block_transfer({}, toy, **{"num_graphs": 40, **options})


def commute_times(data: Any) -> torch.Tensor:
    """[n, n] by a dense pseudo-inverse."""
    dense = torch.zeros(data.num_nodes, data.num_nodes, dtype=torch.float64)
    dense[tuple(data.edge_index)] = 1.0
    inverse = torch.linalg.pinv(dense.sum(1).diag() - dense, hermitian=True)
    diagonal = inverse.diagonal()
    return dense.sum() * (diagonal[:, None] + diagonal - 2 * inverse)


class TestMixing:
    def test_the_pair_stands_at_its_quantile(self) -> None:
        raw = mixing()
        for scheme, quantile in QUANTILES.items():
            index = torch.cat(list(raw.splits[scheme][0].values()))
            assert index.numel() == 30
            for i in index[::7].tolist():
                data = raw.store[i]
                pair = data.x.flatten().nonzero().flatten()
                assert pair.numel() == 2
                assert float(data.y) == pytest.approx(float(torch.tanh(data.x.sum())))
                times = commute_times(data)
                n = data.num_nodes
                every = times[tuple(torch.triu_indices(n, n, 1))].sort().values
                expected = every[round(quantile * (every.numel() - 1))]
                assert float(times[tuple(pair)]) == pytest.approx(float(expected), rel=1e-6)

    def test_schemes_differ_in_the_pair_alone(self) -> None:
        raw = mixing()
        first, last = (raw.store[raw.splits[scheme][0]["train"]] for scheme in ("q0", "q100"))
        assert torch.equal(first.edge_index, last.edge_index)
        assert torch.equal(first.y, last.y)
        assert not torch.equal(first.x, last.x)
        assert torch.equal(first.x[first.x > 0].sort().values, last.x[last.x > 0].sort().values)
        assert {part: len(index) for part, index in raw.splits["q50"][0].items()} == {"train": 24, "val": 3, "test": 3}

    def test_seed_and_options(self) -> None:
        columns = [mixing(seed=seed).store.column("x") for seed in (1, 1, 2)]
        assert torch.equal(columns[0], columns[1])
        assert not torch.equal(columns[0], columns[2][: columns[0].size(0)])
        assert set(mixing(("q10",), quantiles=[0.1]).splits) == {"q10"}

    def test_ties_follow_the_keys_and_components_do_not_mix(self) -> None:
        # Two components, then a path: of disconnected pairs none is taken.
        edges = torch.tensor([[0, 1, 2, 3, 4, 5, 5, 6], [1, 0, 3, 2, 5, 4, 6, 5]])
        ptr, zeros = torch.tensor([0, 4, 7]), torch.zeros(7, dtype=torch.float64)
        for keys, pair in ((torch.arange(7.0), [0, 1]), (-torch.arange(7.0), [2, 3])):
            found = pairs_at_quantile(edges, ptr, torch.tensor([0.0, 1.0]), torch.stack([keys.double(), zeros]))
            assert found[0, :, 0].tolist() == pair
            assert found[1, :, 1].tolist() == [4, 6]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"quantiles": [0.5]}, "make the schemes"),
            ({"quantiles": [1.5]}, "between 0 and 1"),
            ({"quantiles": [0.123]}, "whole per cent"),
            ({"version": 2}, "wants version 2"),
            ({"molecules": "zinc-13k"}, "zinc-12k"),
        ],
    )
    def test_options_are_checked(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            mixing(**options)

    def test_the_generated_card(self) -> None:
        store = load_dataset("commute-time-mixing-generated", split="q75", progress=False)
        assert (len(store), store.splits["train"].numel()) == (12000, 1920)

    @pytest.mark.mirror
    def test_molecules(self, mirror: object) -> None:
        store = load_dataset("commute-time-mixing", split="q100", progress=False)
        molecules = load_dataset("zinc-12k", progress=False)
        assert {part: index.numel() for part, index in store.splits.items()} == {"train": 2000, "val": 200, "test": 200}
        data = store[int(store.splits["test"][0])]
        test = molecules[molecules.splits["test"]].to_data_list()
        same = [m for m in test if m.num_nodes == data.num_nodes and torch.equal(m.edge_index, data.edge_index)]
        assert same

    def test_molecule_like_graphs(self) -> None:
        edges, sizes = molecule_like_graphs(40, 23, torch.Generator().manual_seed(0))
        degree = torch.bincount(edges[0], minlength=int(sizes.sum()))
        assert int(degree.max()) <= 4
        first, rings = 0, set()
        for size in sizes.tolist():
            mine = (edges[0] >= first) & (edges[0] < first + size)
            graph = nx.Graph((edges[:, mine] - first).t().tolist())
            assert graph.number_of_nodes() == size
            assert nx.is_connected(graph)
            extra = graph.number_of_edges() - size + 1
            assert 0 <= extra <= size // 8
            rings |= {len(ring) for ring in nx.minimum_cycle_basis(graph)}
            first += size
        assert {5, 6} <= rings
        assert min(rings) >= 4


class TestTwoBlocks:
    def test_task_and_graphs(self) -> None:
        raw = blocks(bridges=3, block_size=6)
        for i in range(0, 40, 7):
            data = raw.store[i]
            assert (data.y >= 0).nonzero().flatten().tolist() == [0]
            assert not data.x[0].any()
            assert data.x[-1].argmax() == data.y[0] == i % 5
            assert data.x[-1].sum() == 1
            assert (data.x[1:-1] == 1).all()
            graph = to_networkx(data, to_undirected=True)
            across = [edge for edge in graph.edges if (edge[0] < 6) != (edge[1] < 6)]
            assert len(across) == 3
            assert not {0, 11} & {node for edge in across for node in edge}
            assert all(nx.is_connected(graph.subgraph(block)) for block in (range(6), range(6, 12)))
            assert nx.shortest_path_length(graph, 0, 11) >= 3
        counts = {part: index.numel() for part, index in raw.splits["random"][0].items()}
        assert counts == {"train": 30, "val": 5, "test": 5}

    def test_the_dial(self) -> None:
        """Every further bridge lowers the resistance and raises the gap; nothing else changes."""
        stores: list[GraphStore] = [blocks(bridges=bridges).store for bridges in (1, 2, 4, 8)]
        unions = [store[torch.arange(40)] for store in stores]
        ends = torch.stack([unions[0].ptr[:-1], unions[0].ptr[1:] - 1])
        resistance = torch.stack([effective_resistance(union.edge_index, union.ptr, ends) for union in unions])
        assert (resistance.diff(dim=0) < 0).all()
        gap = torch.stack([spectral_gap(union.edge_index, union.ptr) for union in unions])
        assert (gap.mean(1).diff() > 0).all()
        assert torch.equal(stores[0].column("x"), stores[3].column("x"))

    def test_density(self) -> None:
        full = blocks(density=1.0, block_size=5, bridges=1).store[0]
        assert full.num_edges == 2 * (2 * 10 + 1)
        empty = blocks(density=0.0, block_size=5, bridges=16).store[0]
        assert empty.num_edges == 2 * (2 * 5 + 16)
        half = np.mean([blocks(density=0.5, block_size=8, seed=seed).store.num_edges for seed in range(3)]) / 40 / 2
        assert half == pytest.approx(2 * (8 + 0.5 * 20) + 1, rel=0.05)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"bridges": 0}, "between 1 and 49"),
            ({"bridges": 50}, "between 1 and 49"),
            ({"block_size": 2}, "at least 3"),
            ({"density": 1.5}, "between 0 and 1"),
            ({"out_channels": 4}, "between 5 and 5"),
            ({"version": 2}, "wants version 2"),
        ],
    )
    def test_options_are_checked(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            blocks(**options)


@pytest.mark.parametrize("name", [n for n in card_names() if "-transfer" in n])
def test_cards_say_what_they_generate(name: str) -> None:
    parsed, store = card(name), load_dataset(name, progress=False)
    options = {key: value for key, value in parsed.options.items() if key != "version"}
    assert {key: store.meta["generator"][key] for key in options} == options
    if number := re.search(r"-n(\d+)$", name):
        assert store[0].num_nodes == int(number[1])
    if number := re.search(r"-b(\d+)$", name):
        assert options["bridges"] == int(number[1])
