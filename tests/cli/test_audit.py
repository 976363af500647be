"""The audit from the command line: what it writes, what it refuses, and what an interruption leaves."""

from __future__ import annotations

import json

import pytest
import torch

from gnnlab.analysis.auditing import SECTIONS
from gnnlab.data import GraphStore, load_dataset

SMALL = ("--sample", 20, "--section", "size", "--section", "topology")


def test_terminal_and_files(gnnlab, tmp_path) -> None:
    page, text, numbers = (tmp_path / "deep" / f"report.{kind}" for kind in ("html", "md", "json"))
    code, out, err = gnnlab("audit", "csl-generated", *SMALL, "--html", page, "--markdown", text, "--json", numbers)
    assert code == 0
    assert "20 of the 150 graphs of the dataset, drawn at random (seed 0)." in out
    assert "Not looked at: labels, expressiveness, rewiring, cost." in out
    assert err == ""  # bars are for terminals
    assert page.read_text().startswith("<!doctype html>")
    assert (tmp_path / "deep" / "report-pictures" / "size-1.png").is_file()
    assert "report-pictures/size-1.png" in text.read_text()
    content = json.loads(numbers.read_text())
    assert list(content["sections"]) == ["size", "topology"]
    assert content["sections"]["size"]["nodes_max"] == 41
    assert content["findings"][0]["standing"] in ("limit", "look", "fine")
    assert content["command"].startswith("gnnlab audit csl-generated --sample 20")


def test_verdict_alone(gnnlab) -> None:
    code, out, _ = gnnlab("audit", "csl-generated", "--section", "size", "--brief")
    assert code == 0
    assert "The graphs are clean." in out
    assert "gnnlab audit csl-generated --section topology" in out
    assert "neighbours per node" not in out


def test_a_seed_gives_the_same_numbers(gnnlab, tmp_path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / f"{name}.json"
        gnnlab("audit", "count", "--sample", 5, "--section", "size", "--seed", seed, "--json", path)
        found.append(json.loads(path.read_text())["sections"])
    assert found[0] == found[1] != found[2]


def test_a_split(gnnlab) -> None:
    code, out, _ = gnnlab("audit", "csl-generated", "--split", "train", "--section", "size", "--brief")
    assert code == 0
    assert "graphs of the split train" in out


def test_a_saved_store(gnnlab, tmp_path) -> None:
    edges = torch.tensor([[0, 1], [1, 0]])
    part = load_dataset("csl-generated")[:3].to_data_list()
    part[0].edge_index = edges
    GraphStore.from_data_list(part).save(tmp_path / "mine")
    code, out, _ = gnnlab("audit", tmp_path / "mine", "--section", "size", "--brief")
    assert code == 0
    assert "All 3 graphs of the dataset." in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["csl-generatet"], "did you mean 'csl-generated'?"),
        (["csl-generated", "--section", "topologie"], "did you mean 'topology'?"),
        (["csl-generated", "--split", "trian"], "did you mean 'train'?"),
        (["csl-generated", "--sample", "0"], "--sample: must be at least 1"),
    ],
)
def test_bad_requests(gnnlab, arguments: list[str], message: str) -> None:
    code, out, err = gnnlab("audit", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_ctrl_c_keeps_what_was_finished(gnnlab, tmp_path, monkeypatch) -> None:
    def interrupted(sample, track):
        raise KeyboardInterrupt

    monkeypatch.setitem(SECTIONS, "topology", interrupted)
    path = tmp_path / "report.json"
    code, out, _ = gnnlab("audit", "csl-generated", *SMALL, "--json", path)
    assert code == 130
    assert list(json.loads(path.read_text())["sections"]) == ["size"]
    assert "interrupted: what was finished is above; not looked at: topology" in out
    assert "The graphs are clean." in out
