"""The TU and GIN text readers: exact small files, PyG's own reader, the published statistics."""

from __future__ import annotations

import json
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.datasets import TUDataset
from torch_geometric.utils import coalesce

from gnnlab.data import GraphStore
from gnnlab.data.card import Card, SplitSpec, card
from gnnlab.data.files import fetch
from gnnlab.data.load import load_dataset
from gnnlab.data.readers import RawDataset
from gnnlab.data.readers._folds import random_folds
from gnnlab.data.readers._text import numbers, table, tokens_per_line
from gnnlab.data.readers.gin_text import parse_gin_text, read_gin_text
from gnnlab.data.readers.tu import read_tu
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError

TU_SETS = ["mutag", "ptc_mr", "proteins", "nci1", "nci109", "enzymes", "imdb-binary", "imdb-multi"]
WITH_GIN_FOLDS = [name for name in TU_SETS if name != "mutag"]

# Two graphs: a triangle with labels 5, 7, 5 (one edge listed twice, one self-loop) and an edge with labels 7, 7.
TOY = {
    "A": "1, 2\n2, 1\n1, 2\n2, 3\n3, 2\n1, 3\n3, 1\n1, 1\n4, 5\n5, 4\n",
    "graph_indicator": "1\n1\n1\n2\n2\n",
    "graph_labels": "1\n-1\n",
    "node_labels": "5\n7\n5\n7\n7\n",
    "node_attributes": "0.5, 1\n1.5, 2\n2.5, 3\n3.5, 4\n-4.5, 5e0\n",
    "edge_labels": "0\n0\n0\n1\n1\n0\n0\n1\n1\n1\n",
}
GIN_TOY = "2\n3 1\n0 2 1 2\n4 2 0 2\n0 2 0 1\n2 0\n4 1 1\n4 1 0\n"


def a_card(out_channels: int = 2) -> Card:
    task = TaskSpec("graph", out_channels, "cross_entropy", "accuracy")
    return Card("toy", "", "", "", "", task, 0, 0, SplitSpec("none", {"none": 1}))


def tu_zip(folder: Path, **changes: str | None) -> dict[str, Path]:
    """A zip as upstream makes it, with a doubled slash in its names."""
    path = folder / "TOY.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("TOY//README.txt", "a readme")
        for kind, text in (TOY | changes).items():
            if text is not None:
                archive.writestr(f"TOY//TOY_{kind}.txt", text)
    return {"archive": path}


def gin_zip(folder: Path, text: str = GIN_TOY) -> dict[str, Path]:
    path = folder / "TOY.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("TOY/TOY.txt", text)
        archive.writestr("__MACOSX/TOY/._TOY.txt", "noise")
        for k in range(1, 11):
            archive.writestr(f"TOY/10fold_idx/train_idx-{k}.txt", "0\n")
            archive.writestr(f"TOY/10fold_idx/test_idx-{k}.txt", "1\n")
    return {"archive": path}


def undirected_edges(store: GraphStore, graph: int) -> set[tuple[int, int]]:
    return set(map(tuple, store[graph].edge_index.t().tolist()))


class TestText:
    def test_tokens_per_line_ignores_blank_lines_and_separators(self) -> None:
        assert tokens_per_line(b"1, 2\n\n3\t4  5\r\n6").tolist() == [2, 3, 1]
        assert tokens_per_line(b"").tolist() == []

    def test_numbers_of_any_separator(self) -> None:
        assert numbers(b"1,2 3\n-4", "here").tolist() == [1, 2, 3, -4]
        assert numbers(b".5 1e-3", "here", np.float64).tolist() == [0.5, 0.001]

    @pytest.mark.parametrize("text", [b"1\n2\nx3\n4", b"1\n2\n3.5"])
    def test_what_is_no_number_is_named_with_its_line(self, text: bytes) -> None:
        with pytest.raises(DataError, match=r"there: line 3: '(x3|3\.5)' is not a number"):
            numbers(text, "there")

    def test_ragged_table(self) -> None:
        with pytest.raises(DataError, match="row 2 has 1 numbers, the first has 2"):
            table(b"1 2\n3\n", "there")


