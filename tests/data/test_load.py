"""load_dataset: from a card to a store, through the cache, with the published statistics checked."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from torch_geometric.data import Data

import gnnlab.data.load as loading
from gnnlab.data.card import card
from gnnlab.data.load import load_dataset, verify_dataset
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._tables import read_table
from gnnlab.data.store import GraphStore
from gnnlab.errors import ConfigError, DataError, IntegrityError, SourceError
from gnnlab.transform import Transform

CALLS: list[str] = []


def read_paths(files: dict[str, Path], card: object, *, length: int = 2) -> RawDataset:
    """One path graph of ``length`` nodes per row of the table ``targets``."""
    CALLS.append(card.name)
    y = read_table(files["targets"]).float()
    ends = torch.arange(length - 1)
    edge_index = torch.stack([ends, ends + 1]).repeat(1, len(y))
    store = GraphStore.from_tensors(
        num_nodes=torch.full((len(y),), length),
        num_edges=torch.full((len(y),), length - 1),
        edge_index=edge_index,
        node={"x": torch.ones(len(y) * length, 1)},
        graph={"y": y},
    )
    folds = [{"train": torch.tensor([k]), "val": torch.tensor([1 - k]), "test": torch.tensor([2])} for k in (0, 1)]
    return RawDataset(store, {"official": folds[:1], "cross": folds})


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card of three path graphs; its reader is the function above."""
    CALLS.clear()
    monkeypatch.setenv("GNNLAB_MIRROR", str(tmp_path))
    (tmp_path / "targets.csv").write_text("1\n2\n3\n")
    return write(tmp_path)


def write(folder: Path, **changes: object) -> Path:
    content = {
        "name": "paths",
        "title": "Paths",
        "paper": "none",
        "licence": "CC0",
        "reader": f"{__name__}.read_paths",
        "options": {"length": 4},
        "task": {"level": "graph", "out_channels": 1, "loss": "l1", "metric": "mae", "higher_is_better": False},
        "node_features": 1,
        "edge_features": 0,
        "files": {"targets": {"mirror": "targets.csv", "sha256": hashlib.sha256(b"1\n2\n3\n").hexdigest()}},
        "split": {"default": "official", "schemes": {"official": 1, "cross": 2}},
        "published": {"graphs": 3, "mean_nodes": 4.0, "edges": 9, "splits": {"official": [1, 1, 1]}},
    }
    path = folder / "paths.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test modules have no importable name; give the card this module's function by hand."""
    real = loading.Card.read
    own = f"{__name__}.read_paths"
    monkeypatch.setattr(loading.Card, "read", lambda self: read_paths if self.reader == own else real(self))


def test_built_once_then_read_from_the_cache(paths: Path, tmp_path: Path) -> None:
    first = load_dataset(paths, root=tmp_path / "cache", progress=False)
    (tmp_path / "targets.csv").unlink()
    second = load_dataset(paths, root=tmp_path / "cache", progress=False)
    assert CALLS == ["paths"]
    for store in (first, second):
        assert (len(store), store.num_nodes, store.name) == (3, 12, "paths")
        assert store.task == card(paths).task
        assert store.splits["test"].tolist() == [2]
        assert store[2].y.tolist() == [[3.0]]
        assert store.meta["files"] == {"targets": card(paths).files["targets"].sha256}


def test_splits_are_chosen_by_name_and_fold(paths: Path, tmp_path: Path) -> None:
    chosen = [load_dataset(paths, split="cross", fold=k, root=tmp_path / "c", progress=False) for k in (0, 1)]
    assert [store.splits["train"].tolist() for store in chosen] == [[0], [1]]
    with pytest.raises(ConfigError, match=r"unknown split 'croos'[\s\S]*did you mean 'cross'"):
        load_dataset(paths, split="croos", root=tmp_path / "c", progress=False)
    with pytest.raises(ConfigError, match="folds 0 to 1, not 2"):
        load_dataset(paths, split="cross", fold=2, root=tmp_path / "c", progress=False)


