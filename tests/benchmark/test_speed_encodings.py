"""The references of the encoding benchmark compute what ours do, and the command says so."""

from __future__ import annotations

import json

import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnlab.benchmark.speed import _reference_encodings as reference
from gnnlab.benchmark.speed import encodings
from gnnlab.benchmark.speed.measure import in_one_thread
from gnnlab.encodings import LaplacianPE
from gnnlab.errors import GnnlabError

SQUARE = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])


def test_references_on_a_square():
    nodes, edges = reference.rrwp(SQUARE, 4, 3)
    assert nodes[0].tolist() == [1, 0, 0.5]
    assert edges[0].tolist() == [0, 0.5, 0]
    assert reference.resistance(SQUARE, 4).tolist() == pytest.approx([0.75] * 8)
    assert reference.cycles(SQUARE, 4, 6).tolist() == [[0, 1, 0, 0]] * 4
    assert float(reference.heat_kernel(SQUARE, 4, [0.0, 1.0])[0, 0]) == pytest.approx(1)
    start = torch.eye(4)[:, :2]
    trajectory = reference.propagation(SQUARE, start, 1, lambda x: x)
    assert trajectory[:, 1, 0].tolist() == pytest.approx([0, 0.5, 0, 0.5])


def test_the_union_is_the_graphs():
    work = encodings._work(4, 12)
    assert work.union.num_graphs == len(work.graphs) == 4
    assert sum(graph.num_edges for graph in work.graphs) == work.union.num_edges


def test_a_peer_that_computes_something_else_is_no_peer():
    work = encodings._work(2, 10)
    with pytest.raises(GnnlabError, match="do not agree"):
        encodings._compared("ones", "zeros", work, lambda: torch.ones(4), [lambda: torch.zeros(2)] * 2, 1)


def test_one_thread_for_a_while():
    before, seen = torch.get_num_threads(), []
    in_one_thread([lambda: seen.append(torch.get_num_threads())])
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(encodings, "_TURN", 0.0)
    options = ["--rounds", "1", "--graphs", "6", "--dataset", "", "--json", str(tmp_path / "figures.json")]
    assert encodings.main(options) == 0
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert len(rows) == 2 * len(encodings._ROWS)
    assert [row["goal"] for row in rows if "random walks" in row["what"]] == [8, 7]
    assert "cycles of 3 to 6 nodes" in capsys.readouterr().out.replace("\n", " ")


def test_eigenvectors_agree_if_they_span_the_same_spaces():
    square = Data(edge_index=SQUARE, num_nodes=4)  # eigenvalues 0, 1, 1, 2
    encoded = LaplacianPE(3, normalization="sym", include_trivial=False)(Batch.from_data_list([square, square]))
    same, vectors = encodings._same_spaces(encoded), encoded.pe_lap
    turned = vectors.clone()
    turned[:, :2] = vectors[:, :2] @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    turned[:, 2] *= -1
    assert same(vectors, turned)
    assert not same(vectors, turned.flip(1))
    assert not same(vectors, torch.cat([turned[:4], turned[:4].roll(1, 0)]).cumsum(0))
