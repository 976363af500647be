"""reproduce and report end to end, on generated data."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from gnnlab.cli import reproduce


def _records(root: str = "runs") -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(Path(root).rglob("record.json"))]


def test_runs_compares_and_reports(gnnlab, write, config) -> None:
    path = write(config)
    code, out, _ = gnnlab("reproduce", path)
    assert code == 0
    assert "[1/2] tiny seed-0  accuracy: val " in out
    assert "20.00 ± 1.00" in out
    records = _records()
    assert [record["seed"] for record in records] == [0, 1]
    assert records[0]["curves"] != records[1]["curves"]
    for record in records:
        assert len(record["curves"]["val/accuracy"]) == 3
        assert record["parameters"] > 0
        assert record["wall_time"] > 0
        assert record["peak_memory"] > 2**20
        assert record["hardware"]["cores"] >= 1
        assert len(record["data_sha256"]) == 64
    for kind in ("png", "md", "html"):
        assert Path(f"runs/tiny/report.{kind}").is_file()

    code, out, _ = gnnlab("reproduce", path, "--seeds", 3)
    assert out.count("finished before") == 2
    assert _records()[:2] == records

    code, out, _ = gnnlab("report", "--output", "elsewhere")
    assert code == 0
    assert "3 seeds" in out
    assert Path("elsewhere/report.html").is_file()


def test_overrides_are_kept_apart_and_named(gnnlab, write, config) -> None:
    path = write(config)
    gnnlab("reproduce", path, "--seeds", 1, "--trainer.max_epochs=1")
    _, out, _ = gnnlab("reproduce", path, "--seeds", 1, "--set", "trainer.max_epochs=2")
    assert "finished before" not in out
    assert "not the published settings: --trainer.max_epochs=2" in out
    assert len(_records()) == 2


def test_an_interrupted_reproduction_ends_with_the_same_numbers(gnnlab, write, config, monkeypatch) -> None:
    config["model"]["model"]["init_args"]["dropout"] = 0.5
    path = write(config)
    gnnlab("reproduce", path, "--runs", "whole")
    seen = []

    def interrupt(self, epoch, epochs, metrics) -> None:
        seen.append(epoch)
        if len(seen) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("gnnlab.cli._progress.RunProgress.epoch", interrupt)
        code, _, err = gnnlab("reproduce", path, "--runs", "cut")
    assert code == 130
    assert "1 of 2 runs are finished" in err
    code, out, _ = gnnlab("reproduce", path, "--runs", "cut")
    assert code == 0
    assert out.count("finished before") == 1
    for whole, cut in zip(_records("whole"), _records("cut"), strict=True):
        for record in (whole, cut):
            record["curves"].pop("seconds")
        assert [whole[key] for key in ("test", "best_epoch", "curves")] == [
            cut[key] for key in ("test", "best_epoch", "curves")
        ]


def test_saved_results_are_rendered(gnnlab, write, config, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(reproduce, "experiments_dir", lambda: tmp_path)
    monkeypatch.setattr("gnnlab.cli.report.experiments_dir", lambda: tmp_path)
    code, _, _ = gnnlab("reproduce", write(config), "--seeds", 1, "--trainer.max_epochs=1", "--save-results")
    assert code == 0
    assert (tmp_path / "results" / "tiny.csv").is_file()
    code, out, _ = gnnlab("report", "--results")
    assert code == 0
    assert "accuracy %" in out


def test_a_number_of_another_metric_is_not_compared(gnnlab, write, config) -> None:
    config["experiment"]["published"]["metric"] = "ap"
    code, _, err = gnnlab("reproduce", write(config))
    assert code == 2
    assert "the published number is ap, the dataset is judged by accuracy" in err


@pytest.mark.mirror
def test_the_gin_protocol_watches_the_held_out_folds(gnnlab, write, config, mirror) -> None:
    config["data"] = {"dataset": "mutag-gin", "split": "gin", "batch_size": 64}
    config["experiment"] = {
        "protocol": "gin-cv",
        "published": {"metric": "accuracy", "mean": 89.4, "std": 5.6, "runs": 10},
    }
    code, out, _ = gnnlab("reproduce", write(config), "--folds", 2, "--trainer.max_epochs=2")
    assert code == 0
    records = _records()
    assert [record["fold"] for record in records] == [0, 1]
    assert [record["test"] for record in records] == [None, None]
    assert "optimistic" in out
    assert "2 vs 10 runs" in out


def test_report_without_records(gnnlab, tmp_path) -> None:
    code, _, err = gnnlab("report", tmp_path)
    assert code == 1
    assert "no finished run here" in err
