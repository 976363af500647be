"""Substructure counting: DGL's format, targets against brute force and the published counts, generated graphs."""

from __future__ import annotations

import struct
from itertools import permutations
from math import comb
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.utils import to_networkx

from gnnlab.data import GraphStore, load_dataset
from gnnlab.data.card import Card, SplitSpec, card_names
from gnnlab.data.generators.counting import FAMILIES, generate_counting, random_regular_graphs
from gnnlab.data.readers.counting import TARGETS, count_targets, decode_dgl_graphs, read_counting
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError
from gnnlab.graph import subgraph_counts

PATTERNS = {
    "triangle": nx.cycle_graph(3),
    "tailed_triangle": nx.Graph([(0, 1), (1, 2), (2, 0), (0, 3)]),
    "star": nx.star_graph(3),
    "chordal_cycle": nx.Graph([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]),
    "cycle_4": nx.cycle_graph(4),
    "cycle_5": nx.cycle_graph(5),
    "cycle_6": nx.cycle_graph(6),
}


def a_card() -> Card:
    task = TaskSpec("graph", 1, "l1", "mae", higher_is_better=False)
    return Card("toy", "", "", "", "", task, 1, 0, SplitSpec("none", {"none": 1}))


def brute_force(graph: nx.Graph, pattern: nx.Graph) -> int:
    """Maps of the pattern's nodes that keep its edges, over those of the pattern to itself."""

    def maps(host: nx.Graph) -> int:
        places = permutations(host.nodes, pattern.number_of_nodes())
        return sum(all(host.has_edge(place[a], place[b]) for a, b in pattern.edges) for place in places)

    return maps(graph) // maps(pattern)


def array(values: np.ndarray) -> bytes:
    code = {"f": 2, "i": 0}[values.dtype.kind]
    head = struct.pack("<QQiiiBBH", 0xDD5E40F096B4A13F, 0, 1, 0, values.ndim, code, 8 * values.itemsize, 1)
    return head + struct.pack(f"<{values.ndim}qq", *values.shape, values.nbytes) + values.tobytes()


def vector(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values) + 1}q", len(values), *values)


def dgl_file(
    graphs: list[tuple[int, list[tuple[int, int]]]], labels: dict[str, np.ndarray], features: int = 0
) -> bytes:
    """As ``dgl.save_graphs`` writes it: edges by target, with the places they had."""
    bodies = []
    for nodes, edges in graphs:
        order = sorted(range(len(edges)), key=lambda e: edges[e][1])
        counts = [sum(target == node for _, target in edges) for node in range(nodes)]
        body = array(np.array([0, *np.cumsum(counts)]).astype("<i8"))
        body += array(np.array([edges[e][0] for e in order], dtype="<i8")) + array(np.array(order, dtype="<i8"))
        bodies.append(body + struct.pack("<QQ", features, 0))
    text = b"".join(struct.pack("<Q", len(k)) + k.encode() + array(v) for k, v in labels.items())
    sizes = vector([nodes for nodes, _ in graphs]) + vector([len(edges) for _, edges in graphs])
    start = 4096 + 8 + 8 * (len(graphs) + 1) + len(sizes) + 8 + len(text)
    starts = [start + sum(map(len, bodies[:g])) for g in range(len(graphs))]
    head = struct.pack("<QQQ", 0xDD2E4FF046B4A13F, 1, 1).ljust(4096, b"\0") + struct.pack("<Q", len(graphs))
    return head + vector(starts) + sizes + struct.pack("<Q", len(labels)) + text + b"".join(bodies)


GRAPHS = [
    (3, [(1, 0), (0, 1), (2, 1), (1, 2)]),
    (4, [(3, 0), (0, 3)]),
    (1, []),
    (3, [(2, 0), (0, 1), (1, 2), (0, 2), (1, 0), (2, 1)]),
]


