"""Fabricated records, so that nothing has to be trained to test what is said about results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gnnlab.benchmark.experiment import ExperimentSpec, Published
from gnnlab.benchmark.record import Record


@pytest.fixture
def make_record() -> Callable[..., Record]:
    def make(test: float | None = 0.7, seed: int = 0, fold: int = 0, curve: Any = (0.5, 0.6), **other: Any) -> Record:
        metric = other.get("metric", "ap")
        fields = {
            "experiment": "lrgb/peptides-func/gcn",
            "config_hash": "0123456789abcdef",
            "dataset": "peptides-func",
            "higher_is_better": True,
            "metric": metric,
            "best_epoch": len(curve) - 1,
            "curves": {f"val/{metric}": list(curve), "train/loss": [1.0] * len(curve)},
            "parameters": 486_000,
            "wall_time": 65.0,
            "hardware": {"processor": "a processor", "threads": 2, "gpus": []},
            "versions": {"torch": "2.13.0"},
            "commit": "c0ffee",
            "finished": "2026-01-02T03:04:05+00:00",
            **other,
        }
        return Record(seed=seed, fold=fold, test=test, **fields)

    return make


@pytest.fixture
def published_spec() -> ExperimentSpec:
    return ExperimentSpec(title="GCN", seeds=4, published=Published("ap", 0.686, 0.005, 4, "Tönshoff et al., 2024"))
