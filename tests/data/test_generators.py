"""Generated datasets against the rules they follow: published distances, sensitivities, labels by brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import networkx as nx
import pytest
import torch
from torch_geometric.utils import to_networkx

from gnnlab.data import GraphStore, load_dataset
from gnnlab.data.card import Card, SplitSpec, card
from gnnlab.data.generators._common import stratified_split
from gnnlab.data.generators.csl import SKIPS, generate_csl
from gnnlab.data.generators.ring_transfer import TOPOLOGIES, generate_ring_transfer
from gnnlab.data.generators.root_neighbours import generate_root_neighbours
from gnnlab.data.generators.tree_neighbours_match import generate_tree_neighbours_match
from gnnlab.data.readers import RawDataset
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError

GENERATED = [
    "ring-transfer",
    "crossed-ring-transfer",
    "clique-path-transfer",
    "tree-neighbours-match",
    "tree-neighbours-match-r4",
    "tree-neighbours-match-r5",
    "root-neighbours",
    "csl-generated",
]


def a_card(out_channels: int) -> Card:
    task = TaskSpec("node", out_channels, "cross_entropy", "accuracy")
    return Card("toy", "", "", "", "", task, 0, 0, SplitSpec("none", {"none": 1}))


def ring(**options: Any) -> RawDataset:
    return generate_ring_transfer({}, a_card(5), **options)


def tree(depth: int, **options: Any) -> RawDataset:
    return generate_tree_neighbours_match({}, a_card(2**depth), depth=depth, **options)


def roots(**options: Any) -> RawDataset:
    return generate_root_neighbours({}, a_card(5), **options)


def csl(**options: Any) -> RawDataset:
    return generate_csl({}, a_card(10), **options)


def adjacency(store: GraphStore, i: int) -> torch.Tensor:
    data = store[i]
    dense = torch.zeros(data.num_nodes, data.num_nodes, dtype=torch.float64)
    # Accumulating, so that a repeated edge would show.
    return dense.index_put_(tuple(data.edge_index.flip(0)), torch.ones(data.num_edges).double(), accumulate=True)


class TestRingTransfer:
    @pytest.mark.parametrize("topology", list(TOPOLOGIES))
    @pytest.mark.parametrize("num_nodes", [4, 6, 10, 16])
    def test_the_only_label_is_the_class_at_the_target(self, topology: str, num_nodes: int) -> None:
        store = ring(topology=topology, num_nodes=num_nodes, num_graphs=20).store
        distance = {"ring": num_nodes // 2, "crossed_ring": num_nodes // 2, "clique_path": num_nodes // 2 + 1}
        for i in range(0, 20, 3):
            data = store[i]
            labelled = (data.y >= 0).nonzero().view(-1)
            assert labelled.tolist() == [0]
            assert data.x[0].sum() == 0
            carriers = ((data.x.sum(1) == 1) & (data.x != 1).any(1)).nonzero().view(-1)
            assert carriers.numel() == 1
            assert data.x[carriers[0]].argmax() == data.y[0]
            graph = to_networkx(data, to_undirected=True)
            crossed_four = topology == "crossed_ring" and num_nodes == 4
            assert nx.shortest_path_length(graph, 0, int(carriers[0])) == distance[topology] or crossed_four

    @pytest.mark.parametrize("topology", list(TOPOLOGIES))
    def test_simple_undirected_graphs(self, topology: str) -> None:
        dense = adjacency(ring(topology=topology, num_nodes=12, num_graphs=5).store, 3)
        assert torch.equal(dense, dense.t())
        assert dense.max() == 1
        assert dense.diagonal().sum() == 0

    @pytest.mark.parametrize(
        ("topology", "values"),
        [
            ("ring", {8: 2.0**-3, 12: 2.0**-5, 16: 2.0**-7}),
            ("crossed_ring", {8: 1 / 9, 12: 1 / 36, 16: 1 / 144}),
            ("clique_path", {8: 0.018042, 12: 0.0023292, 16: 0.00036911}),
        ],
    )
    def test_sensitivity_of_the_source_to_the_target(self, topology: str, values: dict[int, float]) -> None:
        """(S^r)[source, target] with S the symmetric normalisation without self-loops, r the distance."""
        for num_nodes, expected in values.items():
            dense = adjacency(ring(topology=topology, num_nodes=num_nodes, num_graphs=5).store, 0)
            scale = dense.sum(1).rsqrt()
            target = TOPOLOGIES[topology](num_nodes)[1]
            hops = num_nodes // 2 + (topology == "clique_path")
            power = torch.linalg.matrix_power(scale[:, None] * dense * scale, hops)
            assert power[0, target].item() == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize(
        ("topology", "values"),
        [
            ("ring", {8: 2, 12: 3, 16: 4}),
            ("crossed_ring", {8: 1.5, 12: 2, 16: 2.5}),
            ("clique_path", {8: 4.5, 12: 6.333333, 16: 8.25}),
        ],
    )
    def test_resistance_between_source_and_target(self, topology: str, values: dict[int, float]) -> None:
        for num_nodes, expected in values.items():
            dense = adjacency(ring(topology=topology, num_nodes=num_nodes, num_graphs=5).store, 0)
            inverse = torch.linalg.inv(dense.sum(1).diag() - dense + 1 / num_nodes)
            target = TOPOLOGIES[topology](num_nodes)[1]
            resistance = inverse[0, 0] + inverse[target, target] - 2 * inverse[0, target]
            assert resistance.item() == pytest.approx(expected, rel=1e-6)

    def test_balanced_in_every_part(self) -> None:
        raw = ring(num_graphs=200)
        labels = raw.store.column("y").view(200, -1)[:, 0]
        parts = {part: labels[index].bincount().tolist() for part, index in raw.splits["random"][0].items()}
        assert parts == {"train": [32] * 5, "val": [4] * 5, "test": [4] * 5}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"topology": "rings"}, "did you mean 'ring'"),
            ({"num_nodes": 7}, "must be even"),
            ({"num_nodes": 2}, "at least 4"),
            ({"num_graphs": 3}, "at least 5"),
            ({"version": 2}, "wants version 2"),
        ],
    )
    def test_options_are_checked(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            ring(**options)


class TestTreeNeighboursMatch:
    @pytest.mark.parametrize("depth", [1, 2, 3, 5])
    def test_the_label_by_brute_force(self, depth: int) -> None:
        store = tree(depth, num_graphs=40).store
        leaves = 2**depth
        for i in range(0, 40, 7):
            data = store[i]
            assert data.num_nodes == 2 * leaves - 1
            query = int(data.x[0, 0])
            leaf_rows = data.x[-leaves:].tolist()
            assert sorted(key for key, _ in leaf_rows) == list(range(1, leaves + 1))
            assert sorted(value for _, value in leaf_rows) == list(range(1, leaves + 1))
            (value,) = (value for key, value in leaf_rows if key == query)
            assert int(data.y[0]) == value - 1
            assert (data.y[1:] == -1).all()
            assert (data.x[1 : leaves - 1] == 0).all()

    def test_edges_lead_from_child_to_parent(self) -> None:
        data = tree(3, num_graphs=8).store[5]
        loops = data.edge_index[0] == data.edge_index[1]
        assert loops.sum() == data.num_nodes
        graph = nx.DiGraph(data.edge_index[:, ~loops].t().tolist())
        assert nx.is_arborescence(graph.reverse())
        lengths = nx.single_target_shortest_path_length(graph, 0)
        assert sorted(dict(lengths).values()) == [0, 1, 1, 2, 2, 2, 2] + [3] * 8

    def test_a_fully_informed_root_solves_it_and_a_guess_does_not(self) -> None:
        """The label is a function of query and leaves, and uniform without the leaves."""
        store = tree(2, num_graphs=2000).store
        labels = store.column("y").view(2000, -1)[:, 0]
        assert labels.bincount(minlength=4).double().div(2000).sub(0.25).abs().max() < 0.04

    @pytest.mark.parametrize(
        ("options", "message"), [({"depth": 0}, "between 1 and 14"), ({"num_graphs": 0}, "least 1")]
    )
    def test_options_are_checked(self, options: dict[str, int], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            tree(**({"depth": 2} | options))

    def test_width_of_the_output_fits_the_depth(self) -> None:
        with pytest.raises(ConfigError, match=r"task\.out_channels"):
            generate_tree_neighbours_match({}, a_card(4), depth=3)


class TestRootNeighbours:
    def test_one_graph_of_three_thousand_trees(self) -> None:
        raw = roots()
        data = raw.store[0]
        fold = raw.splits["roots"][0]
        assert [fold[part].numel() for part in ("train", "val", "test")] == [1000] * 3
        labelled = (~data.y.isnan()).all(1)
        assert labelled.nonzero().view(-1).tolist() == torch.cat(list(fold.values())).sort().values.tolist()
        assert nx.number_connected_components(to_networkx(data, to_undirected=True)) == 3000
        degree = torch.bincount(data.edge_index[0], minlength=data.num_nodes)
        hub = (degree == 6) & ~labelled
        # The mean of the neighbours of degree 6, by a dense sum over the edges.
        source, target = data.edge_index
        chosen = hub[source] & labelled[target]
        total = torch.zeros_like(data.x).index_add_(0, target[chosen], data.x[source[chosen]])
        count = torch.bincount(target[chosen], minlength=data.num_nodes)
        assert torch.allclose(data.y[labelled], (total / count[:, None])[labelled], atol=1e-6)
        assert data.x.abs().max() <= 2

    @pytest.mark.parametrize(
        ("part", "hubs", "children"), [(0, (1, 3), (3, 10)), (1, (3, 5), (5, 10)), (2, (3, 5), (5, 10))]
    )
    def test_shape_of_the_trees(self, part: int, hubs: tuple[int, int], children: tuple[int, int]) -> None:
        raw = roots(num_components=300, one_graph=False)
        seen_hubs, seen_children = set(), set()
        for tree_index in raw.splits["roots"][0][("train", "val", "test")[part]].tolist():
            graph = to_networkx(raw.store[tree_index], to_undirected=True)
            assert nx.is_tree(graph)
            assert nx.eccentricity(graph, 0) == 2
            first = [graph.degree(child) for child in graph.neighbors(0)]
            assert set(first) <= {2, 3, 6}
            seen_hubs.add(first.count(6))
            seen_children.add(len(first))
        assert (min(seen_hubs), max(seen_hubs)) == hubs
        assert (min(seen_children), max(seen_children)) == children

    def test_both_layouts_hold_the_same_trees(self) -> None:
        one, many = roots(num_components=20), roots(num_components=20, one_graph=False)
        union = many.store[torch.arange(60)]
        assert torch.equal(one.store[0].edge_index, union.edge_index)
        assert torch.equal(one.store.column("x"), many.store.column("x"))
        starts = union.ptr[many.splits["roots"][0]["val"]]
        assert torch.equal(starts, one.splits["roots"][0]["val"])


class TestCsl:
    def test_ten_regular_classes(self) -> None:
        raw = csl()
        assert raw.store.column("y").bincount().tolist() == [15] * 10
        spectra = []
        for i in range(150):
            dense = adjacency(raw.store, i)
            assert (dense.sum(1) == 4).all()
            assert dense.max() == 1
            spectra.append(torch.linalg.eigvalsh(dense))
        spectra = torch.stack(spectra).view(10, 15, 41)
        # Circulant graphs: the eigenvalues are known.
        angle = 2 * torch.pi * torch.arange(41).double() / 41
        expected = torch.stack([(2 * angle.cos() + 2 * (skip * angle).cos()).sort().values for skip in SKIPS])
        assert torch.allclose(spectra, expected[:, None].expand_as(spectra), atol=1e-9)
        assert torch.cdist(expected, expected).add(torch.eye(10) * 9).min() > 1e-3

    def test_graphs_of_a_class_are_numbered_differently(self) -> None:
        store = csl().store
        assert len({store[i].edge_index.numpy().tobytes() for i in range(15)}) == 15

    def test_folds_are_balanced_and_cover_everything(self) -> None:
        raw = csl()
        y = raw.store.column("y")
        for fold in raw.splits["random"]:
            assert [y[fold[part]].bincount().tolist() for part in ("train", "val", "test")] == [
                [9] * 10,
                [3] * 10,
                [3] * 10,
            ]
            assert torch.cat(list(fold.values())).sort().values.tolist() == list(range(150))
        assert torch.cat([fold["test"] for fold in raw.splits["random"]]).unique().numel() == 150


@pytest.mark.parametrize(
    "generate",
    [ring, lambda **o: tree(3, num_graphs=64, **o), lambda **o: roots(num_components=5, **o), csl],
    ids=["ring", "tree", "roots", "csl"],
)
def test_the_seed_decides_and_nothing_else(generate: Callable[..., RawDataset]) -> None:
    def content(raw: RawDataset) -> list[bytes]:
        columns = [raw.store.column(key).numpy().tobytes() for key in sorted(raw.store.columns)]
        return columns + [
            index.numpy().tobytes() for folds in raw.splits.values() for f in folds for index in f.values()
        ]

    state = torch.get_rng_state()
    first = content(generate(seed=3))
    torch.rand(7)
    assert content(generate(seed=3)) == first
    assert content(generate(seed=4)) != first
    torch.set_rng_state(state)
    generate(seed=3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", GENERATED)
def test_cards_load_without_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GNNLAB_MIRROR", raising=False)
    known, store = card(name), load_dataset(name, progress=False)
    assert not known.files
    assert store.column("x").size(1) == known.node_features
    assert {scheme: len(folds) for scheme, folds in store.folds.items()} == known.split.schemes
    generator = store.meta["generator"]
    assert generator["version"] == known.options["version"]
    assert {key: generator[key] for key in known.options} == known.options


def test_another_card_may_ask_for_other_sizes() -> None:
    known = card("ring-transfer")
    larger = replace(known, options=known.options | {"num_nodes": 20, "num_graphs": 50})
    store = larger.read()({}, larger, **larger.options).store
    assert store.sizes("node").tolist() == [20] * 50


@pytest.mark.parametrize("counts", [[10, 10], [50, 30, 20], [1, 99], [3, 0, 4]])
def test_stratified_split(counts: list[int]) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    split = stratified_split(labels, shares, torch.Generator().manual_seed(0))
    assert torch.cat(list(split.values())).sort().values.tolist() == list(range(sum(counts)))
    for part, share in shares.items():
        got = labels[split[part]].bincount(minlength=len(counts))
        assert (got - share * torch.tensor(counts)).abs().max() <= 1