class TestFormat:
    def test_edges_come_in_the_order_they_had(self) -> None:
        raw = dgl_file(GRAPHS, {"star": np.array([1, 2, 3, 4], dtype="<f4"), "pair": np.ones((4, 2), dtype="<i8")})
        content = decode_dgl_graphs(raw)
        assert content.num_nodes.tolist() == [3, 4, 1, 3]
        offsets = [0, 3, 7, 8]
        expected = [(u + first, v + first) for first, (_, edges) in zip(offsets, GRAPHS, strict=True) for u, v in edges]
        assert list(map(tuple, content.edge_index.t().tolist())) == expected
        assert content.labels["star"].tolist() == [1.0, 2.0, 3.0, 4.0]
        assert content.labels["pair"].shape == (4, 2)

    def test_without_graphs(self) -> None:
        content = decode_dgl_graphs(dgl_file([], {}))
        assert content.num_nodes.numel() == 0
        assert content.edge_index.shape == (2, 0)

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (b"", "cut short"),
            (b"\0" * 5000, "no file of graphs"),
            (dgl_file(GRAPHS, {})[:-8], "cut short"),
            (dgl_file(GRAPHS, {}) + b"\0" * 8, "features"),
            (dgl_file(GRAPHS, {}, features=1), "features"),
        ],
    )
    def test_other_files_are_refused(self, raw: bytes, message: str) -> None:
        with pytest.raises(DataError, match=message):
            decode_dgl_graphs(raw)

    def test_a_damaged_array_is_refused(self) -> None:
        raw = bytearray(dgl_file(GRAPHS, {"star": np.ones(4, dtype="<f4")}))
        for place in [raw.rindex(struct.pack("<Q", 0xDD5E40F096B4A13F)), raw.index(b"star") + 4]:
            damaged = raw.copy()
            damaged[place] ^= 1
            with pytest.raises(DataError, match="does not start where it should"):
                decode_dgl_graphs(bytes(damaged))


