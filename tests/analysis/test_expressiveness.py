"""What networks tell apart: named pairs, families and BREC against exact refinement, and what does not count."""

from __future__ import annotations

from functools import partial

import networkx as nx
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.utils import to_networkx

from gnnlab.analysis.expressiveness import (
    Subject,
    _chunks,
    _compared,
    _pairs,
    exact_classes,
    network_separation,
    renumbered,
)
from gnnlab.analysis.expressiveness_models import BENCH_MODELS
from gnnlab.analysis.expressiveness_pairs import NAMED_PAIRS, named_pairs
from gnnlab.analysis.expressiveness_sets import COMPARISON_SETS, comparison_set
from gnnlab.encodings import RandomWalkPE
from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import GNN, FeatureEncoder, GINConv, LinearEncoder

HARD = "rook, Shrikhande"


def pairs_of(store) -> Tensor:
    return torch.arange(len(store)) // 2


class TestNamedPairs:
    def test_no_pair_is_isomorphic_and_wl_tells_none_apart(self) -> None:
        store = named_pairs()
        for p, name in enumerate(NAMED_PAIRS):
            a, b = (to_networkx(store[2 * p + k], to_undirected=True) for k in (0, 1))
            assert not nx.is_isomorphic(a, b), name
        classes = exact_classes(store, "wl", pairs_of(store))
        assert torch.equal(classes[::2], classes[1::2])

    @pytest.mark.parametrize(
        ("name", "nodes", "edges", "degrees"),
        [
            ("decalin, bicyclopentyl", 10, 11, {2, 3}),
            ("CSL(41, 2), CSL(41, 3)", 41, 82, {4}),
            ("Petersen, pentagonal prism", 10, 15, {3}),
            ("dodecahedron, Desargues", 20, 30, {3}),
            (HARD, 16, 48, {6}),
        ],
    )
    def test_sizes(self, name: str, nodes: int, edges: int, degrees: set[int]) -> None:
        for graph in NAMED_PAIRS[name]():
            assert (graph.number_of_nodes(), graph.number_of_edges()) == (nodes, edges)
            assert {d for _, d in graph.degree} == degrees

    def test_rook_and_shrikhande_are_strongly_regular(self) -> None:
        for graph in NAMED_PAIRS[HARD]():
            shared = {
                (graph.has_edge(a, b), len(set(graph[a]) & set(graph[b]))) for a in graph for b in graph if a != b
            }
            assert shared == {(True, 2), (False, 2)}


