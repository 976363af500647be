"""What networks can tell apart: the golden table, brute force, and data without labels or features."""

from __future__ import annotations

import json

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.analysis import ceilings
from gnnlab.analysis.auditing import _classes, expressiveness
from gnnlab.analysis.auditing.expressiveness import expressiveness_section
from gnnlab.analysis.auditing.sample import audit_sample
from gnnlab.data import GraphStore, load_dataset


def both(edges: list) -> torch.Tensor:
    one_way = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([one_way, one_way.flip(0)], 1)


def rows_of(section, features: bool) -> list[dict]:
    return [row for row in section.values["ceilings"] if row["features"] is features]


@pytest.mark.mirror
@pytest.mark.parametrize("name", ["mutag", "cora", "texas"])
def test_rows_are_those_of_exact_colours(mirror, name) -> None:
    """Hashed colours on the way, exact ones at the end, against exact ones throughout."""
    section = expressiveness_section(audit_sample(name))
    for features in (True, False):
        exact = ceilings(
            load_dataset(name), iterations=(0, 1, 2, 3, 4, None), node_features=features, edge_features=features
        )
        for row, found in zip(exact.ceilings, rows_of(section, features), strict=True):
            assert found["rounds"] == row.iterations
            assert found["classes"] == row.classes
            assert found["identifiability"] == pytest.approx(row.identifiability)
            assert found["accuracy"] == pytest.approx(row.accuracy)
            assert found["constant"] == pytest.approx(exact.constant.accuracy)
            assert found["seen"] == (row.seen if row.seen is None else pytest.approx(row.seen))


@pytest.mark.mirror
def test_golden_values_of_mutag(mirror) -> None:
    section = expressiveness_section(audit_sample("mutag"))
    plain = rows_of(section, False)
    shown = [(round(100 * row["identifiability"], 2), round(100 * row["accuracy"], 2)) for row in plain]
    assert shown == [(0.53, 86.17), (9.57, 91.49), (43.62, 96.28), (55.32, 96.81), (57.98, 96.81), (57.98, 96.81)]


def test_what_sees_more() -> None:
    """Skip links of ten lengths: one class for message passing, ten for all that sees more."""
    section = expressiveness_section(audit_sample("csl-generated"))
    assert {row["classes"] for row in section.values["ceilings"]} == {1}
    assert [row["classes"] for row in section.values["beyond"]] == [10, 10, 10, 10]
    assert section.values["beyond"][-1]["accuracy"] == pytest.approx(1.0)


def rings(**more: torch.Tensor) -> list[Data]:
    """A ring of six and two triangles, twice each."""
    ring = both([(i, (i + 1) % 6) for i in range(6)])
    triangles = both([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)])
    return [Data(edge_index=edges, num_nodes=6, **more) for edges in (ring, triangles, ring, triangles)]


def test_copies_are_never_told_apart() -> None:
    section = expressiveness_section(audit_sample(rings()))
    plain = rows_of(section, False)[-1]
    assert (plain["classes"], plain["identifiability"]) == (1, 0)
    for row in section.values["beyond"]:
        assert (row["classes"], row["identifiability"]) == (2, 0)


def test_regression_has_an_error_for_a_ceiling() -> None:
    graphs = rings()
    for graph, y in zip(graphs, (0.0, 1.0, 2.0, 5.0), strict=True):
        graph.y = torch.tensor([y])
    section = expressiveness_section(audit_sample(graphs))
    assert rows_of(section, False)[-1]["mae"] == pytest.approx(6 / 4)
    assert section.values["beyond"][-1]["mae"] == pytest.approx(6 / 4)
    graphs[0].y, graphs[3].y = torch.tensor([1.0]), torch.tensor([2.0])
    section = expressiveness_section(audit_sample(graphs))
    assert rows_of(section, False)[-1]["mae"] == pytest.approx(2 / 4)


@pytest.mark.parametrize(
    "graphs",
    [
        rings(),
        [Data(edge_index=both([]), num_nodes=n) for n in (1, 2, 1)],
        [Data(edge_index=both([]), num_nodes=0), Data(edge_index=both([(0, 1)]), num_nodes=2)],
        [Data(edge_index=both([(0, 1), (1, 2)]), num_nodes=5, x=torch.ones(5, 2))],
        [Data(edge_index=torch.tensor([[0, 1, 1], [1, 2, 1]]), num_nodes=3, y=torch.tensor([[float("nan"), 1.0]]))],
        [Data(edge_index=both([(0, 1)]), num_nodes=2, y=torch.tensor([-1, 1]))],
    ],
    ids=["no labels", "no edges", "no nodes", "one graph without labels", "missing labels", "labels of nodes"],
)
def test_there_is_always_a_section(graphs) -> None:
    section = expressiveness_section(audit_sample(graphs))
    json.dumps(section.values)
    assert section.tables
    for table in section.tables:
        assert {len(line) for line in table.lines} == {len(table.header)}
    for picture in section.pictures:
        assert picture.draw().axes
        assert picture.text


def test_walks_without_labels_are_told_apart_all_the_same() -> None:
    section = expressiveness_section(audit_sample(rings()))
    assert "no labels" in section.values["not_measured"]
    assert any("There is no ceiling" in paragraph for paragraph in section.text)
    assert "accuracy" not in section.values["ceilings"][0]


def test_a_large_sample_is_cut(monkeypatch) -> None:
    monkeypatch.setattr(expressiveness, "_ROOM", 40)
    section = expressiveness_section(audit_sample(GraphStore.from_data_list(rings())))
    assert (section.values["sampled"], section.values["whole"]) == (2, False)


def test_stronger_networks_are_left_out_where_they_take_too_long(monkeypatch) -> None:
    monkeypatch.setattr(_classes, "_TRIPLES", 100)
    section = expressiveness_section(audit_sample(rings()))
    reasons = [row.get("reason") for row in section.values["beyond"]]
    assert [bool(reason) for reason in reasons] == [False, True, True, False]
    assert "take too long" in section.tables[1].note