class TestTargets:
    @pytest.mark.parametrize("seed", range(4))
    def test_brute_force(self, seed: int) -> None:
        graphs = [nx.gnp_random_graph(n, p, seed=seed) for n, p in ((6, 0.5), (7, 0.6), (5, 1.0), (3, 0.0), (8, 0.3))]
        edges, sizes, first = [], [], 0
        for graph in graphs:
            edges += [(u + first, v + first) for a, b in graph.edges for u, v in ((a, b), (b, a))]
            sizes.append(graph.number_of_nodes())
            first += sizes[-1]
        edge_index = torch.tensor(edges).t()
        counts = count_targets(edge_index, torch.tensor(sizes), list(TARGETS), "test")
        expected = [[brute_force(graph, PATTERNS[target]) for target in TARGETS] for graph in graphs]
        assert counts.tolist() == expected

    def test_unknown_targets(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'cycle_4'"):
            count_targets(torch.zeros(2, 0, dtype=torch.long), torch.tensor([1]), ["cycle_44"], "test")
        with pytest.raises(ConfigError, match="no targets"):
            count_targets(torch.zeros(2, 0, dtype=torch.long), torch.tensor([1]), [], "test")


@pytest.mark.mirror
class TestOfficial:
    def test_as_the_formulas_of_later_studies(self, mirror: Path) -> None:
        store = load_dataset("counting", progress=False)
        deviation = torch.tensor(store.meta["deviation"])
        counts = store.column("y") * deviation
        assert torch.allclose(counts, counts.round(), atol=1e-3)
        for i in range(0, 5000, 250):
            a = nx.to_numpy_array(to_networkx(store[i], to_undirected=True, remove_self_loops=False))
            degree = a.sum(0)
            cube = np.linalg.matrix_power(a, 3)
            triangles = np.diag(cube) / 2
            square = a @ a
            expected = {
                "triangle": np.trace(cube) / 6,
                "tailed_triangle": (triangles * (degree - 2)).sum(),
                "star": sum(comb(int(d), 3) for d in degree),
                "chordal_cycle": (np.triu(a) * square * (square - 1) / 2).sum(),
                "cycle_4": (np.trace(cube @ a) + np.trace(square) - 2 * square.sum()) / 8,
            }
            for place, value in enumerate(expected.values()):
                assert counts[i, place].item() == pytest.approx(value, abs=1e-3)

    def test_released_counts_are_of_induced_subgraphs(self, mirror: Path) -> None:
        files = _official_files(mirror)
        targets = ["triangle", "tailed_triangle", "star", "chordal_cycle"]
        raw = read_counting(files, a_card(), targets=targets, counts="released")
        released = raw.store.column("y") * torch.tensor(raw.store.meta["deviation"])
        union = raw.store[torch.arange(5000)]
        for place, target in enumerate(targets):
            induced = target != "star"
            counts = subgraph_counts(union.edge_index, union.ptr, TARGETS[target], level="graph", induced=induced)
            assert torch.allclose(released[:, place], counts[:, 0].float(), atol=1e-3), target

    def test_settings(self, mirror: Path) -> None:
        files = _official_files(mirror)
        with pytest.raises(ConfigError, match="unknown counts"):
            read_counting(files, a_card(), counts="induced")
        with pytest.raises(ConfigError, match="unknown target 'cycle_5'"):
            read_counting(files, a_card(), targets=["cycle_5"], counts="released")

    def test_random_graphs_and_the_split(self, mirror: Path) -> None:
        store = load_dataset("counting-cycle-6", progress=False)
        fold = store.folds["official"][0]
        assert torch.cat(list(fold.values())).sort().values.equal(torch.arange(5000))
        assert store.num_edges / 5000 / 90 == pytest.approx(0.3, abs=0.001)
        everything = load_dataset("counting", progress=False)
        assert torch.equal(everything.column("y")[:, -1:], store.column("y"))


def _official_files(mirror: Path) -> dict[str, Path]:
    folder = mirror / "expressiveness" / "counting"
    return {"graphs": folder / "dataset1.bin.xz"} | {p: folder / f"dataset1_{p}.txt" for p in ("train", "val", "test")}


class TestGenerated:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_simple_graphs_with_a_scaled_target(self, family: str) -> None:
        raw = generate_counting({}, a_card(), family=family, num_graphs=40, targets=["cycle_4", "star"])
        store = raw.store
        assert torch.allclose(store.column("y").std(0), torch.ones(2), atol=1e-5)
        for i in range(0, 40, 7):
            edges = store[i].edge_index.t().tolist()
            assert len(set(map(tuple, edges))) == len(edges)
            assert {(b, a) for a, b in edges} == set(map(tuple, edges))
            assert all(a != b for a, b in edges)
        fold = raw.splits["random"][0]
        assert [len(part) for part in fold.values()] == [12, 8, 20]
        assert torch.cat(list(fold.values())).sort().values.equal(torch.arange(40))

    def test_regular_graphs_lose_an_edge_per_node(self) -> None:
        store = generate_counting({}, a_card(), family="regular", num_graphs=40).store
        sizes, edges = store.sizes("node").tolist(), store.sizes("edge").tolist()
        assert sorted(set(sizes)) == [10, 15, 20, 30]
        degrees = {10: 6, 15: 6, 20: 5, 30: 5}
        assert edges == [n * degrees[n] - 2 * n for n in sizes]

    @pytest.mark.parametrize(("nodes", "degree"), [(4, 3), (6, 1), (7, 4), (10, 6), (8, 0)])
    def test_regular(self, nodes: int, degree: int) -> None:
        ends = random_regular_graphs(20, nodes, degree, torch.Generator().manual_seed(0))
        for each in ends:
            graph = nx.Graph(each.t().tolist())
            graph.add_nodes_from(range(nodes))
            assert graph.number_of_edges() == ends.size(2)
            assert {d for _, d in graph.degree} == {degree}

    def test_regular_graphs_are_uniform(self) -> None:
        """Of the 70 graphs of degree 2 on 6 nodes, 10 are two triangles."""
        ends = random_regular_graphs(7000, 6, 2, torch.Generator().manual_seed(1))
        seen = {}
        for each in ends:
            key = frozenset(frozenset(edge) for edge in each.t().tolist())
            seen[key] = seen.get(key, 0) + 1
        assert len(seen) == 70
        two = sum(
            count for key, count in seen.items() if nx.number_connected_components(nx.Graph(map(tuple, key))) == 2
        )
        assert two == pytest.approx(1000, abs=4 * (7000 * 6 / 49) ** 0.5)

    def test_seed_and_errors(self) -> None:
        def y(**options: object) -> torch.Tensor:
            return generate_counting({}, a_card(), num_graphs=20, **options).store.column("y")

        assert torch.equal(y(), y())
        assert not torch.equal(y(), y(seed=1))
        with pytest.raises(ConfigError, match="unknown family"):
            y(family="regulars")
        with pytest.raises(ConfigError, match="version 7"):
            y(version=7)
        with pytest.raises(ConfigError, match="num_graphs"):
            generate_counting({}, a_card(), num_graphs=3)


def test_every_target_has_its_cards() -> None:
    names = set(card_names())
    for target in TARGETS:
        suffix = target.replace("_", "-")
        assert {f"counting-{suffix}", f"counting-regular-{suffix}"} <= names


def test_generated_cards_load() -> None:
    store = load_dataset("counting-regular-triangle", progress=False)
    assert isinstance(store, GraphStore)
    assert store.num_nodes / len(store) == 18.75
    assert store.num_edges / len(store) == 62.5
