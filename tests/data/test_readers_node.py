"""Readers of node-level datasets: Planetoid, WebKB and Actor, the heterophilous graphs."""

from __future__ import annotations

import pickle
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch_geometric.datasets import Actor, HeterophilousGraphDataset, Planetoid, WebKB
from torch_geometric.utils import coalesce, is_undirected, remove_self_loops, to_undirected

from gnnlab.data import GraphStore
from gnnlab.data.card import Card, SplitSpec, card
from gnnlab.data.load import load_dataset
from gnnlab.data.readers.geom_gcn import read_actor, read_webkb
from gnnlab.data.readers.heterophilous import read_heterophilous
from gnnlab.data.readers.planetoid import read_planetoid
from gnnlab.data.task import TaskSpec
from gnnlab.errors import DataError

PRESENT = [
    "cora",
    "citeseer",
    "texas",
    "cornell",
    "cornell-corrected",
    "wisconsin",
    "actor",
    "chameleon",
    "squirrel",
    "chameleon-filtered",
    "squirrel-filtered",
    "minesweeper",
    "tolokers",
]
UPSTREAM_ONLY = ["pubmed", "roman-empire", "amazon-ratings", "questions"]


def a_card(out_channels: int = 3) -> Card:
    task = TaskSpec("node", out_channels, "cross_entropy", "accuracy")
    return Card("toy", "", "", "", "", task, 0, 0, SplitSpec("none", {"none": 1}))


def split_files(folder: Path, num_nodes: int) -> dict[str, Path]:
    """Ten npz files of masks: node k tests in fold k, the next one validates."""
    files = {}
    for k in range(10):
        masks = {name: np.zeros(num_nodes, dtype=np.uint8) for name in ("train_mask", "val_mask", "test_mask")}
        masks["test_mask"][k % num_nodes] = masks["val_mask"][(k + 1) % num_nodes] = 1
        masks["train_mask"] = 1 - masks["test_mask"] - masks["val_mask"]
        files[f"split_{k}"] = folder / f"toy_split_{k}.npz"
        np.savez(files[f"split_{k}"], **masks)
    return files


def edges_of(store: GraphStore) -> list[list[int]]:
    return coalesce(store[0].edge_index).t().tolist()


class TestPlanetoid:
    def files(self, folder: Path) -> dict[str, Path]:
        """Nodes 0 to 3 in allx; test nodes 6 and 4 in that order; node 5 has neither features nor label."""
        dense = {
            "x": csr_matrix(np.eye(4, 3, dtype=np.float32)[:2]),
            "allx": csr_matrix(np.eye(4, 3, dtype=np.float32)),
            "tx": csr_matrix(np.array([[0, 0, 6], [0, 0, 4]], dtype=np.float32)),
            "y": np.eye(3, dtype=np.int32)[[0, 1]],
            "ally": np.eye(3, dtype=np.int32)[[0, 1, 2, 0]],
            "ty": np.eye(3, dtype=np.int32)[[2, 1]],
            "graph": defaultdict(list, {0: [1, 1, 0], 1: [0], 4: [6], 6: [4], 5: []}),
        }
        files = {}
        for role, content in dense.items():
            files[role] = folder / f"ind.toy.{role}"
            files[role].write_bytes(pickle.dumps(content, protocol=2))
        files["test_index"] = folder / "ind.toy.test.index"
        files["test_index"].write_text("6\n4\n")
        return files | split_files(folder, 7)

    def test_test_nodes_follow_the_list_and_gaps_stay_empty(self, tmp_path: Path) -> None:
        raw = read_planetoid(self.files(tmp_path), a_card())
        x, y = raw.store.column("x"), raw.store.column("y")
        assert x[:, 2].tolist() == [0, 0, 1, 0, 4, 0, 6]
        assert x[5].tolist() == [0, 0, 0]
        assert y.tolist() == [0, 1, 2, 0, 1, 0, 2]
        assert edges_of(raw.store) == [[0, 1], [1, 0], [4, 6], [6, 4]]
        assert raw.splits["public"][0]["train"].tolist() == [0, 1]
        assert raw.splits["public"][0]["test"].tolist() == [4, 6]
        assert [fold["test"].tolist() for fold in raw.splits["geom-gcn"][:2]] == [[0], [1]]

    def test_files_of_two_releases(self, tmp_path: Path) -> None:
        files = self.files(tmp_path)
        files["test_index"].write_text("6\n4\n5\n")
        with pytest.raises(DataError, match=r"tx and test\.index have 2 and 3 rows"):
            read_planetoid(files, a_card())
        files["test_index"].write_text("6\n5\n")
        with pytest.raises(DataError, match="test nodes begin at 5, allx ends at 4"):
            read_planetoid(files, a_card())

    @pytest.mark.mirror
    @pytest.mark.parametrize("name", ["Cora", "CiteSeer"])
    @pytest.mark.parametrize("scheme", ["public", "geom-gcn"])
    def test_same_graph_as_pyg(self, mirror: Path, tmp_path: Path, name: str, scheme: str) -> None:
        raw = tmp_path / name / ("raw" if scheme == "public" else "geom-gcn/raw")
        shutil.copytree(mirror / "planetoid" / name / "raw", raw)
        for path in (mirror / "planetoid/geom_gcn_splits").glob(f"{name.lower()}_*.npz"):
            shutil.copy(path, raw)
        expected = Planetoid(str(tmp_path), name, split=scheme)[0]
        got = load_dataset(name.lower(), split=scheme, fold=0, progress=False)[0]
        assert torch.equal(got.x, expected.x)
        assert torch.equal(got.y, expected.y)
        assert torch.equal(coalesce(got.edge_index), coalesce(expected.edge_index))
        for mask in ("train_mask", "val_mask", "test_mask"):
            theirs = expected[mask] if expected[mask].dim() == 1 else expected[mask][:, 0]
            assert torch.equal(got[mask], theirs)


