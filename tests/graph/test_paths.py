"""Paths: published counts, brute force, distances and edges along them, what they tell apart, refusals."""

from __future__ import annotations

from itertools import pairwise, permutations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch_geometric.utils import to_dense_batch

from gnnlab.data import load_dataset
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import enumerate_paths, multiset_codes, path_distances, path_edges
from gnnlab.graph.ego_pairs import row_codes
from gnnlab.testing.strategies import graphs, unions

KINDS = ("shortest", "all_shortest", "simple")


def edges_of(graph: nx.Graph) -> tuple[Tensor, int]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([edges, edges.flip(0)], 1), graph.number_of_nodes()


def two(graph: nx.Graph) -> nx.Graph:
    return nx.disjoint_union(graph, graph)


def decalin() -> nx.Graph:
    graph = nx.cycle_graph(10)
    graph.add_edge(0, 5)
    return graph


def joined_rings() -> nx.Graph:
    graph = two(nx.cycle_graph(5))
    graph.add_edge(0, 5)
    return graph


def prism(n: int) -> nx.Graph:
    return nx.circular_ladder_graph(n)


def csl(skip: int) -> nx.Graph:
    return nx.circulant_graph(11, [1, skip])


def rook() -> nx.Graph:
    return nx.line_graph(nx.complete_bipartite_graph(4, 4))


def shrikhande() -> nx.Graph:
    graph, moves = nx.Graph(), ((0, 1), (1, 0), (1, 1))
    graph.add_edges_from(((a, b), ((a + i) % 4, (b + j) % 4)) for a in range(4) for b in range(4) for i, j in moves)
    return graph