class TestTu:
    def test_labels_are_one_hot_and_edges_clean(self, tmp_path: Path) -> None:
        store = read_tu(tu_zip(tmp_path), a_card(), prefix="TOY").store
        assert store.sizes("node").tolist() == [3, 2]
        assert store.sizes("edge").tolist() == [6, 2]
        assert store[0].x.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]
        assert store.column("y").tolist() == [1, 0]  # -1 comes before 1
        triangle = store[0]
        labels = dict(zip(map(tuple, triangle.edge_index.t().tolist()), triangle.edge_attr.tolist(), strict=True))
        assert labels[(1, 2)] == [0, 1]
        assert labels[(0, 2)] == [1, 0]

    def test_attributes_come_before_labels(self, tmp_path: Path) -> None:
        store = read_tu(tu_zip(tmp_path), a_card(), prefix="TOY", features="attributes_and_labels").store
        assert store[1].x.tolist() == [[3.5, 4, 0, 0, 1], [-4.5, 5, 0, 0, 1]]

    @pytest.mark.parametrize(
        ("features", "expected"),
        [
            ("degree_one_hot", [[0, 1], [0, 1], [0, 1], [1, 0], [1, 0]]),
            ("degree", [[2], [2], [2], [1], [1]]),
            ("constant", [[1]] * 5),
        ],
    )
    def test_graphs_without_features(self, tmp_path: Path, features: str, expected: list[list[int]]) -> None:
        files = tu_zip(tmp_path, node_labels=None, node_attributes=None)
        assert read_tu(files, a_card(), prefix="TOY", features=features).store.column("x").tolist() == expected
        with pytest.raises(DataError, match="neither labels nor attributes"):
            read_tu(files, a_card(), prefix="TOY")

    def test_unknown_features_suggest_the_nearest(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="did you mean 'degree'"):
            read_tu(tu_zip(tmp_path), a_card(), prefix="TOY", features="degre")

    def test_regression_targets(self, tmp_path: Path) -> None:
        files = tu_zip(tmp_path, graph_attributes="0.5, 1.5\n-2, 3\n")
        assert read_tu(files, a_card(), prefix="TOY").store.column("y").tolist() == [[0.5, 1.5], [-2, 3]]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"node_labels": "5\n7\n"}, r"TOY_node_labels\.txt: has 2 rows where 5"),
            ({"graph_labels": "1\n"}, r"TOY_graph_labels\.txt: has 1 rows where 2"),
            ({"graph_labels": None}, r"holds no 'TOY_graph_labels\.txt'"),
            ({"graph_indicator": "1\n1\n2\n1\n2\n"}, "node 4 belongs to graph 1"),
            ({"A": "1, 2\n2, x\n"}, r"TOY_A\.txt: line 2: 'x'"),
            ({"A": "1, 9\n", "edge_labels": None}, "leads to no node"),
            ({"A": "1, 4\n", "edge_labels": None}, r"joins graphs \[0, 1\]"),
        ],
    )
    def test_what_does_not_fit_is_named(self, tmp_path: Path, changes: dict[str, str | None], message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_tu(tu_zip(tmp_path, **changes), a_card(), prefix="TOY")

    def test_not_an_archive(self, tmp_path: Path) -> None:
        path = tmp_path / "page.zip"
        path.write_text("<html>not found</html>")
        with pytest.raises(DataError, match="not a zip archive"):
            read_tu({"archive": path}, a_card(), prefix="TOY")

    def test_errica_folds(self, tmp_path: Path) -> None:
        folds = [{"test": [1], "model_selection": [{"train": [0], "validation": []}]}]
        path = tmp_path / "folds.json.xz"
        path.write_bytes(lzma.compress(json.dumps(folds).encode()))
        splits = read_tu(tu_zip(tmp_path) | {"errica": path}, a_card(), prefix="TOY").splits
        assert {part: index.tolist() for part, index in splits["errica"][0].items()} == {
            "train": [0],
            "val": [],
            "test": [1],
        }
        path.write_bytes(lzma.compress(b'[{"test": [1]}]'))
        with pytest.raises(DataError, match="not a file of folds"):
            read_tu(tu_zip(tmp_path) | {"errica": path}, a_card(), prefix="TOY")


class TestGinText:
    def test_a_zip_with_its_folds(self, tmp_path: Path) -> None:
        # Ten copies of both graphs, so that ten stratified folds exist.
        text = "20\n" + GIN_TOY.removeprefix("2\n") * 10
        raw = read_gin_text(gin_zip(tmp_path, text), a_card(), member="TOY.txt")
        assert raw.store.column("x")[:5].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1], [0, 1]]
        assert undirected_edges(raw.store, 0) == {(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)}
        assert [fold["test"].tolist() for fold in raw.splits["gin"]] == [[1]] * 10
        for fold in raw.splits["stratified"]:
            assert raw.store.column("y")[fold["test"]].sort().values.tolist() == [0, 1]
            assert not set(fold["val"].tolist()) & set(fold["test"].tolist())

    def test_values(self) -> None:
        parsed = parse_gin_text(GIN_TOY.encode(), "toy")
        assert parsed.num_nodes.tolist() == [3, 2]
        assert parsed.labels.tolist() == [1, 0]
        assert parsed.tags.tolist() == [0, 4, 0, 4, 4]
        assert parsed.edge_index.tolist() == [[0, 0, 1, 1, 2, 2, 3, 4], [1, 2, 0, 2, 0, 1, 4, 3]]

    def test_a_one_sided_neighbour_becomes_an_undirected_edge(self) -> None:
        parsed = parse_gin_text(b"1\n3 0\n0 2 1 1\n0 0\n0 0\n", "toy")
        assert parsed.edge_index.tolist() == [[0, 1], [1, 0]]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("1 2\n", "first line must be the number of graphs"),
            ("2\n1 0\n0 0\n", "graph 1 of 2: the file ends"),
            ("1\n1 0\n0 0\n0 0\n", "need 3 lines, the file has 4"),
            ("1\n2 0\n0 2 1\n0 1 0\n", "line 3: 2 neighbours announced, 1 listed"),
            ("1\n2 0\n0 1 5\n0 0\n", "line 3: neighbour 5 is not in the graph"),
            ("1\n1 0 7\n0 0\n", "graph 0: expected 'nodes label' in line 2"),
        ],
    )
    def test_what_breaks_the_format_is_named(self, text: str, message: str) -> None:
        with pytest.raises(DataError, match=message):
            parse_gin_text(text.encode(), "toy")

    @pytest.mark.mirror
    def test_the_release_folds_have_no_validation_part(self, mirror: Path) -> None:
        raw = read("mutag-gin")
        assert [set(fold) for fold in raw.splits["gin"]] == [{"train", "test"}] * 10