@dataclass(frozen=True)
class Scaled(Transform):
    factor: float = 2.0

    def forward(self, data: Data) -> Data:
        data.x = data.x * self.factor
        return data


def test_transformed_stores_are_cached_by_content(paths: Path, tmp_path: Path) -> None:
    def load(transform: object) -> GraphStore:
        return load_dataset(paths, transform=transform, root=tmp_path / "cache", progress=False)

    assert load(Scaled(3.0)).column("x").unique().tolist() == [3.0]
    assert load([Scaled(3.0), Scaled(2.0)]).column("x").unique().tolist() == [6.0]
    assert load(None).column("x").unique().tolist() == [1.0]
    assert load([]).column("x").unique().tolist() == [1.0]
    assert load(Scaled(3.0)).splits["test"].tolist() == [2]
    assert len(list((tmp_path / "cache/stores").glob("paths-*"))) == 3
    assert CALLS == ["paths"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"published": {"graphs": 4}}, "graphs is 3, published 4"),
        ({"published": {"mean_nodes": 4.2}}, "mean_nodes is 4.0, published 4.2"),
        ({"published": {"splits": {"cross": [1, 1, 2]}}}, "splits is"),
        ({"published": {"splits": {"absent": [1, 1, 1]}}}, "splits is"),
        ({"options": {"length": 5}}, "edges is 12, published 9; mean_nodes is 5.0, published 4.0"),
    ],
)
def test_a_statistic_that_is_not_the_published_one(paths: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(write(tmp_path, **changes), root=tmp_path / "cache", progress=False)


def test_differences_stated_on_the_card_are_reported_not_refused(paths: Path, tmp_path: Path) -> None:
    published = {"graphs": 3, "mean_nodes": 4.2, "edges": 10, "mean_edges": 3.04}
    tolerance = {"mean_edges": 0.05}
    path = write(tmp_path, published=published, differs={"mean_nodes": 4.0, "edges": 9}, tolerance=tolerance)
    findings = verify_dataset(path, root=tmp_path / "cache", progress=False)
    assert {finding.fact: finding.verdict for finding in findings} == {
        "graphs": "ok",
        "mean_nodes": "stated",
        "edges": "stated",
        "mean_edges": "ok",
    }
    path = write(tmp_path, name="wrong", published=published, differs={"mean_nodes": 4.1}, tolerance=tolerance)
    with pytest.raises(DataError, match=r"edges is 9, published 10; mean_nodes is 4\.0, published 4\.2"):
        load_dataset(path, root=tmp_path / "cache", progress=False)


def test_the_fallback_is_read_where_the_files_cannot_be_had(paths: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    absent = {"targets": {"mirror": "absent.csv", "sha256": "0" * 64}}
    path = write(other, name="first", files=absent)
    with pytest.raises(SourceError, match=r"absent\.csv"):
        load_dataset(path, root=tmp_path / "cache", progress=False)
    path = write(other, name="first", files=absent, fallback=str(paths))
    with pytest.warns(UserWarning, match=r"in place of first[\s\S]*absent\.csv"):
        store = load_dataset(path, root=tmp_path / "cache", progress=False)
    assert store.name == "paths"


def test_a_damaged_unpinned_file_is_named(paths: Path, tmp_path: Path) -> None:
    (tmp_path / "targets.csv.gz").write_bytes(gzip.compress(b"1\n" * 1000)[:-20])
    path = write(tmp_path, files={"targets": {"mirror": "targets.csv.gz"}})
    with pytest.raises(IntegrityError, match=r"targets\.csv\.gz: not a readable table"):
        load_dataset(path, root=tmp_path / "cache", progress=False)
    (tmp_path / "targets.csv.gz").write_bytes(gzip.compress(b"1\ntwo\n3\n"))
    path = write(tmp_path, name="text", files={"targets": {"mirror": "targets.csv.gz"}})
    with pytest.raises(IntegrityError, match="a table of numbers holds text"):
        load_dataset(path, root=tmp_path / "fresh", progress=False)


def test_unknown_dataset() -> None:
    with pytest.raises(ConfigError, match="did you mean 'zinc-12k'"):
        load_dataset("zinc12k")
