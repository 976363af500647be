"""Counts of nodes and edges, and everything that is unusual about how graphs are stored."""

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.analysis.auditing import audit_sample
from gnnlab.analysis.auditing._histogram import histogram
from gnnlab.analysis.auditing.size import size_section


def sized(*graphs: Data) -> dict:
    section = size_section(audit_sample(list(graphs)))
    for picture in section.pictures:
        assert picture.draw().axes
        assert picture.text
    return section.values


def test_by_hand():
    triangle = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]]), num_nodes=3, x=torch.rand(3, 2))
    pair = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=5, x=torch.rand(5, 2))
    values = sized(triangle, pair)
    assert values["graphs"] == 2
    assert values["nodes"] == 8
    assert values["nodes_mean"] == 4
    assert values["nodes_max"] == 5
    assert values["edges"] == 4
    assert values["edges_mean"] == 2
    assert values["degree_mean"] == 1
    assert values["degree_max"] == 2
    assert values["density_mean"] == pytest.approx((1 + 1 / 10) / 2)
    assert values["isolated_share"] == 3 / 8
    assert values["self_loops"] == values["duplicate_edges"] == 0
    assert values["directed"] is False
    assert values["node_features"] == 2
    assert values["edge_features"] == 0
    assert values["level"] is None


def test_loops_repetitions_and_directions_are_told_apart():
    one_way = sized(Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3))
    assert one_way["directed"] is True
    assert one_way["edges"] == 2
    loops = sized(Data(edge_index=torch.tensor([[0, 1, 0, 0, 2], [1, 0, 0, 0, 2]]), num_nodes=3))
    assert loops["directed"] is False
    assert loops["self_loops"] == 3
    assert loops["duplicate_edges"] == 1
    assert loops["isolated_share"] == 1 / 3, "a loop is no neighbour"
    again = sized(Data(edge_index=torch.tensor([[0, 1, 0], [1, 0, 1]]), num_nodes=2))
    assert again["directed"] is False
    assert again["duplicate_edges"] == 1
    assert again["degree_max"] == 1


def test_features_that_say_nothing_are_noticed():
    edges = torch.tensor([[0, 1], [1, 0]])
    values = sized(Data(x=torch.ones(2, 3), edge_index=edges, edge_attr=torch.tensor([[0], [1]])))
    assert values["node_features_constant"] is True
    assert values["node_feature_kind"] == "numbers"
    assert values["edge_features_constant"] is False
    assert values["edge_feature_kind"] == "categories"


@pytest.mark.parametrize("nodes", [0, 1])
def test_hardly_any_graph(nodes):
    values = sized(Data(x=torch.ones(nodes, 1), edge_index=torch.empty(2, 0, dtype=torch.long)))
    assert values["nodes"] == nodes
    assert values["edges"] == 0
    assert values["directed"] is False
    assert values["isolated_share"] == (1.0 if nodes else None)


def test_histograms_count_everything_once():
    whole = histogram(torch.tensor([1, 1, 2, 5]))
    assert whole.counts.tolist() == [2, 1, 0, 0, 1]
    assert not whole.logarithmic
    heavy = histogram(torch.cat([torch.zeros(5), torch.ones(100), torch.tensor([3.0, 1000.0])]))
    assert heavy.logarithmic
    assert heavy.counts.sum() == 107
    broken = histogram(torch.tensor([torch.nan, 0.25, torch.inf]), 0.0, 1.0)
    assert broken.counts.sum() == 1
    assert broken.mean == 0.25
    assert histogram(torch.tensor([])).mean is None
    assert histogram(torch.full((3,), 0.5)).counts.sum() == 3
