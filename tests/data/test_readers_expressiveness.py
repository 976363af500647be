"""Readers of expressiveness datasets: decoding against networkx, ground truths of every family."""

from __future__ import annotations

import io
import pickle
import zipfile
from itertools import combinations
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from torch_geometric.data import Data
from torch_geometric.utils import to_dense_adj, to_networkx

from gnnlab.data import GraphStore
from gnnlab.data.card import Card, SplitSpec, card
from gnnlab.data.load import load_dataset
from gnnlab.data.readers._folds import contiguous_folds
from gnnlab.data.readers.brec import CATEGORIES, read_brec
from gnnlab.data.readers.csl import read_csl
from gnnlab.data.readers.exp import read_exp_pickle, read_exp_text
from gnnlab.data.readers.graph6 import decode_graph6, read_graph6
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError

SR = {
    "sr16622": (2, 16, 6, 2, 2),
    "sr251256": (15, 25, 12, 5, 6),
    "sr261034": (10, 26, 10, 3, 4),
    "sr281264": (4, 28, 12, 6, 4),
    "sr291467": (41, 29, 14, 6, 7),
    "sr351668": (3854, 35, 16, 6, 8),
    "sr351899": (227, 35, 18, 9, 9),
    "sr361446": (180, 36, 14, 4, 6),
    "sr401224": (28, 40, 12, 2, 4),
}
OTHERS = ["csl", "exp", "exp-openreview", "cexp", "cexp-openreview", "graph8c", "brec"]
EXP_TOY = "2\n2 1\n0 1 1\n1 1 0\n3 0\n0 1 1\n1 2 0 2\n1 1 1\n"


def a_card(out_channels: int = 2) -> Card:
    task = TaskSpec("graph", out_channels, "cross_entropy", "accuracy")
    return Card("toy", "", "", "", "", task, 0, 0, SplitSpec("none", {"none": 1}))


class Instance:
    """Stands for an instance of ``cls`` whose pickled state is a flat dictionary, as old releases wrote it."""

    def __init__(self, cls: type, **state: Any) -> None:
        self.cls, self.state = cls, state


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        return (value.cls, (), value.state) if isinstance(value, Instance) else NotImplemented


def pickled(content: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=3).dump(content)
    return buffer.getvalue()


def as_networkx(store: GraphStore, i: int, label: bool = False) -> nx.Graph:
    data = store[i]
    graph = to_networkx(data, to_undirected=True)
    if label:
        kinds = data.x.argmax(1).tolist()
        nx.set_node_attributes(graph, {node: str(kind) for node, kind in enumerate(kinds)}, "kind")
    return graph


def wl_equivalent(a: nx.Graph, b: nx.Graph, attribute: str | None = None) -> bool:
    """1-WL cannot tell the two apart, after as many rounds as there are nodes."""
    for graph in (a, b) if attribute is None else ():
        nx.set_node_attributes(graph, "", "none")
    options = {"node_attr": attribute or "none", "iterations": a.number_of_nodes()}
    return nx.weisfeiler_lehman_graph_hash(a, **options) == nx.weisfeiler_lehman_graph_hash(b, **options)


class TestGraph6:
    @pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 11, 62, 63, 64, 130])
    def test_as_networkx(self, n: int) -> None:
        graphs = [nx.gnp_random_graph(n, p, seed=seed) for seed, p in enumerate((0.0, 0.3, 1.0))]
        strings = [nx.to_graph6_bytes(graph, header=i == 1).strip() for i, graph in enumerate(graphs)]
        num_nodes, num_edges, edge_index = decode_graph6(strings)
        assert num_nodes.tolist() == [n] * 3
        ends = [0, *num_edges.cumsum(0).tolist()]
        for i, graph in enumerate(graphs):
            expected = {(u, v) for u, v in graph.edges} | {(v, u) for u, v in graph.edges}
            got = edge_index[:, ends[i] : ends[i + 1]].t().tolist()
            assert len(got) == len(expected)
            assert set(map(tuple, got)) == expected

    @pytest.mark.parametrize(
        ("strings", "message"),
        [
            ([b"Bw", b"B\n"], "graph 1 is not a graph6 string"),
            ([b"Bw", b""], "graph 1 is not a graph6 string"),
            ([b"Bw", b"Bww"], "graph 1: 3 characters do not encode 3 nodes"),
            ([b"~??"], "cut short"),
            ([b"~~??????"], "more than 258,047 nodes"),
        ],
    )
    def test_what_is_no_graph6_string_is_named(self, strings: list[bytes], message: str) -> None:
        with pytest.raises(DataError, match=message):
            decode_graph6(strings)

    def test_every_graph_is_a_class(self, tmp_path: Path) -> None:
        (tmp_path / "toy.g6").write_bytes(b">>graph6<<Bw\nBo\n")
        raw = read_graph6({"graphs": tmp_path / "toy.g6"}, a_card())
        assert raw.store.column("y").tolist() == [0, 1]
        assert raw.store.column("x").unique().tolist() == [1.0]
        assert raw.splits["all"][0]["test"].tolist() == [0, 1]


