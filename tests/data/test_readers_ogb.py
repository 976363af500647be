"""OGB: raw tables against OGB's own reader where there is one, small files of the same layout elsewhere."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnlab.data.card import card
from gnnlab.data.load import load_dataset
from gnnlab.data.readers.ogb_graphs import read_ogb_links, read_ogb_nodes
from gnnlab.data.readers.ogb_molecules import read_ogb_molecules, read_ogb_smiles
from gnnlab.errors import DataError, IntegrityError


def table(folder: Path, name: str, rows: list) -> Path:
    path = folder / f"{name}.csv.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(",".join("" if c is None else str(c) for c in np.atleast_1d(row)) + "\n" for row in rows)
    return path


@pytest.mark.mirror
@pytest.mark.parametrize("name", ["ogbg-molfreesolv", "ogbg-molesol", "ogbg-molbace", "ogbg-molbbbp"])
def test_raw_tables_equal_what_ogb_reads(mirror: Path, name: str) -> None:
    from ogb.io.read_graph_raw import read_csv_graph_raw

    store = load_dataset(name, progress=False)
    expected = read_csv_graph_raw(str(mirror / "ogb" / name.replace("-", "_") / "raw"), add_inverse_edge=True)
    assert len(store) == len(expected)
    for i in range(0, len(store), 17):
        data, graph = store[i], expected[i]
        np.testing.assert_array_equal(data.x, graph["node_feat"])
        ours = np.concatenate([data.edge_index, data.edge_attr.t()])
        theirs = np.concatenate([graph["edge_index"], graph["edge_feat"].T])
        np.testing.assert_array_equal(ours[:, np.lexsort(ours)], theirs[:, np.lexsort(theirs)])
    everything = torch.cat([store.splits[part] for part in ("train", "val", "test")])
    assert torch.equal(everything.sort().values, torch.arange(len(store)))


def molecules(folder: Path) -> dict[str, Path]:
    """Ethanol and methane; the second label of the second molecule is missing."""
    return {
        "edge": table(folder, "edge", [[0, 1], [1, 2]]),
        "edge_features": table(folder, "edge-feat", [[0, 0, 0], [1, 0, 1]]),
        "node_features": table(folder, "node-feat", [[5] * 9, [5] * 9, [7] * 9, [5] * 9]),
        "num_nodes": table(folder, "num-node-list", [3, 1]),
        "num_edges": table(folder, "num-edge-list", [2, 0]),
        "labels": table(folder, "graph-label", [[1, 0], [0, None]]),
        "train": table(folder, "train", [0]),
        "val": table(folder, "valid", [1]),
        "test": table(folder, "test", [1]),
    }


def test_bonds_come_both_ways_and_missing_labels_stay_missing(tmp_path: Path) -> None:
    raw = read_ogb_molecules(molecules(tmp_path), card("ogbg-molpcba"))
    first, second = raw.store[0], raw.store[1]
    edges = dict(zip(map(tuple, first.edge_index.t().tolist()), first.edge_attr[:, 0].tolist(), strict=True))
    assert edges == {(0, 1): 0, (1, 0): 0, (1, 2): 1, (2, 1): 1}
    assert first.x.dtype == torch.long
    assert second.num_nodes == 1
    assert second.num_edges == 0
    assert torch.isnan(second.y).tolist() == [[False, True]]
    assert raw.splits["scaffold"][0]["val"].tolist() == [1]


@pytest.mark.parametrize("damage", ["truncated", "text"])
def test_a_damaged_table_is_named(tmp_path: Path, damage: str) -> None:
    files = molecules(tmp_path)
    if damage == "truncated":
        files["edge"].write_bytes(files["edge"].read_bytes()[:-12])
    else:
        table(tmp_path, "edge", [["a", "b"]])
    with pytest.raises(IntegrityError, match=r"edge\.csv\.gz"):
        read_ogb_molecules(files, card("ogbg-molesol"))


def test_an_edge_outside_its_molecule_is_refused(tmp_path: Path) -> None:
    files = molecules(tmp_path) | {"edge": table(tmp_path, "edge", [[0, 1], [1, 9]])}
    with pytest.raises(DataError, match="graph 0: 'edge_index'"):
        read_ogb_molecules(files, card("ogbg-molesol"))


def test_molecules_from_smiles_are_held_against_the_published_sizes(tmp_path: Path) -> None:
    files = molecules(tmp_path)
    with gzip.open(tmp_path / "mol.csv.gz", "wt") as file:
        file.write("HIV_active,smiles,mol_id\n0,CCO,\n1,C,\n")
    files["molecules"] = tmp_path / "mol.csv.gz"
    raw = read_ogb_smiles(files, card("ogbg-molhiv"))
    assert raw.store.sizes("node").tolist() == [3, 1]
    files["num_nodes"] = table(tmp_path, "num-node-list", [3, 2])
    with pytest.raises(DataError, match="molecule 1 has 1 atoms, but OGB lists 2"):
        read_ogb_smiles(files, card("ogbg-molhiv"))
    files["num_nodes"] = table(tmp_path, "num-node-list", [3])
    with pytest.raises(DataError, match="2 molecules, but OGB lists 1"):
        read_ogb_smiles(files, card("ogbg-molhiv"))


@pytest.mark.parametrize("undirected", [True, False])
def test_one_large_graph(tmp_path: Path, undirected: bool) -> None:
    files = {
        "edge": table(tmp_path, "edge", [[0, 1], [2, 1], [2, 3]]),
        "node_features": table(tmp_path, "node-feat", [[0.5, 1], [1.5, 2], [2.5, 3], [3.5, 4]]),
        "labels": table(tmp_path, "node-label", [0, 2, 1, 0]),
        "train": table(tmp_path, "train", [3, 0]),
        "val": table(tmp_path, "valid", [1]),
        "test": table(tmp_path, "test", [2]),
    }
    spec = card("ogbn-arxiv")
    raw = read_ogb_nodes(files, spec, undirected=undirected, split="time")
    store = raw.store.replace(task=spec.task, folds=raw.splits).with_fold("time")
    data = store[0]
    assert data.y.tolist() == [0, 2, 1, 0]
    assert data.train_mask.tolist() == [True, False, False, True]
    edges = {tuple(edge) for edge in data.edge_index.t().tolist()}
    forward = {(0, 1), (2, 1), (2, 3)}
    assert edges == (forward | {(v, u) for u, v in forward} if undirected else forward)


def test_link_prediction_on_one_graph(tmp_path: Path) -> None:
    files = {
        "edge": table(tmp_path, "edge", [[0, 1], [1, 2]]),
        "edge_weight": table(tmp_path, "edge_weight", [2, 3]),
        "edge_year": table(tmp_path, "edge_year", [2001, 2002]),
        "node_features": table(tmp_path, "node-feat", [[0.5], [1.5], [2.5], [3.5]]),
    }
    parts = {
        "train": {"edge": np.array([[0, 1], [1, 2]]), "weight": np.array([2, 3]), "year": np.array([2001, 2002])},
        "val": {"edge": np.array([[0, 2]]), "edge_neg": np.array([[0, 3], [1, 3]])},
        "test": {"edge": np.array([[2, 3]]), "edge_neg": np.array([[3, 0]])},
    }
    for part, content in parts.items():
        files[part] = tmp_path / f"{part}.pt"
        torch.save(content, files[part])
    raw = read_ogb_links(files, card("ogbl-collab"), split="time")
    data = raw.store[0]
    assert data.edge_label_index.tolist() == [[0, 1, 0, 0, 1, 2, 3], [1, 2, 2, 3, 3, 3, 0]]
    assert data.edge_label.tolist() == [1, 1, 1, 0, 0, 1, 0]
    assert data.edge_label_part.tolist() == [0, 0, 1, 1, 1, 2, 2]
    weights = dict(zip(map(tuple, data.edge_index.t().tolist()), data.edge_weight.tolist(), strict=True))
    assert weights == {(0, 1): 2, (1, 0): 2, (1, 2): 3, (2, 1): 3}
    assert raw.store.replace(folds=raw.splits).with_fold("time").splits == {}
    parts["test"]["edge"][0, 1] = 4
    torch.save(parts["test"], files["test"])
    with pytest.raises(DataError, match="'edge_label_index' holds"):
        read_ogb_links(files, card("ogbl-collab"), split="time")
