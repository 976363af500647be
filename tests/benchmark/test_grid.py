"""A grid is the product of its axes, merged key by key; what is wrong with one is named by file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gnnlab.benchmark import experiment
from gnnlab.benchmark.experiment import experiment_name, experiment_names, find_experiment, find_experiments
from gnnlab.benchmark.grid import merged, read_grid
from gnnlab.errors import ConfigError

GRID = """
name: rewiring/{data}/{model}-{edit}
base:
  experiment: {title: "{model}, {edit} on {data}", protocol: cv, published: {metric: accuracy, note: with {edit}}}
  data: {transforms: [a, b], batch_size: 64}
  model: {model: {class_path: GNN, init_args: {width: 64, conv: {class_path: GCN, init_args: {k: 1}}}}}
axes:
  data:
    one: {data: {dataset: one}}
    two: {data: {dataset: two}}
  model:
    gcn: {label: GCN}
    gin: {label: GIN, model: {model: {init_args: {conv: {class_path: GIN}}}}}
  edit:
    none:
    gtr: {label: GTR, data: {transforms: [c]}}
cells:
- where: {data: one, edit: [none, gtr]}
  set: {data: {batch_size: 32}}
- where: {data: one, model: gin, edit: gtr}
  set: {data: {batch_size: 16}, experiment: {published: {mean: 0.5}}}
"""


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "experiments"
    (root / "tu/mutag").mkdir(parents=True)
    (root / "tu/mutag/gin.yaml").write_text("{}")
    (root / "rewiring").mkdir()
    path = root / "rewiring/tu.grid.yaml"
    path.write_text(GRID.replace("note: with {edit}", 'note: "with {edit}"'))
    monkeypatch.setattr(experiment, "experiments_dir", lambda: root)
    monkeypatch.setenv("GNNLAB_CACHE", str(tmp_path / "cache"))
    return path


def settings(name: str) -> dict:
    return yaml.safe_load(find_experiment(name).read_text(encoding="utf-8"))


def test_members_are_the_product(grid: Path) -> None:
    members = [f"rewiring/{d}/{m}-{e}" for d in ("one", "two") for m in ("gcn", "gin") for e in ("gtr", "none")]
    assert experiment_names() == [*members, "tu/mutag/gin"]
    assert experiment_names("rewiring/one") == members[:4]
    assert list(find_experiments("rewiring/two")) == members[4:]
    assert sorted(find_experiments(str(grid))) == members
    assert list(find_experiments("tu/mutag/gin")) == ["tu/mutag/gin"]


def test_a_member_is_the_merge_of_base_values_and_cells(grid: Path) -> None:
    assert settings("rewiring/one/gin-gtr") == {
        "experiment": {
            "title": "GIN, GTR on one",
            "protocol": "cv",
            "published": {"metric": "accuracy", "note": "with GTR", "mean": 0.5},
        },
        "data": {"transforms": ["c"], "batch_size": 16, "dataset": "one"},
        "model": {"model": {"class_path": "GNN", "init_args": {"width": 64, "conv": {"class_path": "GIN"}}}},
    }
    plain = settings("rewiring/one/gcn-none")
    assert plain["data"] == {"transforms": ["a", "b"], "batch_size": 32, "dataset": "one"}
    assert plain["experiment"]["title"] == "GCN, none on one"
    assert settings("rewiring/two/gcn-gtr")["data"]["batch_size"] == 64


def test_members_are_files_that_know_their_name(grid: Path) -> None:
    path = find_experiment("rewiring/one/gcn-gtr")
    assert path == find_experiment("rewiring/one/gcn-gtr.yaml")
    assert experiment_name(path) == "rewiring/one/gcn-gtr"
    assert list(find_experiments(str(path))) == ["rewiring/one/gcn-gtr"]
    before, unrelated = path.read_text(), find_experiment("rewiring/two/gcn-gtr")
    grid.write_text(grid.read_text().replace("batch_size: 32", "batch_size: 8"))
    changed = find_experiment("rewiring/one/gcn-gtr")
    assert changed != path
    assert path.read_text() == before
    assert "batch_size: 8" in changed.read_text()
    assert find_experiment("rewiring/two/gcn-gtr") == unrelated


def test_unknown_members_get_the_nearest(grid: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'rewiring/one/gcn-gtr'"):
        find_experiment("rewiring/one/gcn-gt")
    with pytest.raises(ConfigError, match="did you mean 'rewiring/one'"):
        find_experiments("rewiring/on")
    with pytest.raises(ConfigError, match="stands for 8 experiments"):
        find_experiment(grid)


def test_merging_replaces_lists_and_other_classes() -> None:
    base = {"m": {"class_path": "A", "init_args": {"a": 1, "b": [1]}}, "keep": 1}
    assert merged(base, {"m": {"class_path": "A", "init_args": {"b": [2]}}})["m"]["init_args"] == {"a": 1, "b": [2]}
    assert merged(base, {"m": {"init_args": {"b": None}}})["m"] == {"class_path": "A", "init_args": {"a": 1, "b": None}}
    assert merged(base, {"m": {"class_path": "B"}}) == {"m": {"class_path": "B"}, "keep": 1}
    assert merged(base, {"m": None})["m"] is None
    assert base == {"m": {"class_path": "A", "init_args": {"a": 1, "b": [1]}}, "keep": 1}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("axes:", "axis:", "unknown 'axis'\n  did you mean 'axes'"),
        (
            "name: rewiring/{data}/{model}-{edit}",
            "name: rewiring/{data}/{model}",
            "key name: the axis 'edit' is missing",
        ),
        ("{model}-{edit}\n", "{mdel}-{edit}\n", "key name: '{mdel}' is no axis\n  did you mean 'model'"),
        ("name: rewiring/{data}/{model}-{edit}", "name: 3", "key name: a grid needs"),
        ("name: rewiring/{data}/{model}-{edit}", "name: rewiring/{data", "key name: not a template"),
        ("edit: [none, gtr]", "edit: [none, gtt]", "key cells[0].where.edit: unknown 'gtt'\n  did you mean 'gtr'"),
        ("data: one, model: gin", "data: one, modell: gin", "key cells[1].where: unknown 'modell'"),
        ("  set: {data: {batch_size: 32}}", "  sett: {}", "key cells[0]: unknown 'sett'"),
        ("gcn: {label: GCN}", "gcn: GCN", "key axes.model.gcn: expected a mapping, got str"),
        ("gcn: {label: GCN}", "g/n: {label: GCN}", "key axes.model: 'g/n' cannot be part of a name"),
        ("    none:\n", "    none: {\n", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(grid: Path, old: str, new: str, message: str) -> None:
    text = grid.read_text()
    assert old in text
    grid.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        read_grid(grid)
    assert message in str(caught.value)
    assert str(grid) in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("[]", "a mapping"), ("name: a", "at least one axis")])
def test_what_is_no_grid_at_all(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.grid.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_grid(path)
    path.write_text("name: '{a}'\naxes: {a: {}}")
    with pytest.raises(ConfigError, match="at least one value"):
        read_grid(path)


def test_two_experiments_of_one_name_are_an_error(grid: Path) -> None:
    grid.with_name("again.grid.yaml").write_text(grid.read_text())
    with pytest.raises(ConfigError, match="two experiments are called 'rewiring/one/gcn-gtr'"):
        experiment_names()
