"""The references of the rewiring benchmark choose what ours do, and the command says so."""

from __future__ import annotations

import json

import networkx as nx
import pytest
import torch

from gnnlab.benchmark.speed import _large_graphs, rewiring
from gnnlab.benchmark.speed import _reference_rewiring as reference
from gnnlab.benchmark.speed._molecules import molecules
from gnnlab.errors import GnnlabError


def edges_of(graph: nx.Graph) -> tuple[torch.Tensor, int]:
    edges = torch.tensor(list(graph.edges)).t()
    return torch.cat([edges, edges.flip(0)], 1), graph.number_of_nodes()


def test_references_make_the_choices_that_are_known():
    assert [tuple(sorted(pair)) for pair in reference.gtr(*edges_of(nx.path_graph(10)), 1)] == [(1, 8)]
    assert reference.gtr(*edges_of(nx.complete_graph(4)), 2) == []
    noise = torch.zeros(9, 9).numpy()
    shells = reference.laser(*edges_of(nx.path_graph(9)), 4, 1.0, noise)
    assert shells == [(i, i + step) for step in (2, 3, 4) for i in range(9 - step)]
    start = torch.arange(10).double().numpy() - 4.5
    assert [tuple(sorted(pair)) for pair in reference.fosr(*edges_of(nx.path_graph(10)), 1, 50, start)] == [(1, 8)]


def test_a_reference_follows_ties_and_nothing_else():
    square = edges_of(nx.cycle_graph(8))
    assert reference.gtr(*square, 1, follow=[(3, 7)]) == [(3, 7)]
    with pytest.raises(GnnlabError, match="best"):
        reference.gtr(*square, 1, follow=[(0, 2)])


def test_generated_molecules():
    edge_index, ptr = molecules(40, 25)
    degree = torch.bincount(edge_index[0], minlength=int(ptr[-1]))
    assert 1 <= int(degree.min()) <= int(degree.max()) <= 4
    nodes, edges = ptr.diff().double(), edge_index.size(1) / 2
    assert float(nodes.mean()) == pytest.approx(25, abs=2)
    assert float(edges - nodes.sum() + 40) == pytest.approx(float(nodes.sum() / 8), rel=0.3)
    assert torch.equal(edge_index, molecules(40, 25)[0])


def test_command(monkeypatch, tmp_path, capsys):
    small = rewiring._Graphs("molecule-like", [molecules(5, 20), molecules(3, 12)], [1, 5, 7])
    monkeypatch.setattr(rewiring, "_datasets", lambda limit: [small])
    for name, size in (("_SIDE", 20), ("_NODES", 400)):
        monkeypatch.setattr(_large_graphs, name, size)
    assert rewiring.main(["--rounds", "1", "--json", str(tmp_path / "figures.json")]) == 0
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [row["what"].split(",")[0] for row in rows[:3]] == ["GTR", "LASER", "FoSR"]
    assert [row["goal"] for row in rows[:3]] == [25, 30, None]
    assert all("8 graphs" in row["detail"] and "3 at random, time scaled" in row["detail"] for row in rows[:3])
    assert len(rows) == 7
    assert "closed form" in rows[3]["detail"]
    assert "LASER" in capsys.readouterr().out


def test_other_edges_are_an_error(monkeypatch):
    graphs = rewiring._Graphs("molecule-like", [molecules(2, 20)], [0])
    monkeypatch.setattr(reference, "laser", lambda *arguments: [(0, 1)])
    with pytest.raises(GnnlabError, match="other edges"):
        rewiring._laser(graphs, 1, goal=30)
