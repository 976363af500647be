"""LRGB files of upstream's layout, written here, read by us and by PyTorch Geometric."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_geometric.datasets import LRGBDataset

from gnnlab.data.card import card
from gnnlab.data.readers.lrgb import read_contacts, read_peptides, read_superpixels
from gnnlab.errors import IntegrityError

PARTS = {"train": 3, "val": 1, "test": 2}


def a_graph(i: int, categorical: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A path of ``i + 2`` nodes, both directions."""
    generator = torch.Generator().manual_seed(i)
    n = i + 2
    ends = torch.arange(n - 1)
    edge_index = torch.cat([torch.stack([ends, ends + 1]), torch.stack([ends + 1, ends])], dim=1)
    if categorical:
        x = torch.randint(0, 100, (n, 9), generator=generator)
        return x, torch.randint(0, 3, (2 * n - 2, 3), generator=generator), edge_index
    x = torch.rand(n, 14, generator=generator, dtype=torch.float64)
    return x, torch.rand(2 * n - 2, 2, generator=generator), edge_index


def written(folder: Path, suffix: str, graphs: list[tuple]) -> dict[str, Path]:
    """The files of one dataset where PyG looks for them."""
    folder.mkdir(parents=True)
    files, start = {}, 0
    for part, size in PARTS.items():
        files[part] = folder / f"{part}.{suffix}"
        content = graphs[start : start + size]
        files[part].write_bytes(pickle.dumps(content)) if suffix == "pickle" else torch.save(content, files[part])
        start += size
    return files


def pyg_reads(root: Path, name: str) -> list:
    return [data for part in PARTS for data in LRGBDataset(str(root), name, split=part)]


def edges_of(data: object) -> set[tuple]:
    rows = zip(data.edge_index.t().tolist(), data.edge_attr.tolist(), strict=True)
    return {(*ends, *attributes) for ends, attributes in rows}


def assert_same(store: object, expected: list) -> None:
    assert len(store) == len(expected) == sum(PARTS.values())
    for read, data in zip(store, expected, strict=True):
        assert torch.equal(read.x, data.x)
        assert read.x.dtype == data.x.dtype
        assert edges_of(read) == edges_of(data)
        if data.y is not None:
            assert torch.equal(read.y, data.y)


def test_peptides_struct(tmp_path: Path) -> None:
    graphs = [(*a_graph(i, True), torch.randn(1, 11)) for i in range(6)]
    files = written(tmp_path / "peptides-struct/raw", "pt", graphs)
    raw = read_peptides(files, card("peptides-struct"))
    assert_same(raw.store, pyg_reads(tmp_path, "Peptides-struct"))
    fold = raw.splits["official"][0]
    assert {part: index.tolist() for part, index in fold.items()} == {"train": [0, 1, 2], "val": [3], "test": [4, 5]}


@pytest.mark.parametrize("name", ["PascalVOC-SP", "COCO-SP"])
def test_superpixels(tmp_path: Path, name: str) -> None:
    used = [0, 11, 13, 25, 27, 28, 31, 44, 46, 65, 67, 70, 72, 82, 84, 90] if name == "COCO-SP" else list(range(21))
    graphs = []
    for i in range(6):
        x, edge_attr, edge_index = a_graph(i, False)
        graphs.append((x, edge_attr, edge_index, [used[(i + k) % len(used)] for k in range(len(x))]))
    files = written(tmp_path / name.lower() / "raw", "pickle", graphs)
    spec = card(name.lower())
    raw = read_superpixels(files, spec, **spec.options)
    assert_same(raw.store, pyg_reads(tmp_path, name))
    assert int(raw.store.column("y").max()) < spec.task.out_channels


def test_a_label_that_is_no_category(tmp_path: Path) -> None:
    graphs = [(*a_graph(i, False), [12] * (i + 2)) for i in range(6)]
    files = written(tmp_path / "raw", "pickle", graphs)
    with pytest.raises(IntegrityError, match="no category of COCO"):
        read_superpixels(files, card("coco-sp"), coco=True)


def test_contacts(tmp_path: Path) -> None:
    graphs = []
    for i in range(6):
        pairs = torch.tensor([[0, 1, 0], [1, 0, 1]])[:, : i % 4]
        graphs.append((*a_graph(i, True), pairs, torch.ones(pairs.size(1))))
    files = written(tmp_path / "pcqm-contact/raw", "pt", graphs)
    raw = read_contacts(files, card("pcqm-contact"))
    expected = pyg_reads(tmp_path, "PCQM-Contact")
    assert_same(raw.store, expected)
    for read, data in zip(raw.store, expected, strict=True):
        assert torch.equal(read.edge_label_index, data.edge_label_index)
        assert torch.equal(read.edge_label, data.edge_label)
    batch = raw.store[[3, 2]]
    assert batch.edge_label_index.tolist() == [[0, 1, 0, 5, 6], [1, 0, 1, 6, 5]]


def test_tuples_of_another_width_are_refused(tmp_path: Path) -> None:
    files = written(tmp_path / "raw", "pt", [a_graph(i, True) for i in range(6)])
    with pytest.raises(IntegrityError, match="graph 0 is not a tuple of 4"):
        read_peptides(files, card("peptides-struct"))
