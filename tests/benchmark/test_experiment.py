"""Experiments are found by name from anywhere; units follow the printed number."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from gnnlab.benchmark import experiment
from gnnlab.benchmark.experiment import ExperimentSpec, Published, find_experiment, find_experiments
from gnnlab.errors import ConfigError


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "experiments"
    for name in ("lrgb/peptides-func/gcn", "lrgb/peptides-func/gine", "tu/mutag/gin"):
        path = root / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (root / "results").mkdir()
    monkeypatch.setattr(experiment, "experiments_dir", lambda: root)
    return root


def test_names_files_and_suites(shipped: Path, tmp_path: Path) -> None:
    assert find_experiment("tu/mutag/gin") == shipped / "tu/mutag/gin.yaml"
    assert find_experiment("tu/mutag/gin.yaml") == shipped / "tu/mutag/gin.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text("{}")
    assert find_experiments(str(mine)) == {"mine": mine}
    assert list(find_experiments("lrgb")) == ["lrgb/peptides-func/gcn", "lrgb/peptides-func/gine"]
    assert list(find_experiments("tu/mutag/gin")) == ["tu/mutag/gin"]
    assert list(find_experiments(str(shipped / "tu/mutag/gin.yaml"))) == ["tu/mutag/gin"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tu/mutg/gin", "did you mean 'tu/mutag/gin'"),
        ("mutag", "did you mean 'tu/mutag'"),
        ("gine", "lrgb/peptides-func/gine"),
        ("zzzz", "known: lrgb/peptides-func"),
    ],
)
def test_unknown_names_get_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_experiments(name)
    assert hint in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_unit_follows_the_printed_number() -> None:
    assert Published("accuracy", 89.4).scale == 100
    assert Published("accuracy", 0.894).scale == 1
    assert Published("hits@50", 63.2).scale == 100
    assert Published("rmse", 1.17).scale == 1
    assert Published("accuracy", 0.9, percent=True).scale == 100


def test_a_printed_interval_becomes_a_standard_deviation() -> None:
    assert Published("accuracy", 80.0, 1.57, 100).sample.std == 1.57
    assert Published("accuracy", 80.0, 0.8, 100, interval="sem").sample.std == pytest.approx(8.0)
    # mean ± 1.96 s / sqrt(n)
    assert Published("accuracy", 80.0, 1.96, 25, interval="ci95").sample.std == pytest.approx(5.0)
    assert Published("accuracy", 80.0, 1.96, interval="ci95").sample.std is None
    assert Published("accuracy", 80.0, runs=5, interval="ci95").sample.std is None
    with pytest.raises(ConfigError, match="did you mean 'ci95'"):
        Published("accuracy", 80.0, interval="ci")


def test_a_spec_survives_plain_data_and_refuses_nonsense() -> None:
    spec = ExperimentSpec("a", published=Published("ap", 0.6), others=[Published("ap", 0.5, source="b")])
    assert ExperimentSpec.from_dict(asdict(spec)) == spec
    with pytest.raises(ConfigError, match="at least 1"):
        ExperimentSpec(seeds=0)