COUNTS = {
    "P4": (nx.path_graph(4), [6, 4, 2], [6, 4, 2], [6, 4, 2]),
    "C4": (nx.cycle_graph(4), [8, 4], [8, 8], [8, 8, 8]),
    "C5": (nx.cycle_graph(5), [10, 10], [10, 10], [10] * 4),
    "C6": (nx.cycle_graph(6), [12, 12, 6], [12, 12, 12], [12] * 5),
    "2 C3": (two(nx.cycle_graph(3)), [12], [12], [12, 12]),
    "K4": (nx.complete_graph(4), [12], [12], [12, 24, 24]),
    "K5": (nx.complete_graph(5), [20], [20], [20, 60, 120, 120]),
    "K13": (nx.star_graph(3), [6, 6], [6, 6], [6, 6]),
    "K23": (nx.complete_bipartite_graph(2, 3), [12, 8], [12, 18], [12, 18, 24, 12]),
    "K33": (nx.complete_bipartite_graph(3, 3), [18, 12], [18, 36], [18, 36, 72, 72, 72]),
    "prism": (prism(3), [18, 12], [18, 24], [18, 36, 60, 84, 60]),
    "cube": (nx.hypercube_graph(3), [24, 24, 8], [24, 48, 48], [24, 48, 96, 144, 240]),
    "Petersen": (nx.petersen_graph(), [30, 60], [30, 60], [30, 60, 120, 240, 360]),
    "grid": (nx.grid_2d_graph(3, 3), [24, 28, 16, 4], [24, 44, 48, 24], [24, 44, 80, 104, 128]),
    "decalin": (decalin(), [22, 28, 24, 12, 4], [22, 28, 36, 20, 12], [22, 28, 36, 44, 52]),
    "joined": (joined_rings(), [22, 28, 16, 16, 8], [22, 28, 16, 16, 8], [22, 28, 36, 44, 32]),
    "CSL 2": (csl(2), [44, 44, 22], [44, 66, 88], [44, 132, 330, 770, 1760]),
    "CSL 3": (csl(3), [44, 66], [44, 132], [44, 132, 396, 1012, 2354]),
    "Rook": (rook(), [96, 144], [96, 288], [96, 480, 2208, 9792, 40896]),
    "Shrikhande": (shrikhande(), [96, 144], [96, 288], [96, 480, 2208, 9792, 40896]),
    "karate": (nx.karate_club_graph(), [156, 530, 274, 146, 16], [156, 786, 792, 1158, 220], [156, 1056, 4742]),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    graph, *expected = COUNTS[name]
    edge_index, num_nodes = edges_of(graph)
    for kind, counts in zip(KINDS, expected, strict=True):
        assert [len(paths) for paths in enumerate_paths(edge_index, num_nodes, len(counts), kind)] == counts
        if kind != "simple":
            assert len(enumerate_paths(edge_index, num_nodes, len(counts) + 2, kind)[-1]) == 0


def brute_force(edges: set[tuple[int, int]], num_nodes: int, length: int) -> set[tuple[int, ...]]:
    return {path for path in permutations(range(num_nodes), length + 1) if edges.issuperset(pairwise(path))}


@given(graphs(max_nodes=6, max_edges=14))
@settings(max_examples=60)
def test_every_path_is_there_once(data):
    edges = {(u, v) for u, v in data.edge_index.t().tolist() if u != v}
    graph = nx.DiGraph(list(edges))
    graph.add_nodes_from(range(data.num_nodes))
    distance = dict(nx.all_pairs_shortest_path_length(graph))
    found = {kind: enumerate_paths(data.edge_index, data.num_nodes, 4, kind) for kind in KINDS}
    for length in range(1, 5):
        tables = {kind: [tuple(row) for row in paths[length - 1].tolist()] for kind, paths in found.items()}
        simple = brute_force(edges, data.num_nodes, length)
        shortest = {path for path in simple if distance[path[0]][path[-1]] == length}
        assert len(tables["simple"]) == len(simple)
        assert set(tables["simple"]) == simple
        assert len(tables["all_shortest"]) == len(shortest)
        assert set(tables["all_shortest"]) == shortest
        first = {}
        for path in sorted(shortest, key=lambda path: path[::-1]):
            first.setdefault((path[0], path[-1]), path)
        assert tables["shortest"] == sorted(first.values(), key=lambda path: path[::-1])
        for rows in tables.values():
            assert rows == sorted(rows, key=lambda path: path[::-1])
        paths = found["simple"][length - 1]
        ends = data.edge_index[:, path_edges(paths, data.edge_index, data.num_nodes)]
        assert torch.equal(ends, torch.stack([paths[:, :-1], paths[:, 1:]]))
        expected = [[distance[path[0]][v] for v in path] for path in tables["simple"]]
        ptr = torch.tensor([0, data.num_nodes])
        assert path_distances(paths, data.edge_index, ptr).tolist() == expected


@given(unions(max_nodes=6))
@settings(max_examples=30)
def test_a_union_is_its_graphs(batch):
    for kind in KINDS:
        together = enumerate_paths(batch.edge_index, batch.num_nodes, 3, kind, ptr=batch.ptr)
        alone = [enumerate_paths(data.edge_index, data.num_nodes, 3, kind) for data in batch.to_data_list()]
        for length in range(3):
            parts = [tables[length] + start for tables, start in zip(alone, batch.ptr.tolist(), strict=False)]
            assert torch.equal(together[length], torch.cat(parts))


def tensor_program(monkeypatch) -> None:
    monkeypatch.setattr("gnnlab.graph.paths.engine", lambda device, program, compiled: program)


def test_unions_too_large_for_a_table(monkeypatch):
    edge_index, num_nodes = edges_of(nx.karate_club_graph())
    tables = [enumerate_paths(edge_index, num_nodes, 4, kind) for kind in KINDS[:2]]
    distances = path_distances(tables[1][3], edge_index, torch.tensor([0, num_nodes]))
    tensor_program(monkeypatch)
    monkeypatch.setattr("gnnlab.graph._paths_torch._MOST_CELLS", 0)
    monkeypatch.setattr("gnnlab.graph.paths._MOST_CELLS", 0)
    for kind, table in zip(KINDS, tables, strict=False):
        for paths, expected in zip(enumerate_paths(edge_index, num_nodes, 4, kind), table, strict=True):
            assert torch.equal(paths, expected)
    assert torch.equal(path_distances(tables[1][3], edge_index, torch.tensor([0, num_nodes])), distances)
    assert torch.equal(distances, torch.arange(5).expand(len(distances), 5))


def both_engines(*arguments, **options) -> list[list[Tensor] | str]:
    """What the compiled search and the tensor program find, or how they refuse."""
    found = []
    for change in (False, True):
        with pytest.MonkeyPatch.context() as monkeypatch:
            if change:
                tensor_program(monkeypatch)
            try:
                found.append(enumerate_paths(*arguments, **options))
            except BudgetError as error:
                found.append(str(error))
    return found


@given(unions(max_nodes=8))
@settings(max_examples=40)
def test_engines_agree_to_the_bit(batch):
    for kind in KINDS[:2]:
        first, second = both_engines(batch.edge_index, batch.num_nodes, 5, kind, ptr=batch.ptr)
        for ours, theirs in zip(first, second, strict=True):
            assert ours.dtype == theirs.dtype == torch.long
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_engines_agree_when_threads_share_the_work(kind):
    edge_index, num_nodes = edges_of(nx.grid_2d_graph(12, 12))
    starts = torch.arange(60)[:, None] * num_nodes
    union = (edge_index[:, None] + starts).flatten(1)
    ptr = torch.arange(61) * num_nodes
    first, second = both_engines(union, 60 * num_nodes, 4, kind, ptr=ptr)
    assert [len(paths) % 60 for paths in first] == [0] * 4
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize(
    "limits",
    [{"max_paths": 23}, {"max_paths": 24}, {"max_paths": 71}, {"max_gigabytes": 2 * 71 * 3 * 8 / 2**30}],
)
def test_engines_refuse_the_same(kind, limits):
    """The cube has 24 and 72 ways to its paths of lengths 1 and 2, and 72 or (with ties) 144 to those of length 3."""
    edge_index, num_nodes = edges_of(nx.hypercube_graph(3))
    union = torch.cat([edge_index, edge_index + num_nodes], 1)
    ptr = torch.tensor([0, num_nodes, 2 * num_nodes])
    first, second = both_engines(union, 2 * num_nodes, 3, kind, ptr=ptr, **limits)
    assert isinstance(first, str)
    assert first == second
    enough = {"shortest": 72, "all_shortest": 144}[kind]
    first, second = both_engines(union, 2 * num_nodes, 3, kind, ptr=ptr, max_paths=enough)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, second, strict=True))
    first, second = both_engines(union, 2 * num_nodes, 3, kind, ptr=ptr, max_paths=enough - 1)
    assert isinstance(first, str)
    assert first == second


