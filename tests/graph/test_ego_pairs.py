"""Ego graphs as tables: against networkx in integers, and what they tell apart."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import _lookup, ego_intersections, ego_vertices, multiset_codes
from gnnlab.testing.strategies import unions


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def csl(skip: int, nodes: int = 41) -> nx.Graph:
    return nx.circulant_graph(nodes, [1, skip])


def decalin() -> nx.Graph:
    return nx.Graph([*nx.cycle_graph(10).edges, (0, 5)])


def bicyclopentyl() -> nx.Graph:
    return nx.Graph([*nx.cycle_graph(5).edges, *nx.cycle_graph(range(5, 10)).edges, (0, 5)])


def shrikhande() -> nx.Graph:
    nodes = [(a, b) for a in range(4) for b in range(4)]
    steps = [(0, 1), (1, 0), (1, 1)]
    return nx.Graph([((a, b), ((a + x) % 4, (b + y) % 4)) for a, b in nodes for x, y in steps])


def rook() -> nx.Graph:
    return nx.line_graph(nx.complete_bipartite_graph(4, 4))


def two_triangles() -> nx.Graph:
    return nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))


PAIRS = {
    "hexagon": (nx.cycle_graph(6), two_triangles()),
    "decalin": (decalin(), bicyclopentyl()),
    "csl 2-3": (csl(2), csl(3)),
    "csl 3-4": (csl(3), csl(4)),
    "rook": (rook(), shrikhande()),
}


def node_code(edge_index: Tensor, ptr: Tensor, k: int) -> tuple[int, ...]:
    """Multiset, over the nodes, of the multisets of quadruples."""
    ego = ego_vertices(edge_index, ptr, k)
    items = torch.cat([ego.distance[:, None], ego.degrees], 1)
    return tuple(multiset_codes(items, ego.root, int(ptr[-1])).sort().values.tolist())


def edge_code(edge_index: Tensor, ptr: Tensor, k: int) -> tuple[int, ...]:
    """Multiset, over the edges, of the multisets of triples in the intersection of k hops; ends in any order."""
    shared = ego_intersections(edge_index, ptr, k)
    inside = shared.degree[:, k - 1] >= 0
    codes = [
        multiset_codes(torch.cat([d, shared.degree[:, k - 1 :]], 1)[inside], shared.edge[inside], shared.edges.size(1))
        for d in (shared.distance, shared.distance.flip(1))
    ]
    return tuple((codes[0] + codes[1]).sort().values.tolist())


CODES = {"node": node_code, "edge": edge_code}


def vertices_by_networkx(graph: nx.Graph, k: int) -> list[list[int]]:
    rows = []
    for root in sorted(graph):
        ego = nx.ego_graph(graph, root, radius=k)
        distance = nx.single_source_shortest_path_length(ego, root)
        for vertex in sorted(ego):
            relative = Counter(distance[other] - distance[vertex] for other in ego[vertex])
            rows.append([root, vertex, distance[vertex], relative[-1], relative[0], relative[1]])
    return rows


def intersections_by_networkx(graph: nx.Graph, k: int) -> list[list[int]]:
    rows = []
    for edge, (a, b) in enumerate(sorted((min(ends), max(ends)) for ends in graph.edges)):
        from_a, from_b = (nx.single_source_shortest_path_length(graph, end, cutoff=k) for end in (a, b))
        shared = [
            graph.subgraph(set(nx.ego_graph(graph, a, j)) & set(nx.ego_graph(graph, b, j))) for j in range(1, k + 1)
        ]
        for vertex in sorted(set(from_a) & set(from_b)):
            degrees = [part.degree(vertex) if vertex in part else -1 for part in shared]
            rows.append([edge, vertex, from_a[vertex], from_b[vertex], *degrees])
    return rows


def simple(batch) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(range(batch.num_nodes))
    graph.add_edges_from((a, b) for a, b in batch.edge_index.t().tolist() if a != b)
    return graph


@given(batch=unions(max_nodes=9, max_edges=24), k=st.integers(0, 3), visits=st.sampled_from([3, 1 << 22]))
def test_any_union_matches_networkx(batch, k: int, visits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lookup, "_VISITS", visits)
        ego = ego_vertices(batch.edge_index, batch.ptr, k)
        table = torch.cat([ego.root[:, None], ego.vertex[:, None], ego.distance[:, None], ego.degrees], 1)
        assert table.tolist() == vertices_by_networkx(simple(batch), k)
        if k == 0:
            return
        shared = ego_intersections(batch.edge_index, batch.ptr, k)
        table = torch.cat([shared.edge[:, None], shared.vertex[:, None], shared.distance, shared.degree], 1)
        assert table.tolist() == intersections_by_networkx(simple(batch), k)


def test_hubs_are_looked_at_from_their_ego_graphs() -> None:
    star = nx.star_graph(30_000)
    edge_index, ptr = tensors(star)
    shared = ego_intersections(edge_index, ptr, 1)  # 30,000^2 candidates from the side of the hub
    assert shared.degree.flatten().tolist() == [1] * 60_000
    ego = ego_vertices(edge_index, ptr, 1)
    assert ego.degrees.sum(0).tolist() == [60_000, 0, 60_000]


@pytest.mark.parametrize(
    ("pair", "k", "node", "edge"),
    [
        ("hexagon", 1, True, True),
        ("decalin", 1, False, False),
        ("decalin", 2, True, True),
        ("csl 2-3", 1, True, True),
        ("csl 3-4", 1, False, False),
        ("csl 3-4", 2, True, True),
        ("rook", 1, False, True),
    ],
)
def test_pairs_1wl_cannot_tell_apart(pair: str, k: int, node: bool, edge: bool) -> None:
    first, second = (tensors(graph) for graph in PAIRS[pair])
    for level, differ in (("node", node), ("edge", edge)):
        assert (CODES[level](*first, k) != CODES[level](*second, k)) == differ
        copy = first[0].new_tensor(
            torch.randperm(int(first[1][-1]), generator=torch.Generator().manual_seed(1)).tolist()
        )
        assert CODES[level](copy[first[0]], first[1], k) == CODES[level](*first, k)


def test_rook_and_shrikhande_by_hand() -> None:
    for graph, degree in ((rook(), 3), (shrikhande(), 2)):
        ego = ego_vertices(*tensors(graph), 1)
        rows = Counter(map(tuple, torch.cat([ego.distance[:, None], ego.degrees], 1).tolist()))
        assert rows == {(0, 0, 0, 6): 16, (1, 1, 2, 0): 96}
        shared = ego_intersections(*tensors(graph), 1)
        common = (shared.distance == 1).all(1)
        assert shared.degree[common].unique().tolist() == [degree]


def test_strongly_regular_graphs(mirror) -> None:
    graphs = [tensors(graph) for graph in nx.read_graph6(mirror / "expressiveness" / "sr" / "sr251256.g6")]
    assert len(graphs) == 15
    classes = {(level, k): len({CODES[level](*graph, k) for graph in graphs}) for level in CODES for k in (1, 2)}
    assert classes == {("node", 1): 1, ("edge", 1): 15, ("node", 2): 1, ("edge", 2): 1}


def test_codes_do_not_depend_on_numbering() -> None:
    generator = torch.Generator().manual_seed(0)
    for seed in range(100):
        edge_index, ptr = tensors(nx.gnm_random_graph(12, 20, seed=seed))
        order = torch.randperm(12, generator=generator)
        for code in CODES.values():
            assert code(edge_index, ptr, 2) == code(order[edge_index], ptr, 2)


def test_codes_are_those_of_multisets() -> None:
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(0, 3, (4000, 2), generator=generator)
    owner = torch.randint(0, 1500, (4000,), generator=generator)
    sets = [Counter() for _ in range(1500)]
    for row, whose in zip(items.tolist(), owner.tolist(), strict=True):
        sets[whose][tuple(row)] += 1
    codes = multiset_codes(items, owner, 1500).tolist()
    named = {frozenset(kind.items()): code for kind, code in zip(sets, codes, strict=True)}
    assert all(named[frozenset(kind.items())] == code for kind, code in zip(sets, codes, strict=True))
    assert len(set(named.values())) == len(named)


def test_too_much_is_refused() -> None:
    edge_index, ptr = tensors(nx.complete_graph(20))
    with pytest.raises(BudgetError, match="max_pairs"):
        ego_vertices(edge_index, ptr, 1, max_pairs=100)
    with pytest.raises(BudgetError, match="190 edges have 3,800 candidates"):
        ego_intersections(edge_index, ptr, 1, max_pairs=500)
    with pytest.raises(ConfigError, match="k must be"):
        ego_intersections(edge_index, ptr, 0)
