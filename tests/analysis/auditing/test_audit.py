"""The whole audit: every kind of dataset gives a report, or one clear sentence why not."""

import json

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.analysis import AuditReport, audit
from gnnlab.analysis.auditing import SECTIONS, audit_sample
from gnnlab.data import GraphStore, TaskSpec
from gnnlab.errors import BudgetError, ConfigError, DataError

NAN = float("nan")
NONE = torch.empty(2, 0, dtype=torch.long)
PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def graphs(edges: torch.Tensor, nodes: int, targets: list, **attributes) -> list[Data]:
    return [Data(edge_index=edges, num_nodes=nodes, y=torch.tensor(target), **attributes) for target in targets]


DATASETS = {
    "no labels": [Data(edge_index=PATH, num_nodes=3) for _ in range(4)],
    "directed": graphs(torch.tensor([[0, 1], [1, 2]]), 3, [[0], [1], [0]], x=torch.ones(3, 2)),
    "disconnected": graphs(PATH, 6, [[0], [1], [0]]),
    "no edges": graphs(NONE, 3, [[0], [1], [0]]),
    "one node": [Data(x=torch.ones(1, 1), edge_index=NONE, y=torch.tensor([1.0]))],
    "no nodes": [Data(x=torch.ones(0, 1), edge_index=NONE)],
    "some without nodes": [Data(x=torch.ones(n, 1), edge_index=NONE, y=torch.tensor([0.5])) for n in (0, 2)],
    "multilabel": GraphStore.from_data_list(
        graphs(PATH, 3, [[[NAN, 1.0, 0.0]], [[1.0, 0.0, NAN]], [[NAN] * 3]]), task=TaskSpec("graph", 3, "bce", "ap")
    ),
    "regression": graphs(PATH, 3, [[[float(i * j) for j in range(20)]] for i in range(4)]),
    "nodes": Data(edge_index=PATH, x=torch.eye(3), y=torch.tensor([0, -1, 1])),
    "nodes, regression": Data(edge_index=PATH, num_nodes=3, y=torch.rand(3, 2)),
    "loops and repetitions": Data(edge_index=torch.tensor([[0, 0, 1, 2, 2], [0, 1, 0, 1, 1]]), num_nodes=4),
    "links": GraphStore.from_data_list(graphs(PATH, 3, [[1.0]]), task=TaskSpec("link", 8, "bce", "mrr")),
}


@pytest.mark.parametrize("name", DATASETS)
def test_every_kind_of_dataset_gives_a_report(name):
    report = audit(DATASETS[name])
    assert isinstance(report, AuditReport)
    assert [section.key for section in report.sections] == list(SECTIONS) == list(report.seconds)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["subject"] == report.subject
    for section in report.sections:
        assert section.text
        assert section.tables or "not_measured" in section.values
        for picture in section.pictures:
            assert picture.draw().axes
            assert picture.text
        for table in section.tables:
            assert {len(line) for line in table.lines} <= {len(table.header)}


def test_the_same_seed_gives_the_same_report():
    first, again = (audit("csl-generated", sample=6, seed=3) for _ in range(2))
    assert first.to_dict() | {"seconds": {}} == again.to_dict() | {"seconds": {}}
    assert first.subject == "6 of the 150 graphs of the dataset, drawn at random (seed 3)."


def test_a_choice_made_before_is_kept():
    chosen = audit_sample("csl-generated", sample=7, seed=1)
    report = audit(chosen, sections=["labels", "size"])
    assert report.subject == chosen.subject
    assert list(report.seconds) == ["labels", "size"]
    assert report.section("size").values["graphs"] == 7


def test_progress_is_asked_for_by_section():
    asked = []
    audit("csl-generated", sections=["size", "topology"], track=lambda key: asked.append(key) or iter)
    assert asked == ["size", "topology"]


def test_what_is_refused_is_said_and_costs_no_other_section(monkeypatch):
    def refuse(sample, track):
        raise BudgetError("this takes 90 GiB", hint="take a smaller sample")

    monkeypatch.setitem(SECTIONS, "topology", refuse)
    report = audit("csl-generated", sections=["size", "topology"])
    assert "this takes 90 GiB" in report.section("topology").text[0]
    assert report.section("topology").values == {"not_measured": "this takes 90 GiB"}
    assert report.section("size").values["graphs"] == 150


def test_what_is_no_dataset_is_an_error():
    with pytest.raises(DataError, match="no graphs"):
        audit([])
    with pytest.raises(ConfigError, match="did you mean 'topology'"):
        audit("csl-generated", sections=["topologie"])
    with pytest.raises(ConfigError, match="mutagg"):
        audit("mutagg")


@pytest.mark.slow
def test_a_graph_of_two_hundred_thousand_nodes_is_sampled():
    nodes = 210_000
    generator = torch.Generator().manual_seed(0)
    ring = torch.arange(nodes)
    one_way = torch.cat([torch.stack([ring, ring.roll(1)]), torch.randint(nodes, (2, nodes), generator=generator)], 1)
    y = torch.randint(3, (nodes,), generator=generator)
    report = audit(Data(edge_index=torch.cat([one_way, one_way.flip(0)], 1), num_nodes=nodes, y=y))
    topology = report.section("topology").values
    assert report.section("size").values["nodes"] == nodes
    assert topology["bridge_share"] == 0, "every edge lies on the ring or closes a cycle with it"
    assert topology["spectral_gap_mean"] is None
    assert topology["estimated"]
    assert report.section("labels").values["homophily"]["edge"] == pytest.approx(1 / 3, abs=0.01)
