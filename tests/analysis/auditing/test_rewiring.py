"""What rewiring would change: closed forms on a path, the control, and graphs that cannot be rewired."""

from __future__ import annotations

import json

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.analysis.auditing import rewiring
from gnnlab.analysis.auditing.rewiring import rewiring_section
from gnnlab.analysis.auditing.sample import audit_sample
from gnnlab.rewiring import GTR, describe_rewiring


def both(edges: list) -> torch.Tensor:
    one_way = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([one_way, one_way.flip(0)], 1)


def path(nodes: int, **more: torch.Tensor) -> Data:
    return Data(edge_index=both([(i, i + 1) for i in range(nodes - 1)]), num_nodes=nodes, **more)


def test_one_edge_on_a_path() -> None:
    """All pairs of a path of ten nodes are 165 steps apart together; GTR adds the best edge there is."""
    data = path(10)
    section = rewiring_section(audit_sample(data))
    assert section.values["budget"] == 1
    rows = {row["name"]: row for row in section.values["rows"]}
    assert set(rows) == {"GTR", "FoSR", "SDRF", "BORF", "AFR", "RandomEdges"}
    report = describe_rewiring(data, GTR(num_edges=1)(data))
    expected = float(report.after.total_resistance / report.before.total_resistance)
    assert rows["GTR"]["resistance_ratio"] == pytest.approx(expected)
    assert float(report.before.total_resistance) == pytest.approx(165)
    assert rows["GTR"]["diameter_ratio"] == pytest.approx(float(report.after.diameter) / 9)
    best = min(row["resistance_ratio"] for row in rows.values())
    assert rows["GTR"]["resistance_ratio"] == best
    assert all(row["resistance_ratio"] <= 1 for row in rows.values())


def test_equal_budget() -> None:
    section = rewiring_section(audit_sample([path(40), path(60)]))
    budget = section.values["budget"]
    assert budget == 5
    assert all(0 <= row["added"] <= budget for row in section.values["rows"])
    assert {row["added"] for row in section.values["rows"] if row["name"] in ("GTR", "FoSR", "RandomEdges")} == {budget}
    others = {row["name"]: row["added"] for row in section.values["others"]}
    assert others["LASER"] == others["RandomEdges like LASER"]
    assert others["VirtualNode"] == 50


def test_homophily_of_nodes() -> None:
    y = torch.tensor([0] * 10 + [1] * 10)
    rows = rewiring_section(audit_sample(path(20, y=y))).values["rows"]
    assert all(row["homophily_before"] == pytest.approx(18 / 19) for row in rows)
    gtr = next(row for row in rows if row["name"] == "GTR")
    assert gtr["homophily_after"] < 18 / 19


def test_only_the_largest_part_is_looked_at() -> None:
    """What is added to a graph of two parts, or one way, is that of its large part."""
    large = [(i, i + 1) for i in range(9)]
    data = Data(edge_index=both([*large, (10, 11), (11, 11)]), num_nodes=13)
    one_way = Data(edge_index=torch.tensor(large).t().contiguous(), num_nodes=10)
    alone, parts, directed = (rewiring_section(audit_sample(each)).values["rows"] for each in (path(10), data, one_way))
    assert parts == alone == directed


@pytest.mark.parametrize(
    "graphs",
    [
        [Data(edge_index=both([]), num_nodes=3)],
        [Data(edge_index=both([]), num_nodes=0), path(2)],
        [path(2)],
        [Data(edge_index=both([(0, 1), (1, 2), (0, 2)]), num_nodes=3)],
        [path(4, y=torch.tensor([[1.0, 0.0]] * 4))],
    ],
    ids=["no edges", "no nodes", "one edge", "complete", "labels of several columns"],
)
def test_there_is_always_a_section(graphs) -> None:
    section = rewiring_section(audit_sample(graphs))
    json.dumps(section.values)
    assert section.tables
    for table in section.tables:
        assert {len(line) for line in table.lines} == {len(table.header)}
    for picture in section.pictures:
        assert len(picture.draw().axes) == 2


def test_what_is_left_out_is_said(monkeypatch) -> None:
    monkeypatch.setattr(rewiring, "_TRANSPORT", 1)
    section = rewiring_section(audit_sample(path(10)))
    assert "BORF" not in {row["name"] for row in section.values["rows"]}
    assert any("BORF is left out" in reason for reason in section.values["left_out"])
    assert any("DIGL" in paragraph for paragraph in section.text)


def test_the_same_twice() -> None:
    chosen = audit_sample("csl-generated", sample=5, seed=3)
    assert rewiring_section(chosen).values == rewiring_section(chosen).values