@pytest.mark.parametrize("kind", ["all_shortest", "simple"])
def test_paths_follow_a_renumbering(kind):
    edge_index, num_nodes = edges_of(nx.karate_club_graph())
    order = torch.randperm(num_nodes)
    for paths, moved in zip(
        enumerate_paths(edge_index, num_nodes, 3, kind),
        enumerate_paths(order[edge_index], num_nodes, 3, kind),
        strict=True,
    ):
        assert sorted(order[paths].tolist()) == sorted(moved.tolist())


def test_one_shortest_path_does_not_follow_a_renumbering():
    """Of the square, the paths between 0 and 2 lead through 1, whichever of the other two corners that is."""
    edge_index, _ = edges_of(nx.cycle_graph(4))
    swap = torch.tensor([0, 3, 2, 1])  # an automorphism
    (_, paths), (_, moved) = (enumerate_paths(edges, 4, 2, "shortest") for edges in (edge_index, swap[edge_index]))
    assert paths.tolist() == moved.tolist()
    assert [0, 1, 2] in paths.tolist()
    assert sorted(swap[paths].tolist()) != sorted(moved.tolist())


def colours(graphs: list[tuple[Tensor, int]], length: int, kind: str, distances: bool = False) -> Tensor:
    """[graphs, length, n_max], the sorted colours of the nodes after every layer of a PathNN with injective parts."""
    sizes = torch.tensor([size for _, size in graphs])
    ptr = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))
    edge_index = torch.cat([edges + start for (edges, _), start in zip(graphs, ptr, strict=False)], 1)
    num_nodes, batch = int(ptr[-1]), torch.repeat_interleave(sizes)
    colour, after = torch.zeros(num_nodes, dtype=torch.long), []
    for paths in enumerate_paths(edge_index, num_nodes, length, kind, ptr=ptr):
        read = colour[paths]
        if distances:
            read = read * 31 + path_distances(paths, edge_index, ptr)
        sums = multiset_codes(row_codes(read)[:, None], paths[:, 0], num_nodes)
        colour = row_codes(torch.stack([colour, sums], 1))
        after.append(to_dense_batch(colour, batch)[0].sort(1).values)
    return torch.stack(after, 1)


def depth(first: nx.Graph, second: nx.Graph, length: int, kind: str, distances: bool = False) -> int | None:
    a, b = colours([edges_of(first), edges_of(second)], length, kind, distances)
    return next((k + 1 for k in range(length) if not torch.equal(a[k], b[k])), None)


