"""The references of the subgraph benchmark compute what ours do, and the command says so."""

from __future__ import annotations

import argparse
import json

import pytest
import torch

from gnnlab.benchmark.speed import _passes, _subgraph_networks, _subgraph_store
from gnnlab.benchmark.speed import _reference_subgraph as reference
from gnnlab.cli.bench import main
from gnnlab.errors import GnnlabError, SourceError
from gnnlab.lifting import NodePairs

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
HEXAGON = torch.tensor([[0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 0, 1, 2, 3, 4, 5]])


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr(_passes, "_TURN", 0.0)


@pytest.fixture
def no_files(monkeypatch):
    def missing(name: str) -> None:
        raise SourceError(f"no {name}")

    monkeypatch.setattr(_subgraph_store, "load_dataset", missing)


@pytest.mark.parametrize("distances", _subgraph_store._PEERS.values())
def test_distances_of_a_path_and_a_node_apart(distances):
    data = reference.node_pairs(PATH, 4, 1, distances)
    assert data.pair_index[:, :5].tolist() == [[0, 0, 0, 0, 1], [0, 1, 2, 3, 0]]
    assert data.pair_mark.view(4, 4).tolist() == [[0, 1, 1, 2], [1, 0, 1, 2], [1, 1, 0, 2], [2, 2, 2, 0]]


def test_sizes_of_the_indices_of_a_hexagon():
    names = ("uL", "vL", "vv", "uG", "vG")
    maps = reference.indices(HEXAGON, torch.tensor([0, 6]), names)
    assert [maps[name][0].size(1) for name in names] == [72, 72, 36, 216, 216]
    assert [maps[name][1].numel() for name in names] == [72, 72, 0, 0, 0]


def test_indices_name_pairs_of_their_graph():
    edge_index = torch.cat([PATH, PATH + 3], 1)
    maps = reference.indices(edge_index, torch.tensor([0, 3, 6]), ("uL", "vL", "vv", "uG", "vG"))
    for name, same in {"uL": 0, "uG": 0, "vL": 1, "vG": 1}.items():
        index = maps[name][0]
        pairs = torch.stack([index // 9 * 3 + index % 9 // 3, index // 9 * 3 + index % 3])
        assert torch.equal(pairs[same, 0], pairs[same, 1])
        if name in ("uL", "vL"):
            assert torch.equal(pairs[1 - same], edge_index[:, maps[name][1]])
    read = maps["vv"][0][0]
    assert torch.equal(read % 9 % 4, torch.zeros_like(read))


def test_a_network_that_computes_something_else_is_no_peer(monkeypatch, no_files):
    monkeypatch.setattr(reference, "through", lambda h, index: h)
    options = argparse.Namespace(graphs=2, layers=1, channels=4, rounds=1)
    with pytest.raises(GnnlabError, match="do not agree"):
        _subgraph_networks.steps(options)
    with pytest.raises(GnnlabError, match="do not agree"):
        _subgraph_networks.aggregations(options)


def test_other_distances_are_noticed(monkeypatch, no_files):
    monkeypatch.setitem(_subgraph_store._PEERS, "nothing", lambda edges, nodes: torch.zeros(nodes, nodes))
    with pytest.raises(GnnlabError, match="other pairs"):
        _subgraph_store.pairs(argparse.Namespace(graphs=2, rounds=1))


def test_generated_molecules_have_atoms_and_bonds(no_files):
    store, name = _subgraph_store.zinc(3)
    assert (len(store), name) == (3, "molecules")
    batch = NodePairs()(store[torch.arange(3)])
    assert batch.x.shape == (batch.num_nodes, 1)
    assert batch.edge_attr.shape == (batch.num_edges, 1)


def test_command(tmp_path, capsys, no_files):
    options = ["--rounds", "1", "--graphs", "2", "--layers", "1", "--channels", "8"]
    assert main(["subgraph", *options, "--json", str(tmp_path / "figures.json")]) == 0
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert [row["goal"] for row in rows] == [2, 2, 2, 2, None, None, 20, 20]
    assert [row["unit"] for row in rows] == ["s", "B", "s", "B", "B", "B", "s", "s"]
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)
    out = capsys.readouterr()
    assert "pools by segments" in out.out
    assert all(f"{name} is not at hand" in out.err for name in ("zinc-12k", "brec", "peptides-func"))


def test_refinements_of_real_pairs(mirror, capsys):
    assert main(["subgraph", "--part", "refinements", "--graphs", "3"]) == 0
    assert "3 pairs, of which each separates: wl 0, swl-vs 3" in " ".join(capsys.readouterr().out.split())
