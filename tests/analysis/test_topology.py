"""The profile of a dataset against closed forms and networkx, on awkward graphs, samples and large graphs."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

from gnnlab.analysis import topology_profile
from gnnlab.errors import ConfigError
from gnnlab.testing.strategies import unions


class Store(list):
    """A list of graphs that can be asked as a store is."""

    def __getitem__(self, index: torch.Tensor) -> Batch:
        return Batch.from_data_list([list.__getitem__(self, i) for i in index.tolist()])

    def sizes(self, level: str) -> torch.Tensor:
        assert level == "node"
        return torch.tensor([data.num_nodes for data in self])


def data_of(graph: nx.Graph) -> Data:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=len(graph))


KNOWN = [
    (nx.path_graph(4), {"spectral_gap": 0.5, "commute_q100": 18, "total_resistance": 10, "diameter": 3}),
    (nx.cycle_graph(6), {"spectral_gap": 0.5, "curvature_q50": 0, "edge_resistance_q50": 5 / 6}),
    (
        nx.complete_graph(5),
        {"spectral_gap": 1.25, "commute_mean": 8, "curvature_min": 1.25, "resistance_by_degree": 0.8},
    ),
    (
        nx.barbell_graph(3, 0),
        {
            "spectral_gap": 0.204666,
            "commute_q100": 98 / 3,
            "edge_resistance_q100": 1,
            "resistance_curvature_min": -2 / 3,
        },
    ),
    (nx.barbell_graph(4, 0), {"spectral_gap": 0.113382, "commute_q100": 52, "curvature_min": -1}),
    (nx.complete_graph(6), {"resistance_curvature_mean": 2, "resistance_curvature_q90": 2}),
    (nx.petersen_graph(), {"spectral_gap": 2 / 3, "curvature_mean": -2 / 3, "degree_mean": 3, "degree_std": 0}),
]


def test_closed_forms():
    profile = topology_profile(Batch.from_data_list([data_of(graph) for graph, _ in KNOWN]))
    for row, (_, expected) in enumerate(KNOWN):
        for name, value in expected.items():
            assert profile.values[name][row].item() == pytest.approx(value, abs=1e-5), name
    assert all(bool((kind == 0).all()) for kind in profile.kinds.values())
    assert all(bool((error == 0).all()) for error in profile.errors.values())
    low, high = profile.values["cheeger_lower"], profile.values["cheeger_upper"]
    assert low[4] <= 1 / 13 <= high[4] + 1e-12
    assert profile.curvature_counts.sum(1).tolist() == [graph.number_of_edges() for graph, _ in KNOWN]
    bin_of_bridge = int(((profile.curvature_bins <= -1).sum()) - 1)
    assert profile.curvature_counts[4, bin_of_bridge].item() == 1


def test_against_networkx_on_a_disconnected_graph():
    graph = nx.disjoint_union(nx.gnp_random_graph(14, 0.3, seed=2), nx.path_graph(5))
    graph.add_node(99)
    profile = topology_profile(data_of(graph), ollivier=True)
    resistances, commutes = [], []
    for nodes in nx.connected_components(graph):
        part = graph.subgraph(nodes)
        if len(part) > 1:
            table = nx.resistance_distance(part)
            mine = [table[s][t] for s in part for t in part if s < t]
            resistances += mine
            commutes += [2 * part.number_of_edges() * r for r in mine]
    got = {name: values.item() for name, values in profile.values.items()}
    assert got["resistance_mean"] == pytest.approx(sum(resistances) / len(resistances))
    assert got["commute_mean"] == pytest.approx(sum(commutes) / len(commutes))
    ordered = torch.tensor(commutes).double()
    for name, share in (("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q100", 1)):
        assert got[f"commute_{name}"] == pytest.approx(ordered.quantile(share).item())
    assert got["components"] == nx.number_connected_components(graph)
    assert got["degree_max"] == max(d for _, d in graph.degree())
    assert got["spectral_gap"] == 0
    assert -2 <= got["ollivier_min"] <= 1


@settings(deadline=None, max_examples=25)
@given(unions(max_graphs=3))
def test_a_union_is_its_graphs(batch):
    together = topology_profile(batch, max_pairs=6)
    for graph, data in enumerate(batch.to_data_list()):
        alone = topology_profile(data, max_pairs=6)
        for name, values in alone.values.items():
            torch.testing.assert_close(values[0], together.values[name][graph], equal_nan=True, rtol=1e-6, atol=1e-6)
            assert alone.kinds[name][0] == together.kinds[name][graph]
        assert torch.equal(alone.curvature_counts[0], together.curvature_counts[graph])


def test_undefined_measures_are_nan_and_left_out_of_the_summary():
    lonely = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=3)
    profile = topology_profile(Batch.from_data_list([lonely, data_of(nx.complete_graph(5))]))
    assert math.isnan(profile.values["commute_mean"][0])
    assert math.isnan(profile.values["curvature_q50"][0])
    line = next(line for line in profile.summary() if line["metric"] == "commute_mean")
    assert (line["graphs"], line["mean"]) == (1, pytest.approx(8))
    assert "commute_mean" in str(topology_profile(lonely))


def test_a_sample_of_pairs_has_an_honest_error():
    data = data_of(nx.random_labeled_tree(150, seed=1))
    exact, drawn = topology_profile(data, max_pairs=20_000), topology_profile(data, max_pairs=400)
    for name in ("commute_mean", "commute_q50", "resistance_by_degree"):
        error = drawn.errors[name].item()
        assert drawn.kinds[name].item() == 1
        assert 0 < error < 0.2 * exact.values[name].item()
        assert abs(drawn.values[name].item() - exact.values[name].item()) < 4 * error
    assert drawn.kinds["commute_q100"].item() == 2
    assert drawn.values["commute_q100"] <= exact.values["commute_q100"] + 1e-9
    assert drawn.values["total_resistance"].item() == pytest.approx(exact.values["total_resistance"].item())


def test_a_large_graph_is_estimated_and_says_so():
    data = data_of(nx.random_regular_graph(4, 400, seed=3))
    exact, rough = topology_profile(data), topology_profile(data, exact_limit=300, max_pairs=500)
    assert rough.kinds["diameter"].item() == 2
    assert rough.values["diameter"] <= exact.values["diameter"]
    sketched = ("edge_resistance_q50", "resistance_curvature_mean", "resistance_curvature_q90")
    for name in ("commute_mean", "commute_q50", "total_resistance", *sketched):
        assert abs(rough.values[name] - exact.values[name]) <= 4 * rough.errors[name] + 1e-6, name
    assert rough.kinds["commute_mean"].item() == 1
    assert rough.kinds["resistance_curvature_q50"].item() == 1
    assert rough.errors["resistance_curvature_q50"].item() > 0
    assert "~" in str(rough).splitlines()[-1] or any("~" in line for line in str(rough).splitlines()[2:])


def test_stores_are_sampled_and_looked_at_in_chunks():
    store = Store(data_of(nx.path_graph(n)) for n in range(2, 14))
    seen = []

    def track(chunks):
        for chunk in chunks:
            seen.append(chunk.numel())
            yield chunk

    whole = topology_profile(store, chunk_nodes=20, track=track)
    assert len(seen) > 2
    assert sum(seen) == 12
    assert whole.values["total_resistance"].tolist() == pytest.approx([(n**3 - n) / 6 for n in range(2, 14)])
    part = topology_profile(store, sample=5, seed=1)
    assert (part.graph.numel(), part.available) == (5, 12)
    torch.testing.assert_close(part.values["commute_q90"], whole.values["commute_q90"][part.graph])
    assert torch.equal(part.graph, topology_profile(store, sample=5, seed=1).graph)
    assert part.rows()[0] == {
        "graph": part.graph[0].item(),
        "metric": "nodes",
        "value": part.graph[0].item() + 2.0,
        "kind": "exact",
        "error": 0.0,
    }
    with pytest.raises(ConfigError, match="must be positive"):
        topology_profile(store, sample=0)


def test_multigraphs_count_as_simple():
    data = from_networkx(nx.path_graph(4))
    messy = Data(edge_index=torch.tensor([[0, 0, 1, 2, 2, 3], [1, 1, 2, 2, 3, 3]]), num_nodes=4)
    one, other = topology_profile(data), topology_profile(messy)
    for name, values in one.values.items():
        torch.testing.assert_close(values, other.values[name], equal_nan=True)