def read(name: str) -> RawDataset:
    known = card(name)
    return known.read()(fetch(known, progress=False), known, **known.options)


@pytest.mark.mirror
@pytest.mark.parametrize("name", [*TU_SETS, "mutag-gin", "dd", "reddit-binary"])
def test_published_statistics(mirror: Path, name: str) -> None:
    """Loading checks every published statistic; the rest of the card is checked here."""
    known, store = card(name), load_dataset(name, progress=False)
    assert store.column("x").size(1) == known.node_features
    assert known.edge_features == (store.column("edge_attr").size(1) if "edge_attr" in store.columns else 0)
    assert store.column("y").unique().tolist() == list(range(known.task.out_channels))
    assert {scheme: len(folds) for scheme, folds in store.folds.items()} == known.split.schemes
    assert set(store.splits) == {"train", "val", "test"}
    for folds in store.folds.values():
        for fold in folds:
            union = torch.cat(list(fold.values()))
            assert union.sort().values.tolist() == list(range(len(store)))
    tested = torch.cat([fold["test"] for fold in store.folds[known.split.default]])
    assert tested.sort().values.tolist() == list(range(len(store)))


def test_random_folds_are_splits_that_depend_on_their_number_alone() -> None:
    folds = random_folds(188, 5)
    for fold in folds:
        assert {part: index.numel() for part, index in fold.items()} == {"train": 150, "val": 18, "test": 20}
        assert torch.cat(list(fold.values())).sort().values.tolist() == list(range(188))
    for longer, fold in zip(random_folds(188, 7), folds, strict=False):
        assert all(torch.equal(longer[part], fold[part]) for part in fold)
    assert len({tuple(fold["test"].tolist()) for fold in folds}) == 5


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("name", "features"), [("mutag", 7), ("proteins", 3), ("enzymes-labels", 3), ("imdb-binary-constant", 1)]
)
def test_random_splits_of_the_cards(mirror: Path, name: str, features: int) -> None:
    store = load_dataset(name, split="random", fold=99, progress=False)
    assert len(store.folds["random"]) == 100
    assert store.column("x").size(1) == card(name).node_features == features
    assert store.splits["test"].numel() == len(store) - int(0.8 * len(store)) - int(0.1 * len(store))


