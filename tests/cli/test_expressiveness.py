"""The expressiveness bench from the command line: rows, files, networks by name, and what is left out."""

from __future__ import annotations

import json

import pytest

from gnnlab.cli import expressiveness

GIN = """
class_path: gnnlab.nn.GNN
init_args:
  hidden_channels: 8
  num_layers: 3
  conv: gnnlab.nn.GINConv
  encoder:
    class_path: gnnlab.nn.FeatureEncoder
    init_args: {node: {class_path: gnnlab.nn.LinearEncoder, init_args: {in_channels: 1}}}
"""


def test_networks_by_name_by_file_and_of_experiments(gnnlab, tmp_path) -> None:
    (tmp_path / "gin.yaml").write_text(GIN)
    models = ["pathnn, sp+", "counting/triangle/gin", "zinc/zinc-12k/gine", tmp_path / "gin.yaml"]
    code, out, _ = gnnlab("bench", "expressiveness", *models, "--set", "named", "--json", tmp_path / "rows.json")
    assert code == 0
    assert "named, random weights" in out
    assert "9/9" in out
    content = json.loads((tmp_path / "rows.json").read_text())
    assert content["kind"] == "expressiveness"
    assert not content["interrupted"]
    assert [sum(row["found"].values()) for row in content["rows"]] == [9, 0, 0, 0]
    assert content["rows"][0]["exact_pairs"] == content["rows"][0]["pairs"]
    assert all(row["violations"] == row["unstable"] == 0 for row in content["rows"])

    code, out, _ = gnnlab("report", tmp_path / "rows.json", "--output", tmp_path / "shown")
    assert code == 0
    assert "pathnn, sp+" in out
    assert "| pathnn, sp+ | 9/9 |" in (tmp_path / "shown" / "rows.md").read_text()


def test_a_bound_can_be_given(gnnlab, tmp_path) -> None:
    path = tmp_path / "rows.json"
    arguments = ["pathnn, sp+", "--bound", "wl", "--set", "named", "--groups", 2, "--draws", 1, "--least", 1]
    code, _, _ = gnnlab("bench", "expressiveness", *arguments, "--json", path)
    assert code == 0
    row = json.loads(path.read_text())["rows"][0]
    assert (row["bound"], sum(row["exact"].values()), row["violations"]) == ("wl", 0, 1)


def test_training(gnnlab, tmp_path) -> None:
    path = tmp_path / "rows.json"
    arguments = ["gin", "--train", "--epochs", 1, "--set", "named", "--groups", 2, "--seed", 1, "--seed", 2]
    code, out, _ = gnnlab("bench", "expressiveness", *arguments, "--json", path)
    assert code == 0
    assert "trained weights" in out
    rows = json.loads(path.read_text())["rows"]
    assert [row["seed"] for row in rows] == [1, 2]
    assert [(row["pairs"], row["hotelling"], row["unreliable"], row["finished"]) for row in rows] == [([], 0, 0, 2)] * 2


def test_what_was_finished_is_kept(gnnlab, tmp_path, monkeypatch) -> None:
    compare = expressiveness._random

    def interrupted(name, *others):
        if name == "gcn":
            raise KeyboardInterrupt
        return compare(name, *others)

    monkeypatch.setattr(expressiveness, "_random", interrupted)
    path = tmp_path / "rows.json"
    code, out, _ = gnnlab("bench", "expressiveness", "gin", "gcn", "--set", "named", "--groups", 1, "--json", path)
    assert code == 130
    assert "interrupted" in out
    content = json.loads(path.read_text())
    assert content["interrupted"]
    assert [row["model"] for row in content["rows"]] == ["gin"]


@pytest.mark.mirror
def test_what_cannot_be_computed_is_left_out(mirror, gnnlab) -> None:
    code, out, _ = gnnlab("bench", "expressiveness", "gin", "--train", "--epochs", 1, "--set", "sr16622")
    assert code == 1
    assert "left out: gin, sr16622" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gim"], "no network 'gim'"),
        (["gin", "--set", "brek"], "did you mean 'brec'"),
        (["gin", "--groups", "0"], "must be at least 1"),
        (["gin", "--set", "named", "--bound", "wll"], "unknown method 'wll'"),
    ],
)
def test_errors(gnnlab, arguments: list[str], message: str) -> None:
    code, out, err = gnnlab("bench", "expressiveness", *arguments)
    assert code in (1, 2)
    assert message in out + err


def test_a_file_grows_over_runs(gnnlab, tmp_path) -> None:
    path = tmp_path / "rows.json"
    run = ("bench", "expressiveness", "--set", "named", "--groups", 2, "--least", 1, "--json", path, "--draws")
    assert gnnlab(*run, 1, "gin", "pathnn, sp+")[0] == 0
    first = json.loads(path.read_text())["rows"]
    assert gnnlab(*run, 2, "gcn", "gin")[0] == 0
    second = json.loads(path.read_text())["rows"]
    assert [row["model"] for row in second] == ["gin", "pathnn, sp+", "gcn"]
    assert second[1] == first[1]
    assert "--draws 1" in second[1]["command"]
    assert "--draws 2" in second[0]["command"]
    assert gnnlab("bench", "expressiveness", "--set", "named", "--groups", 1, "--json", path, "gin")[0] == 0
    shown = gnnlab("report", path)[1]
    assert shown.count("named, random weights") == 2  # two pairs, one pair
    path.write_text("{}")
    code, _, err = gnnlab(*run, 1, "gin")
    assert code == 1
    assert "holds no rows" in err
    assert path.read_text() == "{}"
