"""Distances and bottlenecks: closed forms, bridges against networkx, and what is said of graphs too large for it."""

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from gnnlab.analysis.auditing import _topology_sample, audit_sample
from gnnlab.analysis.auditing._bridges import is_bridge
from gnnlab.analysis.auditing.topology import topology_section


def data(graph: nx.Graph) -> Data:
    graph = nx.convert_node_labels_to_integers(graph)
    one_way = torch.tensor(sorted(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return Data(edge_index=torch.cat([one_way, one_way.flip(0)], 1), num_nodes=graph.number_of_nodes())


def measured(*graphs: nx.Graph) -> dict:
    section = topology_section(audit_sample([data(graph) for graph in graphs]))
    for picture in section.pictures:
        assert picture.draw().axes
        assert picture.text
    return section.values


def test_a_path_in_closed_form():
    values = measured(nx.path_graph(7))
    assert values["diameter_mean"] == values["diameter_max"] == 6
    assert values["resistance_mean"] == pytest.approx(8 / 3)  # (n + 1) / 3
    assert values["commute_mean"] == pytest.approx(8 / 3 * 12)
    assert values["bridge_share"] == values["tree_share"] == 1
    assert values["far_pairs"] == pytest.approx(1 / 21)  # one pair of 21 is 6 hops apart
    assert values["reach"][:2] == pytest.approx([6 / 21, 11 / 21])
    assert values["curvature_negative_share"] == 0
    assert values["curvature_mean"] == 0
    assert values["estimated"] == []
    assert values["errors"] == {}
    assert values["whole"] is True


def test_a_barbell_has_one_bridge_of_negative_curvature():
    values = measured(nx.barbell_graph(4, 0))
    assert values["bridge_share"] == pytest.approx(1 / 13)
    assert values["curvature_negative_share"] == pytest.approx(1 / 13)
    assert values["cheeger_upper_mean"] == pytest.approx(1 / 13)  # one edge of 13 edge ends on either side
    assert values["cheeger_lower_mean"] == pytest.approx(values["spectral_gap_mean"] / 2)


def test_parts_are_counted_and_the_largest_is_looked_at():
    values = measured(nx.disjoint_union(nx.path_graph(3), nx.cycle_graph(6)), nx.complete_graph(4))
    assert values["components_mean"] == 1.5
    assert values["disconnected_share"] == 0.5
    assert values["diameter_mean"] == 2
    assert values["diameter_max"] == 3
    assert values["spectral_gap_min"] == pytest.approx(0.5), "not 0: the ring is connected"
    assert values["bridge_share"] == pytest.approx(2 / 8 / 2)
    assert values["tree_share"] == 0


def test_nothing_to_measure_is_none_not_nan():
    values = measured(nx.empty_graph(3), nx.empty_graph(1))
    assert values["components_mean"] == 2
    assert values["tree_share"] == 1
    undefined = ("resistance_mean", "far_pairs", "bridge_share", "curvature_negative_share", "resistance_by_degree")
    assert all(values[name] is None for name in undefined)


def test_directions_loops_and_repetitions_change_nothing():
    ring = torch.tensor([[0, 1, 2, 3, 4, 0, 0], [1, 2, 3, 4, 0, 0, 1]])
    one_way = topology_section(audit_sample(Data(edge_index=ring, num_nodes=5))).values
    assert one_way == measured(nx.cycle_graph(5))


def test_a_sample_says_how_many_and_how_exact(monkeypatch):
    monkeypatch.setattr(_topology_sample, "_GRAPHS", 5)
    graphs = [nx.path_graph(size) for size in range(3, 13)]
    section = topology_section(audit_sample([data(graph) for graph in graphs]))
    assert section.values["sampled"] == 5
    assert section.values["whole"] is False
    assert section.values["errors"]["diameter_mean"] > 0
    assert section.values["tree_share"] == 1
    assert "5 graphs drawn at random" in " ".join(section.text)
    worst = section.tables[-1].lines
    assert [int(line[1].replace(",", "")) - 3 for line in worst] == [int(line[0].split()[-1]) for line in worst]


def test_a_large_graph_is_not_measured_by_a_part_of_it(monkeypatch):
    """Reach, cuts and resistances of the whole graph; curvature only of edges whose ends kept their neighbours."""
    lattice = nx.grid_2d_graph(12, 12, periodic=True)
    exact = measured(lattice)
    for name, value in {"LARGEST": 60, "_EXACT": 60}.items():
        monkeypatch.setattr(_topology_sample, name, value)
    values = measured(lattice)
    for name in ("spectral_gap_mean", "cheeger_lower_mean", "curvature_mean", "diameter_mean"):
        assert values[name] == pytest.approx(exact[name]), name
    assert values["reach"] == pytest.approx(exact["reach"]), "a torus looks alike from everywhere"
    assert values["resistance_mean"] == pytest.approx(exact["resistance_mean"], rel=0.05)
    assert values["resistance_by_degree"] is None
    assert "diameter, in hops" in values["estimated"]
    monkeypatch.setattr(_topology_sample, "SOLVED", 60)
    values = measured(lattice)
    assert values["spectral_gap_mean"] is None
    assert values["cheeger_upper_mean"] is None
    assert values["diameter_mean"] == exact["diameter_mean"]
    assert values["bridge_share"] == 0


@given(st.integers(1, 30), st.floats(0, 0.3), st.integers(0, 100))
def test_bridges_against_networkx(nodes, density, seed):
    graph = nx.gnp_random_graph(nodes, density, seed=seed)
    one_way = data(graph).edge_index[:, : graph.number_of_edges()]
    found = {tuple(edge) for edge in one_way[:, is_bridge(one_way, nodes)].t().tolist()}
    assert found == {tuple(sorted(edge)) for edge in nx.bridges(graph)}