class TestNetworks:
    @pytest.mark.parametrize("name", ["gcn", "gin", "gin, virtual node", "gps", "co-gnn", "2-ign"])
    def test_message_passing_tells_no_pair_apart(self, name: str) -> None:
        store = named_pairs()
        report = network_separation(store, BENCH_MODELS[name], pairs_of(store))
        assert not report.separated.any()
        assert not report.unstable.any()
        assert report.joined < 1e-3
        assert report.noise < 1e-12

    @pytest.mark.parametrize(
        "name",
        ["pathnn, sp+", "pathnn, ap", "gin, rwse", "gps, rwse", "ngnn", "swl-sv", "sswl+", "1,1-gnn", "ppgn"],
    )
    def test_stronger_networks_reach_their_bound(self, name: str) -> None:
        store = named_pairs()
        group, subject = pairs_of(store), BENCH_MODELS[name]
        classes = exact_classes(store, subject.bound, group)
        report = network_separation(store, subject, group, classes=classes)
        assert torch.equal(report.separated, classes[::2] != classes[1::2])
        assert report.violations.numel() == 0
        assert 4 <= int(report.separated.sum()) < len(NAMED_PAIRS)
        assert not report.separated[list(NAMED_PAIRS).index(HARD)]

    @pytest.mark.parametrize("name", ["1,2-gnn", "i2-gnn", "ppgn, 1 label"])
    def test_two_labels_tell_strongly_regular_graphs_apart(self, name: str) -> None:
        store = named_pairs([HARD])
        assert network_separation(store, BENCH_MODELS[name], pairs_of(store)).separated.all()

    @pytest.mark.parametrize("name", ["gin, rni", "gin, lappe"])
    def test_what_follows_the_numbering_does_not_count(self, name: str) -> None:
        store = named_pairs(["C6, two C3", "decalin, bicyclopentyl", "K33, prism"])
        report = network_separation(store, BENCH_MODELS[name], pairs_of(store))
        assert report.unstable.view(-1, 2).any(1).all()
        assert not report.separated.any()

    def test_a_random_forest_of_graphs_of_different_degrees(self) -> None:
        """GIN with random weights tells apart exactly the classes of 1-WL of all graphs on 6 nodes."""
        graphs = [g for g in nx.graph_atlas_g() if g.number_of_nodes() == 6]
        store = _store(graphs)
        group = torch.zeros(len(graphs), dtype=torch.long)
        classes = exact_classes(store, "wl", group)
        report = network_separation(store, BENCH_MODELS["gin"], group, classes=classes)
        assert report.violations.numel() == 0
        assert classes.unique().numel() < len(graphs)
        assert report.num_classes == classes.unique().numel()

    def test_a_wrong_bound_shows(self) -> None:
        store = named_pairs(["C6, two C3", HARD])
        classes = exact_classes(store, "wl", pairs_of(store))
        report = network_separation(store, BENCH_MODELS["pathnn, sp+"], pairs_of(store), classes=classes)
        assert report.violations.tolist() == [[0], [1]]

    def test_the_global_stream_is_left_alone_and_results_repeat(self) -> None:
        store = named_pairs(["C6, two C3"])
        torch.manual_seed(5)
        expected = torch.rand(1)
        torch.manual_seed(5)
        first = network_separation(store, BENCH_MODELS["pathnn, sp+"], pairs_of(store))
        assert torch.equal(torch.rand(1), expected)
        assert first.cut == network_separation(store, BENCH_MODELS["pathnn, sp+"], pairs_of(store)).cut

    def test_settings(self) -> None:
        store, subject = named_pairs(["C6, two C3"]), BENCH_MODELS["gin"]
        for wrong in ({"least": 0}, {"least": 6}, {"copies": 0}):
            with pytest.raises(ConfigError, match="least"):
                network_separation(store, subject, pairs_of(store), **wrong)

    def test_outputs_must_be_of_graphs_and_numbers(self) -> None:
        store = named_pairs(["C6, two C3"])

        def node_level(columns: int) -> nn.Module:
            return GNN(
                2, 4, 1, GINConv, partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=1)), level="node"
            )

        with pytest.raises(GraphError, match="level='graph'"):
            network_separation(store, Subject(node_level), pairs_of(store))

        class Nan(nn.Module):
            def forward(self, batch) -> Tensor:
                return torch.full((batch.num_graphs, 2), float("nan"))

        with pytest.raises(GraphError, match="not numbers"):
            network_separation(store, Subject(lambda columns: Nan()), pairs_of(store))