PAIRS = {
    "C6": (nx.cycle_graph(6), two(nx.cycle_graph(3)), 2, 3, 2),
    "C8": (nx.cycle_graph(8), two(nx.cycle_graph(4)), 3, 4, 3),
    "C10": (nx.cycle_graph(10), two(nx.cycle_graph(5)), 3, 5, 3),
    "K33": (nx.complete_bipartite_graph(3, 3), prism(3), 2, 3, 2),
    "decalin": (decalin(), joined_rings(), 3, 5, 3),
    "CSL": (csl(2), csl(3), 2, 3, 2),
    "Petersen": (nx.petersen_graph(), prism(5), 3, 4, 3),
    "dodecahedron": (nx.dodecahedral_graph(), nx.desargues_graph(), 3, 5, 3),
}


@pytest.mark.parametrize("name", PAIRS)
def test_separation_depth(name):
    first, second, all_shortest, simple, with_distances = PAIRS[name]
    assert depth(first, second, 5, "all_shortest") == all_shortest
    assert depth(first, second, 5, "simple") == simple
    assert depth(first, second, 5, "simple", distances=True) == with_distances


def test_rook_and_shrikhande():
    assert depth(rook(), shrikhande(), 6, "all_shortest") is None
    assert depth(rook(), shrikhande(), 5, "simple") is None
    assert depth(rook(), shrikhande(), 4, "simple", distances=True) == 4


@pytest.mark.parametrize(("category", "expected"), [("basic", [55, 60, 60]), ("regular", [48, 50, 50])])
def test_pairs_of_brec(mirror, category, expected):
    """Pairs told apart with K <= 5: by all shortest paths, by all paths, by these with distances."""
    store = load_dataset("brec")
    first = {"basic": 0, "regular": 120}[category]
    graphs = [(store[i].edge_index, store[i].num_nodes) for i in range(first, first + 2 * max(expected))]
    for setting, count in zip([("all_shortest", False), ("simple", False), ("simple", True)], expected, strict=True):
        found = colours(graphs, 5, *setting)[:, -1]
        assert int((found[::2] != found[1::2]).any(1).sum()) == count


def test_strongly_regular_graphs(mirror):
    """Of 105 pairs of SR(25,12,5,6), none is told apart with K = 3, all but 7 with K = 4 and distances."""
    store = load_dataset("sr251256")
    found = torch.cat([colours([(data.edge_index, 25)], 4, "simple", distances=True) for data in store])
    assert len(found) == 15
    first, second = torch.combinations(torch.arange(15)).t()
    assert (found[first] == found[second]).all(2).sum(0).tolist() == [105, 105, 105, 7]
    without = colours([(data.edge_index, 25) for data in store], 3, "simple")
    assert bool((without == without[0]).all())


def test_refusals():
    edge_index, num_nodes = edges_of(nx.complete_graph(12))
    with pytest.raises(ConfigError, match=r"unknown kind 'all'"):
        enumerate_paths(edge_index, num_nodes, 2, "all")
    with pytest.raises(ConfigError, match="length must be at least 1, got 0"):
        enumerate_paths(edge_index, num_nodes, 0)
    union = torch.cat([torch.tensor([[0, 1], [1, 0]]), edge_index + 2], 1)
    with pytest.raises(BudgetError, match=r"graph 1 has 14,520 candidates for paths of length 3 \(limit 5,000"):
        enumerate_paths(union, num_nodes + 2, 4, "simple", ptr=torch.tensor([0, 2, 14]), max_paths=5000)
    with pytest.raises(BudgetError, match="raise max_gigabytes"):
        enumerate_paths(edge_index, num_nodes, 4, "simple", max_gigabytes=1e-4)
    assert len(enumerate_paths(edge_index, num_nodes, 3, "shortest", max_paths=1500)[0]) == 132
    with pytest.raises(GraphError, match=r"path 1 \(0 -> 0\) does not follow the edges"):
        path_edges(torch.tensor([[0, 1], [0, 0]]), edge_index, num_nodes)
    with pytest.raises(GraphError, match="ptr counts 3 nodes, but num_nodes is 2"):
        enumerate_paths(edge_index[:, :0], 2, 1, ptr=torch.tensor([0, 3]))


def test_nothing_to_find():
    none = torch.zeros(2, 0, dtype=torch.long)
    for kind in KINDS:
        for num_nodes in (0, 1, 3):
            tables = enumerate_paths(none, num_nodes, 2, kind)
            assert [table.shape for table in tables] == [(0, 2), (0, 3)]
            assert path_edges(tables[1], none, num_nodes).shape == (0, 2)
            assert path_distances(tables[1], none, torch.tensor([0, num_nodes])).shape == (0, 3)