class TestCsl:
    def files(self, folder: Path, labels: int = 2) -> dict[str, Path]:
        def matrix(dense: list[list[int]]) -> Instance:
            row, col = np.nonzero(dense)
            return Instance(coo_matrix, row=row, col=col, data=np.ones(row.size), _shape=np.shape(dense))

        graphs = [matrix([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), matrix([[0, 1], [1, 0]])]
        with zipfile.ZipFile(folder / "CSL.zip", "w") as archive:
            archive.writestr("graphs_Kary_Deterministic_Graphs.pkl", pickled(graphs))
            torch.save(torch.arange(labels), folder / "y.pt")
            archive.write(folder / "y.pt", "y_Kary_Deterministic_Graphs.pt")
        files = {"archive": folder / "CSL.zip"}
        for part, text in {"train": "0\n1\n", "val": "1\n0\n", "test": "0,1\n1,0\n"}.items():
            files[part] = folder / f"CSL_{part}.index"
            files[part].write_text(text)
        return files

    def test_self_loops_are_dropped_and_folds_read(self, tmp_path: Path) -> None:
        raw = read_csl(self.files(tmp_path), a_card())
        assert raw.store.sizes("edge").tolist() == [2, 2]
        assert raw.store.sizes("node").tolist() == [3, 2]
        folds = [[fold[part].tolist() for part in ("train", "val", "test")] for fold in raw.splits["official"]]
        assert folds == [[[0], [1], [0, 1]], [[1], [0], [1, 0]]]

    def test_misfitting_labels_and_folds(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="2 graphs, 3 labels"):
            read_csl(self.files(tmp_path, labels=3), a_card())
        files = self.files(tmp_path)
        files["val"].write_text("1\n")
        with pytest.raises(DataError, match="the index files have"):
            read_csl(files, a_card())

    @pytest.mark.mirror
    def test_ten_classes_of_fifteen_isomorphic_graphs(self, mirror: Path) -> None:
        store = load_dataset("csl", progress=False)
        y = store.column("y")
        assert y.bincount().tolist() == [15] * 10
        first = {label: as_networkx(store, int((y == label).nonzero()[0])) for label in range(10)}
        assert all(set(dict(graph.degree).values()) == {4} for graph in first.values())
        spectra = {label: np.sort(nx.adjacency_spectrum(graph).real) for label, graph in first.items()}
        for a, b in combinations(range(10), 2):
            assert np.abs(spectra[a] - spectra[b]).max() > 1e-6
        for i in range(0, 150, 4):
            spectrum = np.sort(nx.adjacency_spectrum(as_networkx(store, i)).real)
            assert np.abs(spectrum - spectra[int(y[i])]).max() < 1e-9


class TestExp:
    def test_text(self, tmp_path: Path) -> None:
        (tmp_path / "toy.txt").write_text(EXP_TOY)
        raw = read_exp_text({"graphs": tmp_path / "toy.txt"}, a_card())
        assert raw.store.column("y").tolist() == [1, 0]
        assert raw.store.column("pair").tolist() == [0, 0]
        assert raw.store.column("x").tolist() == [[1, 0], [0, 1], [1, 0], [0, 1], [0, 1]]

    def test_pickle_of_graphs(self, tmp_path: Path) -> None:
        def graph(nodes: int, edges: list[list[int]], y: int) -> Instance:
            kinds = torch.arange(nodes).remainder(2).view(-1, 1)
            return Instance(Data, x=kinds, edge_index=torch.tensor(edges), y=torch.tensor([y]))

        path = tmp_path / "toy.pkl"
        graphs = [graph(2, [[0, 1], [1, 0]], 1), graph(3, [[2, 1, 0, 1], [1, 2, 1, 0]], 0)]
        path.write_bytes(pickled(graphs))
        raw = read_exp_pickle({"graphs": path}, a_card())
        assert raw.store.sizes("node").tolist() == [2, 3]
        assert raw.store[1].edge_index.tolist() == [[1, 0, 2, 1], [0, 1, 1, 2]]
        assert raw.store.column("y").tolist() == [1, 0]

    def test_not_a_list_of_graphs(self, tmp_path: Path) -> None:
        (tmp_path / "toy.pkl").write_bytes(pickle.dumps({"graphs": 3}))
        with pytest.raises(DataError, match="not a list of graphs"):
            read_exp_pickle({"graphs": tmp_path / "toy.pkl"}, a_card())

    @pytest.mark.mirror
    @pytest.mark.parametrize("name", ["exp", "exp-openreview"])
    def test_pairs_have_two_labels_and_one_colouring(self, mirror: Path, name: str) -> None:
        store = load_dataset(name, progress=False)
        y = store.column("y").view(-1, 2)
        assert (y.sum(1) == 1).all()
        assert torch.equal(*store.sizes("node").view(-1, 2).unbind(1))
        for pair in range(0, 600, 60):
            a, b = (as_networkx(store, 2 * pair + side, label=True) for side in (0, 1))
            assert wl_equivalent(a, b, "kind")

    @pytest.mark.mirror
    def test_half_of_cexp_is_easy(self, mirror: Path) -> None:
        """Of two consecutive pairs, the first can be told apart by 1-WL and the second cannot."""
        store = load_dataset("cexp-openreview", progress=False)
        for pair in range(0, 600, 75):
            a, b = (as_networkx(store, 2 * pair + side, label=True) for side in (0, 1))
            assert wl_equivalent(a, b, "kind") == (pair % 2 == 1)

    def test_contiguous_folds_keep_pairs_together(self) -> None:
        folds = contiguous_folds(1200)
        assert torch.cat([fold["test"] for fold in folds]).tolist() == list(range(1200))
        for fold in folds:
            assert [fold[part].numel() for part in ("train", "val", "test")] == [972, 108, 120]
            parts = [set((fold[part] // 2).tolist()) for part in ("train", "val", "test")]
            assert not parts[2] & (parts[0] | parts[1])


class TestSr:
    @pytest.mark.mirror
    @pytest.mark.parametrize("name", list(SR))
    def test_parameters(self, mirror: Path, name: str) -> None:
        """A^2 = k I + lambda A + mu (J - I - A) for every graph of the family."""
        count, n, k, lam, mu = SR[name]
        store = load_dataset(name, progress=False)
        assert len(store) == count
        batch = store[: min(count, 200)]
        adjacency = to_dense_adj(batch.edge_index, batch.batch)
        eye = torch.eye(n)
        expected = k * eye + lam * adjacency + mu * (1 - eye - adjacency)
        assert torch.equal(adjacency @ adjacency, expected)
        assert torch.equal(adjacency, adjacency.transpose(1, 2))


class TestBrec:
    @pytest.mark.mirror
    def test_four_hundred_pairs(self, mirror: Path) -> None:
        store = load_dataset("brec", progress=False)
        assert store.column("pair").tolist() == [i // 2 for i in range(800)]
        assert store.column("y").tolist() == [i % 2 for i in range(800)]
        assert store.column("category").bincount().tolist() == [120, 100, 100, 200, 200, 40, 40]
        assert torch.equal(*store.sizes("node").view(-1, 2).unbind(1))
        assert torch.equal(*store.sizes("edge").view(-1, 2).unbind(1))

    @pytest.mark.mirror
    def test_a_pair_is_one_for_1_wl_and_two_in_truth(self, mirror: Path) -> None:
        store = load_dataset("brec", progress=False)
        for pair in [*range(0, 60, 12), 60, 85, 110, 135, 165, 200, 235, 300, 361, 382]:
            a, b = as_networkx(store, 2 * pair), as_networkx(store, 2 * pair + 1)
            assert wl_equivalent(a, b)
            if pair < 110 or 160 <= pair < 260:
                assert not nx.is_isomorphic(a, b)

    @pytest.mark.mirror
    def test_categories(self, mirror: Path) -> None:
        files = {path.stem: path for path in (mirror / "expressiveness/brec/raw").glob("*.npy")}
        whole = load_dataset("brec", progress=False)
        for number, category in enumerate(CATEGORIES):
            store = read_brec(files, a_card(), category=category).store
            rows = (whole.column("category") == number).nonzero().view(-1)
            assert torch.equal(store.sizes("edge"), whole.sizes("edge")[rows])
            assert torch.equal(store.column("pair"), whole.column("pair")[rows])

    def test_unknown_category(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'regular'"):
            read_brec({}, a_card(), category="regulr")

    def test_missing_pairs(self, tmp_path: Path) -> None:
        np.save(tmp_path / "basic.npy", np.array(["Bw", "Bo"]))
        with pytest.raises(DataError, match="holds 2 graphs, 60 pairs were published"):
            read_brec({"basic": tmp_path / "basic.npy"}, a_card())


@pytest.mark.mirror
def test_graph8c_are_all_connected_graphs_on_eight_nodes(mirror: Path) -> None:
    store = load_dataset("graph8c", progress=False)
    degrees = set()
    for i in range(0, len(store), 97):
        graph = as_networkx(store, i)
        assert nx.is_connected(graph)
        degrees.add(tuple(sorted(dict(graph.degree).values())))
    assert len(degrees) > 50


@pytest.mark.mirror
@pytest.mark.parametrize("name", [*SR, *OTHERS])
def test_published_statistics(mirror: Path, name: str) -> None:
    """Loading checks every published statistic; the rest of the card is checked here."""
    known, store = card(name), load_dataset(name, progress=False)
    assert store.column("x").size(1) == known.node_features
    assert store.column("y").unique().tolist() == list(range(known.task.out_channels))
    assert {scheme: len(folds) for scheme, folds in store.folds.items()} == known.split.schemes
    edges = store[: min(len(store), 500)].edge_index
    assert not (edges[0] == edges[1]).any()