class TestComparing:
    """On outputs by hand: draws x (graphs, copy) x graphs x channels."""

    def outputs(self, *draws: list[float], noise: float = 0.0) -> Tensor:
        values = torch.tensor(draws, dtype=torch.float64)[..., None]
        return torch.stack([values, values * (1 + noise)], 1)

    def test_votes(self) -> None:
        group = torch.tensor([0, 0, 1, 1])
        outputs = self.outputs([1, 2, 1, 1], [1, 2, 1, 2], [1, 1, 1, 1])
        two = _compared(outputs, group, None, 2, 1e-9)
        assert two.separated.tolist() == [True, False]
        assert _compared(outputs, group, None, 1, 1e-9).separated.tolist() == [True, True]
        assert _compared(outputs, group, None, 3, 1e-9).separated.tolist() == [False, False]

    def test_the_limit_is_ten_times_the_noise(self) -> None:
        group = torch.zeros(2, dtype=torch.long)
        for gap, apart in ((1e-5, False), (2e-4, True)):
            report = _compared(self.outputs([1, 1 + gap], noise=1e-5), group, None, 1, 1e-9)
            assert report.separated.tolist() == [apart]
            assert report.noise == pytest.approx(1e-5, rel=1e-6)
            assert (report.cut if apart else report.joined) == pytest.approx(gap / 1e-4, rel=1e-3)

    def test_classes_of_a_family(self) -> None:
        group = torch.zeros(5, dtype=torch.long)
        assert _compared(self.outputs([1, 2, 1, 3, 2]), group, None, 1, 1e-9).num_classes == 3
        followed = _compared(self.outputs([1, 2, 1, 3, 2], noise=0.1), group, None, 1, 1e-9)
        assert followed.unstable.all()
        assert followed.num_classes == 1

    def test_pairs_within_groups(self) -> None:
        found = [torch.stack(pair, 1).tolist() for pair in _pairs(torch.tensor([0, 0, 0, 1, 2, 2]))]
        assert sum(found, []) == [[0, 1], [0, 2], [1, 2], [4, 5]]
        assert list(_pairs(torch.tensor([], dtype=torch.long))) == []

    def test_chunks_hold_all_graphs_once(self) -> None:
        for sizes in (torch.tensor([], dtype=torch.long), torch.full((300,), 40), torch.tensor([500, 1, 500, 0])):
            parts = _chunks(sizes)
            assert torch.cat([torch.arange(0), *parts]).equal(torch.arange(sizes.numel()))


def test_renumbered_graphs_are_isomorphic() -> None:
    store = named_pairs(["decalin, bicyclopentyl", HARD])
    union = renumbered(store, torch.tensor([0, 2, 1]), torch.Generator().manual_seed(0))
    assert union.num_graphs == 3
    for i, original in enumerate([0, 2, 1]):
        a, b = to_networkx(union[i], to_undirected=True), to_networkx(store[original], to_undirected=True)
        assert nx.is_isomorphic(a, b)
        assert set(map(frozenset, a.edges)) != set(map(frozenset, b.edges))


class TestSets:
    def test_parts(self) -> None:
        part = comparison_set("named").part(3)
        assert part.group.tolist() == [0, 0, 1, 1, 2, 2]
        assert part.sizes["C6, two C3"] == part.sizes[HARD] == 1
        assert sum(part.sizes.values()) == 3
        with pytest.raises(ConfigError, match="did you mean 'brec'"):
            comparison_set("brek")

    @pytest.mark.mirror
    @pytest.mark.parametrize(("name", "groups"), [("csl", 10), ("exp", 600), ("sr16622", 2), ("graph8c", 11117)])
    def test_sizes(self, mirror, name: str, groups: int) -> None:
        assert sum(comparison_set(name).sizes.values()) == groups
        assert name in COMPARISON_SETS

    @pytest.mark.mirror
    def test_brec_by_category(self, mirror) -> None:
        whole = comparison_set("brec")
        assert list(whole.sizes.values()) == [60, 50, 50, 100, 100, 20, 20]
        part = whole.part(14)
        for name, bound in (("gin", "wl"), ("gin, rwse", RandomWalkPE(20))):
            classes = exact_classes(part.store, bound, part.group)
            report = network_separation(part.store, BENCH_MODELS[name], part.group, classes=classes, draws=3, least=2)
            assert report.violations.numel() == 0
            found = part.counts(report.separated)
            assert (sum(found.values()) == 0) == (name == "gin")
            assert found["StrReg"] == 0


def _store(graphs: list[nx.Graph]):
    from torch_geometric.data import Data

    from gnnlab.data import GraphStore

    data = []
    for graph in graphs:
        edges = torch.tensor([[a, b] for a, b in graph.edges], dtype=torch.long).view(-1, 2).t()
        n = graph.number_of_nodes()
        data.append(Data(x=torch.ones(n, 1), edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=n))
    return GraphStore.from_data_list(data)