class TestGeomGcn:
    def files(
        self, folder: Path, nodes: str, edges: str = "node_id\tnode_id\n0\t1\n1\t2\n0\t1\n2\t2\n"
    ) -> dict[str, Path]:
        paths = {"nodes": folder / "out1_node_feature_label.txt", "edges": folder / "out1_graph_edges.txt"}
        paths["nodes"].write_text(nodes)
        paths["edges"].write_text(edges)
        return paths | split_files(folder, 3)

    def test_webkb_reads_dense_features_in_node_order(self, tmp_path: Path) -> None:
        files = self.files(tmp_path, "node_id\tfeature\tlabel\n2\t1,1\t0\n0\t0,1\t2\n1\t1,0\t1\n")
        raw = read_webkb(files, a_card())
        assert raw.store.column("x").tolist() == [[0, 1], [1, 0], [1, 1]]
        assert raw.store.column("y").tolist() == [2, 1, 0]
        assert edges_of(raw.store) == [[0, 1], [1, 2], [2, 2]]
        both = read_webkb(files, a_card(), make_undirected=True).store
        assert edges_of(both) == [[0, 1], [1, 0], [1, 2], [2, 1], [2, 2]]

    def test_actor_reads_lists_of_columns(self, tmp_path: Path) -> None:
        files = self.files(tmp_path, "node_id\tfeature\tlabel\n1\t3\t1\n0\t0,2\t0\n2\t1,2,3\t2\n")
        assert read_actor(files, a_card()).store.column("x").tolist() == [[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 1]]

    @pytest.mark.parametrize(
        ("nodes", "message"),
        [
            ("h\n0\t1,0\t0\n1\t1\n2\t0,0\t1\n", "line 3 is not"),
            ("h\n0\t1,0\t0\n1\t1,1\t0\n1\t0,0\t1\n", "nodes must be 0 to 2, each once"),
            ("h\n0\t1,0\t0\n1\t1\t0\n2\t0,0\t1\n", "row 2 has 1 numbers"),
            ("h\n0\t1,0\t0\n1\t1,1\tzero\n2\t0,0\t1\n", "'zero' is not a number"),
        ],
    )
    def test_what_breaks_the_format_is_named(self, tmp_path: Path, nodes: str, message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_webkb(self.files(tmp_path, nodes), a_card())

    def test_split_file_without_masks(self, tmp_path: Path) -> None:
        files = self.files(tmp_path, "h\n0\t1,0\t0\n1\t1,1\t0\n2\t0,0\t1\n")
        np.savez(files["split_3"], train_mask=np.ones(3))
        with pytest.raises(DataError, match=r"toy_split_3\.npz: holds no 'test_mask'"):
            read_webkb(files, a_card())

    @pytest.mark.mirror
    @pytest.mark.parametrize("name", ["texas", "cornell", "wisconsin"])
    def test_same_graph_as_pyg(self, mirror: Path, tmp_path: Path, name: str) -> None:
        shutil.copytree(mirror / "webkb" / name.title() / "raw", tmp_path / name / "raw")
        assert_same_node_dataset(WebKB(str(tmp_path), name.title())[0], name, undirected=False)

    @pytest.mark.mirror
    def test_actor_as_pyg(self, mirror: Path, tmp_path: Path) -> None:
        shutil.copytree(mirror / "actor/raw", tmp_path / "raw")
        assert_same_node_dataset(Actor(str(tmp_path))[0], "actor", undirected=False)


class TestHeterophilous:
    def arrays(self) -> dict[str, np.ndarray]:
        masks = np.zeros((10, 4), dtype=bool)
        masks[:, 0] = True
        return {
            "node_features": np.arange(8, dtype=np.float32).reshape(4, 2),
            "node_labels": np.array([0, 1, 1, 0]),
            "edges": np.array([[0, 1], [2, 1], [3, 3]]),
            "train_masks": masks,
            "val_masks": np.roll(masks, 1, 1),
            "test_masks": np.roll(masks, 2, 1),
        }

    def write(self, folder: Path, arrays: dict[str, np.ndarray]) -> dict[str, Path]:
        np.savez(folder / "toy.npz", **arrays)
        return {"data": folder / "toy.npz"}

    def test_undirected_with_float_targets_for_a_binary_task(self, tmp_path: Path) -> None:
        raw = read_heterophilous(self.write(tmp_path, self.arrays()), a_card(out_channels=1))
        assert edges_of(raw.store) == [[0, 1], [1, 0], [1, 2], [2, 1], [3, 3]]
        assert raw.store.column("y").tolist() == [[0.0], [1.0], [1.0], [0.0]]
        assert len(raw.splits["official"]) == 10
        assert [raw.splits["official"][9][part].tolist() for part in ("train", "val", "test")] == [[0], [1], [2]]

    def test_directed_on_demand_and_long_targets_for_classes(self, tmp_path: Path) -> None:
        store = read_heterophilous(self.write(tmp_path, self.arrays()), a_card(), make_undirected=False).store
        assert edges_of(store) == [[0, 1], [2, 1], [3, 3]]
        assert store.column("y").tolist() == [0, 1, 1, 0]

    def test_missing_and_misfitting_arrays(self, tmp_path: Path) -> None:
        arrays = self.arrays()
        del arrays["edges"]
        with pytest.raises(DataError, match="holds no array 'edges'"):
            read_heterophilous(self.write(tmp_path, arrays), a_card())
        short = self.arrays() | {"val_masks": np.zeros((10, 3), dtype=bool)}
        with pytest.raises(DataError, match="'val_masks' has 3 nodes, 'node_features' has 4"):
            read_heterophilous(self.write(tmp_path, short), a_card())

    @pytest.mark.mirror
    @pytest.mark.parametrize("name", ["Minesweeper", "Tolokers"])
    def test_same_graph_as_pyg(self, mirror: Path, tmp_path: Path, name: str) -> None:
        (tmp_path / name.lower() / "raw").mkdir(parents=True)
        shutil.copy(mirror / f"heterophilous/{name.lower()}.npz", tmp_path / name.lower() / "raw")
        assert_same_node_dataset(HeterophilousGraphDataset(str(tmp_path), name)[0], name.lower(), undirected=True)


def assert_same_node_dataset(expected, name: str, *, undirected: bool) -> None:
    for fold in (0, 9):
        got = load_dataset(name, fold=fold, progress=False)[0]
        for mask in ("train_mask", "val_mask", "test_mask"):
            assert torch.equal(got[mask], expected[mask][:, fold])
    assert torch.equal(got.x, expected.x)
    assert torch.equal(got.y.view(-1).long(), expected.y)
    assert torch.equal(coalesce(got.edge_index), coalesce(expected.edge_index))
    assert is_undirected(got.edge_index) == undirected


@pytest.mark.mirror
@pytest.mark.parametrize("name", PRESENT)
def test_published_statistics(mirror: Path, name: str) -> None:
    """Loading checks every published statistic; the rest of the card is checked here."""
    known, store = card(name), load_dataset(name, progress=False)
    assert store.column("x").size(1) == known.node_features
    assert {scheme: len(folds) for scheme, folds in store.folds.items()} == known.split.schemes
    data = store[0]
    masks = torch.stack([data.train_mask, data.val_mask, data.test_mask])
    assert masks.sum(0).max() == 1
    assert masks.any(1).all()
    if known.task.loss == "cross_entropy":
        assert data.y.unique().tolist() == list(range(known.task.out_channels))


@pytest.mark.mirror
@pytest.mark.parametrize("name", ["texas", "wisconsin", "actor"])
def test_the_npz_copies_are_the_same_graphs_made_undirected(mirror: Path, name: str) -> None:
    ours = load_dataset(name, progress=False)
    raw = read_heterophilous({"data": mirror / f"heterophilous/{name}.npz"}, a_card(5))
    assert torch.equal(ours.column("x"), raw.store.column("x"))
    assert torch.equal(ours.column("y"), raw.store.column("y"))
    both = coalesce(torch.cat([ours[0].edge_index, ours[0].edge_index.flip(0)], 1))
    # The npz files drop self-loops.
    assert torch.equal(both[:, both[0] != both[1]], coalesce(raw.store[0].edge_index))


@pytest.mark.mirror
def test_cornell_has_the_pages_of_texas_as_its_card_says(mirror: Path) -> None:
    cornell, texas, corrected = (
        load_dataset(name, progress=False) for name in ("cornell", "texas", "cornell-corrected")
    )
    assert torch.equal(cornell.column("x"), texas.column("x"))
    assert torch.equal(cornell.column("y"), texas.column("y"))
    assert "Texas" in card("cornell").exact
    # The links are those of the corrected graph, up to the numbering of the nodes; the pages are not.
    simple = [to_undirected(remove_self_loops(store[0].edge_index)[0]) for store in (cornell, corrected)]
    degrees = [torch.bincount(edges[0], minlength=183).sort().values for edges in simple]
    assert torch.equal(*degrees)
    assert corrected.column("y").bincount().tolist() != texas.column("y").bincount().tolist()


@pytest.mark.parametrize("name", UPSTREAM_ONLY)
def test_upstream_only_cards_name_a_source(name: str) -> None:
    assert all(spec.url and spec.url.startswith("https://") for spec in card(name).files.values())
    assert "recorded" in card(name).exact
