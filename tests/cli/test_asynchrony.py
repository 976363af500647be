"""The table of asynchronous inference from the command line."""

from __future__ import annotations

import json

import pytest

TINY = ["--staleness", 1, 4, "--asynchronous-runs", 2, "--graphs", 3]


@pytest.fixture
def chains(config: dict) -> dict:
    """A GCN of two layers on Chains, and one epoch."""
    network = config["model"]["model"]["init_args"]
    network["num_layers"] = 2
    network["encoder"] = {
        "class_path": "gnnlab.nn.FeatureEncoder",
        "init_args": {"node": {"class_path": "gnnlab.nn.LinearEncoder", "init_args": {"in_channels": 2}}},
    }
    config["experiment"].pop("published")
    config["data"]["dataset"], config["trainer"]["max_epochs"] = "chains", 1
    return config


def test_a_fresh_model_and_a_finished_run(chains, write, gnnlab, tmp_path) -> None:
    path = write(chains)
    code, out, _ = gnnlab("fit", "-c", path)
    assert code == 0
    folder = next(line.removeprefix("run: ") for line in out.splitlines() if line.startswith("run: "))

    rows, picture = tmp_path / "rows.json", tmp_path / "deep" / "picture.png"
    code, out, _ = gnnlab("asynchrony", path, *TINY, "--json", rows, "--figure", picture)
    assert code == 0
    assert "trained for 1 epochs" in out
    assert picture.stat().st_size > 1000
    content = json.loads(rows.read_text())["rows"]
    assert [(row["staleness"], row["reached"]) for row in content] == [(1, 1.0), (4, 1.0)]
    assert content[0]["deviation"] < 1e-4
    assert content[0]["mean"] == content[0]["synchronous"]
    assert content[1]["deviation"] > 0
    # Two layers, and a message along every edge for each.
    assert content[0]["messages"] == content[1]["messages"]

    again = tmp_path / "again.json"
    code, out, _ = gnnlab("asynchrony", folder, *TINY, "--json", again)
    assert code == 0
    assert "trained for" not in out
    assert [row["staleness"] for row in json.loads(again.read_text())["rows"]] == [1, 4]


def test_models_of_two_datasets(chains, write, gnnlab) -> None:
    first = write(chains, "first.yaml")
    chains["data"]["dataset"] = "count"
    second = write(chains, "second.yaml")
    code, _, err = gnnlab("asynchrony", first, second, *TINY)
    assert code == 2
    assert "models of different datasets: chains, count" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere/at-all"], "no configuration 'nowhere/at-all'"),
        ([".", "--graphs", "0"], "--graphs: must be at least 1"),
        (["."], "no 'resolved.yaml'"),
    ],
)
def test_bad_requests(gnnlab, tmp_path, monkeypatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = gnnlab("asynchrony", *arguments)
    assert code == 2
    assert message in err
