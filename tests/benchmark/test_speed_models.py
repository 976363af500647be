"""The references of the models' benchmark compute what ours do, memory is all of it, and the command says so."""

from __future__ import annotations

import json

import networkx as nx
import pytest
import torch
from torch import nn

from gnnlab.benchmark.speed import _asynchrony, _cooperative, _edge_networks, _passes, _paths
from gnnlab.benchmark.speed import _reference_models as reference
from gnnlab.benchmark.speed._operations import Result
from gnnlab.benchmark.speed._proteins import proteins
from gnnlab.cli.bench import main
from gnnlab.errors import GnnlabError
from gnnlab.ops import CSR, aggregate

SQUARE = nx.cycle_graph(4)


@pytest.mark.parametrize(
    ("kind", "counts"), [("shortest", [8, 4, 0]), ("all_shortest", [8, 8, 0]), ("simple", [8] * 3)]
)
def test_references_on_a_square(kind, counts):
    assert [len(paths) for paths in reference.networkx_paths(SQUARE, 3, kind)] == counts


@pytest.mark.parametrize("kind", _paths.KINDS)
def test_igraph_finds_the_same(kind):
    igraph = pytest.importorskip("igraph", minversion="1.0")
    graph = nx.random_regular_graph(3, 14, seed=0)
    found = reference.igraph_paths(igraph.Graph(14, list(graph.edges)), 4, kind)
    wanted = reference.networkx_paths(graph, 4, kind)
    for mine, other in zip(found, wanted, strict=True):
        if kind == "shortest":
            mine, other = ([(path[0], path[-1]) for path in paths] for paths in (mine, other))
        assert sorted(mine) == sorted(other)


def test_other_paths_are_noticed():
    tables = [torch.tensor([[0, 1], [1, 0]]), torch.tensor([[0, 1, 2]])]
    assert _paths._same(tables, [tables[0].flip(0), tables[1]], ends_only=False)
    detour = [tables[0], torch.tensor([[0, 3, 2]])]
    assert not _paths._same(tables, detour, ends_only=False)
    assert _paths._same(tables, detour, ends_only=True)
    assert not _paths._same(tables, [tables[0][:1], tables[1]], ends_only=True)


def test_other_outputs_and_other_gradients_are_noticed():
    right = Result((torch.ones(2),), (torch.ones(3),))
    _passes.agree("it", right, right)
    for wrong in (Result((torch.ones(2),), (torch.zeros(3),)), Result((torch.full((2,), torch.nan),), right.grads)):
        with pytest.raises(GnnlabError, match="do not agree"):
            _passes.agree("it", wrong, right)


def test_a_pass_is_forward_and_backward():
    x = torch.ones(3, requires_grad=True)
    once, again = (_passes.Pass(lambda: 2 * x, [x])() for _ in range(2))
    assert torch.equal(once.outputs[0], torch.full((3,), 2.0))
    assert torch.equal(once.grads[0], again.grads[0])
    assert x.grad is None


def test_memory_is_the_peak_of_all_that_is_allocated():
    def twice() -> None:
        for size in (1 << 18, 1 << 19):  # floats; the first are freed before the others come
            torch.empty(size)

    assert _passes.peak_bytes(twice) == 4 << 19
    assert _passes.peak_bytes(lambda: torch.empty(1 << 18)) == 4 << 18
    # What a kernel fills counts, whatever language it is written in.
    adj, x = CSR.from_edge_index(torch.randint(1000, (2, 5000)), 1000), torch.randn(1000, 64)
    aggregate(x, adj)
    assert 4 * 64 * 1000 <= _passes.peak_bytes(lambda: aggregate(x, adj)) < 8 * 64 * 1000


def test_weights_are_taken_in_order():
    ours, theirs = nn.Linear(2, 3), nn.Linear(2, 3)
    _passes.take_weights(list(ours.parameters()), list(theirs.parameters()))
    assert torch.equal(ours.bias, theirs.bias)
    with pytest.raises(GnnlabError, match="parameter"):
        _passes.take_weights(list(ours.parameters()), list(nn.Linear(3, 3).parameters()))


def test_generated_proteins():
    edge_index, ptr = proteins(30)
    assert edge_index.size(1) == 4 * int(ptr[-1])
    assert float(ptr.diff().double().mean()) == pytest.approx(33, abs=5)
    assert torch.equal(edge_index, proteins(30)[0])


def test_runs_are_copies():
    one, many = (_asynchrony._batch(2, runs) for runs in (1, 3))
    assert many.ptr.tolist() == [0, *(int(end) + shift * one.num_nodes for shift in range(3) for end in one.ptr[1:])]
    assert torch.equal(many.edge_index[:, -one.num_edges :] - 2 * one.num_nodes, one.edge_index)


def test_command(monkeypatch, tmp_path, capsys):
    for module in (_passes, _cooperative, _asynchrony):
        monkeypatch.setattr(module, "_TURN", 0.0)
    monkeypatch.setattr(_cooperative, "_SIDE", 5)
    monkeypatch.setattr(_edge_networks, "_CHANNELS", 12)
    options = ["models", "--rounds", "1", "--graphs", "2", "--json", str(tmp_path / "figures.json")]
    assert main(options) == 0
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    found = {name: [row for row in rows if row["what"].startswith(name)] for name in _WANTED}
    packages = len(_paths._peers())
    assert {name: len(part) for name, part in found.items()} == {**_WANTED, "paths": 6 * packages}
    assert sum(map(len, found.values())) == len(rows)
    assert {row["goal"] for row in found["paths"]} == {20}
    for name, goals in (("path network", {2}), ("edge network", {3, 10})):
        assert {row["goal"] for row in found[name]} == goals
        assert [row["unit"] for row in found[name]] == ["s", "B"] * (len(found[name]) // 2)
    assert all("times its environment" in row["detail"] for row in found["cooperative"])
    assert all("synchronous steps per tick" in row["detail"] for row in found["asynchronous"])
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)
    assert "asynchronous tick of 50 runs, GAT" in capsys.readouterr().out.replace("\n", " ")


def test_parts_are_chosen(monkeypatch, capsys):
    monkeypatch.setattr(_asynchrony, "_TURN", 0.0)
    assert main(["models", "--part", "asynchrony", "--rounds", "1", "--graphs", "1"]) == 0
    out = capsys.readouterr().out
    assert "GSD" in out
    assert "networkx" not in out


_WANTED = {"paths": 6, "path network": 12, "edge network": 4, "cooperative": 6, "asynchronous": 6}
