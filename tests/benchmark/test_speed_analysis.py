"""The references of the analysis benchmark compute what ours do, and the command says so."""

from __future__ import annotations

import json
from collections import namedtuple

import networkx as nx
import pytest
import torch

from gnnlab.analysis import ceilings, sensitivity, topology_profile
from gnnlab.benchmark.speed import _reference_analysis as reference
from gnnlab.benchmark.speed import analysis
from gnnlab.cli.bench import main
from gnnlab.errors import GnnlabError, SourceError

MEASURES = analysis.Measures(sensitivity, ceilings, topology_profile)


@pytest.fixture
def no_files(monkeypatch):
    def missing(name: str) -> None:
        raise SourceError(f"no {name}")

    monkeypatch.setattr(analysis, "load_dataset", missing)


@pytest.mark.parametrize("way", [reference.by_jacobian, reference.by_node])
def test_jacobians_of_a_product(way):
    step = torch.tensor([[1.0, 2.0], [0.0, -3.0]])
    weight = torch.tensor([[1.0, -1.0], [4.0, 0.0]])
    found = way(lambda x: step @ x @ weight, torch.randn(2, 2), [1, 0])
    torch.testing.assert_close(found, 6 * step.abs()[[1, 0]])


def test_scores_of_classes():
    assert reference.scores(["a", "a", "b", "a"], [0, 1, 1, 1]) == (2, 1, 0.75)


def test_hashes_are_those_of_three_rounds():
    hexagon, triangles = nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    first, second, third = reference.hashes([hexagon, triangles, nx.path_graph(6)], 3)
    assert first == second != third


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (nx.path_graph(4), {"diameter": 3, "total_resistance": 10, "spectral_gap": 0.5, "curvature_mean": 0}),
        (nx.complete_graph(5), {"commute_mean": 8, "curvature_min": 1.25, "resistance_curvature_mean": 2}),
        (nx.cycle_graph(4), {"curvature_mean": 1, "edge_resistance_q90": 0.75, "commute_q50": 6}),
        (nx.barbell_graph(4, 0), {"curvature_min": -1, "components": 1, "edge_resistance_q90": 0.5}),
        (nx.hypercube_graph(3), {"curvature_mean": 2 / 3}),
        (nx.petersen_graph(), {"curvature_mean": -2 / 3}),
    ],
)
def test_topology_of_known_graphs(graph, expected):
    found = dict(zip(reference.MEASURES, reference.topology(nx.convert_node_labels_to_integers(graph)), strict=True))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


Found = namedtuple("Found", "value ceilings values")
Row = namedtuple("Row", "classes identifiable accuracy")


@pytest.mark.parametrize("part", ["jacobians", "ceilings", "topology"])
def test_what_computes_something_else_is_not_timed(part, no_files):
    def wrong(*_, **__):
        values = dict.fromkeys(reference.MEASURES, torch.zeros(2, dtype=torch.float64))
        return Found(torch.zeros(2, 60), [Row(1, 1, 0.5)], values)

    with pytest.raises(GnnlabError, match="do not agree"):
        analysis.main(["--part", part, "--graphs", "2", "--rounds", "1"], analysis.Measures(wrong, wrong, wrong))


def test_command(tmp_path, capsys, no_files, monkeypatch):
    monkeypatch.setattr(analysis, "_LAYERS", 1)
    monkeypatch.setattr(analysis, "_WIDTH", 3)
    monkeypatch.setattr(analysis, "_SAMPLE", 1)
    path = tmp_path / "figures.json"
    assert main(["analysis", "--rounds", "1", "--graphs", "3", "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [row["goal"] for row in rows] == [None, 15, None, 15, None, 8, None]
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)
    out = capsys.readouterr()
    assert "node by node" in out.out
    assert "the peer on 1 of them" in " ".join(out.out.split())
    assert all(f"{name} is not at hand" in out.err for name in ("proteins", "nci1", "reddit-binary"))


def test_ceilings_of_real_graphs(mirror, capsys, monkeypatch):
    monkeypatch.setattr(analysis, "_DATASETS", {"proteins": 30})
    assert analysis.main(["--part", "ceilings", "--rounds", "1"], MEASURES) == 0
    assert "1-WL ceiling of proteins" in " ".join(capsys.readouterr().out.split())