@pytest.mark.mirror
@pytest.mark.slow
def test_collab_counts(mirror: Path) -> None:
    with zipfile.ZipFile(mirror / "tu/gin_format/COLLAB.zip") as archive:
        parsed = parse_gin_text(archive.read("COLLAB/COLLAB.txt"), "COLLAB")
    assert parsed.num_nodes.numel() == 5000
    assert parsed.num_nodes.double().mean() == pytest.approx(74.49, abs=0.005)
    assert parsed.edge_index.size(1) / 2 / 5000 == pytest.approx(
        card("collab").differs["mean_undirected_edges"], abs=0.005
    )


@pytest.mark.mirror
@pytest.mark.parametrize(("name", "prefix"), [("mutag", "MUTAG"), ("enzymes", "ENZYMES"), ("imdb-multi", "IMDB-MULTI")])
def test_same_graphs_as_pyg(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, prefix: str
) -> None:
    monkeypatch.setattr(TUDataset, "url", f"file://{mirror}/tu/raw_zip")
    theirs, ours = TUDataset(str(tmp_path), prefix, use_node_attr=True), load_dataset(name, progress=False)
    assert len(ours) == len(theirs)
    for i in range(0, len(theirs), 7):
        expected, got = theirs[i], ours[i]
        assert got.num_nodes == expected.num_nodes
        if expected.x is not None:
            assert torch.equal(got.x, expected.x)
        assert torch.equal(got.y, expected.y)
        edges, attr = coalesce(got.edge_index, got.get("edge_attr"))
        assert torch.equal(edges, expected.edge_index)
        if expected.edge_attr is not None:
            assert torch.equal(attr, expected.edge_attr)


@pytest.mark.mirror
@pytest.mark.parametrize("name", WITH_GIN_FOLDS)
def test_gin_folds_only_where_the_graphs_are_in_the_same_order(mirror: Path, name: str) -> None:
    known = card(name)
    stem = known.files["gin"].filename.removesuffix(".zip")
    with zipfile.ZipFile(mirror / known.files["gin"].mirror) as archive:
        text = parse_gin_text(archive.read(f"{stem}/{stem}.txt"), stem)
    store = load_dataset(name, progress=False)
    assert torch.equal(text.num_nodes, store.sizes("node"))
    owner = torch.repeat_interleave(torch.arange(len(store)), text.num_nodes)[text.edge_index[0]]
    assert torch.equal(torch.bincount(owner, minlength=len(store)), store.sizes("edge"))
    # The two releases number the classes differently, but consistently.
    pairs = set(zip(text.labels.tolist(), store.column("y").tolist(), strict=True))
    assert len(pairs) == known.task.out_channels


@pytest.mark.mirror
def test_mutag_and_its_gin_release_are_the_same_graphs_in_another_order(mirror: Path) -> None:
    ours, gin = load_dataset("mutag", progress=False), load_dataset("mutag-gin", progress=False)
    sizes = [sorted(zip(s.sizes("node").tolist(), s.sizes("edge").tolist(), strict=True)) for s in (ours, gin)]
    assert sizes[0] == sizes[1]
    assert not torch.equal(ours.sizes("node"), gin.sizes("node"))


@pytest.mark.mirror
def test_proteins_folds_belong_to_the_same_graphs_as_proteins_full(mirror: Path) -> None:
    """The folds were drawn on PROTEINS_full; its graphs are those of PROTEINS, in the same order."""
    contents = []
    for prefix in ("PROTEINS", "PROTEINS_full"):
        with zipfile.ZipFile(mirror / f"tu/raw_zip/{prefix}.zip") as archive:
            kinds = ("A", "graph_indicator", "graph_labels", "node_labels")
            contents.append([archive.read(f"{prefix}//{prefix}_{kind}.txt").split() for kind in kinds])
    assert contents[0] == contents[1]
