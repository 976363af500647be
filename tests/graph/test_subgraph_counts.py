"""Subgraph counts against the matcher of networkx, and the published counts of strongly regular graphs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import GraphMatcher
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import _matching, subgraph_counts
from gnnlab.graph._pattern import matching_order, pattern_of
from gnnlab.testing.strategies import unions

PATTERNS = (
    "cycle-3",
    "cycle-5",
    "star-3",
    "path-2",
    "path-4",
    "clique-4",
    "chordal-square",
    "paw",
    "house",
    "bowtie",
    "0-1 1-2 2-3 3-0 1-4",
)


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def union_of(graphs: list[nx.Graph]) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor([0, *(graph.number_of_nodes() for graph in graphs)])
    return tensors(nx.disjoint_union_all(graphs))[0], sizes.cumsum(0)


def simple(edge_index: Tensor, num_nodes: int) -> nx.Graph:
    graph = nx.empty_graph(num_nodes)
    graph.add_edges_from((u, v) for u, v in edge_index.t().tolist() if u != v)
    return graph


def maps(graph: nx.Graph, pattern: str, induced: bool) -> list[dict[int, int]]:
    """Every map of the vertices of the pattern, symmetric ones too."""
    matcher = GraphMatcher(graph, nx.Graph(pattern_of(pattern).edges))
    found = matcher.subgraph_isomorphisms_iter() if induced else matcher.subgraph_monomorphisms_iter()
    return [{vertex: node for node, vertex in match.items()} for match in found]


def rook() -> nx.Graph:
    return nx.convert_node_labels_to_integers(nx.line_graph(nx.complete_bipartite_graph(4, 4)))


def shrikhande() -> nx.Graph:
    steps = [(0, 1), (1, 0), (1, 1)]
    cells = [(a, b) for a in range(4) for b in range(4)]
    edges = [((a, b), ((a + x) % 4, (b + y) % 4)) for a, b in cells for x, y in steps]
    return nx.convert_node_labels_to_integers(nx.Graph(edges))


@given(batch=unions(max_nodes=7, max_edges=16, max_graphs=2), pattern=st.sampled_from(PATTERNS), induced=st.booleans())
def test_any_union_matches_the_matcher_of_networkx(batch, pattern: str, induced: bool) -> None:
    shape = pattern_of(pattern)
    found = maps(simple(batch.edge_index, batch.num_nodes), pattern, induced)
    symmetries = len(shape.automorphisms)
    orbits = shape.node_orbits
    nodes = torch.zeros(batch.num_nodes, max(orbits) + 1, dtype=torch.long)
    for match in found:
        for vertex, node in match.items():
            nodes[node, orbits[vertex]] += 1
    call = {"pattern": pattern, "induced": induced}
    assert torch.equal(subgraph_counts(batch.edge_index, batch.ptr, **call), nodes // symmetries)
    for directed in (False, True):
        orbits = shape.arc_orbits(directed)
        expected = torch.zeros(batch.num_edges, max(orbits) + 1, dtype=torch.long)
        images = Counter(
            (match[a], match[b], orbit) for match in found for (a, b), orbit in zip(shape.arcs, orbits, strict=True)
        )
        for edge, (s, t) in enumerate(batch.edge_index.t().tolist()):
            for orbit in range(expected.size(1)):
                expected[edge, orbit] = images[s, t, orbit]
        counts = subgraph_counts(batch.edge_index, batch.ptr, level="edge", directed_orbits=directed, **call)
        assert torch.equal(counts, expected // symmetries)
    graphs = Counter(int(batch.batch[match[0]]) for match in found)
    counts = subgraph_counts(batch.edge_index, batch.ptr, level="graph", **call)
    assert counts[:, 0].tolist() == [graphs[g] // symmetries for g in range(batch.num_graphs)]


@pytest.mark.parametrize("budget", [1, 50])
def test_small_tables_change_nothing(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    edge_index, ptr = tensors(nx.gnp_random_graph(14, 0.4, seed=3))
    expected = subgraph_counts(edge_index, ptr, "house", level="edge")
    monkeypatch.setattr(_matching, "_BUDGET", budget)
    assert torch.equal(subgraph_counts(edge_index, ptr, "house", level="edge"), expected)


@given(
    batch=unions(max_nodes=7, max_edges=18, max_graphs=2),
    pattern=st.sampled_from([p for p in PATTERNS if p != "clique-4"]),
    level=st.sampled_from(["node", "edge", "graph"]),
    directed=st.booleans(),
)
def test_homomorphisms_combine_to_the_same(batch, pattern: str, level: str, directed: bool) -> None:
    call = {"pattern": pattern, "level": level, "directed_orbits": directed}
    listed = subgraph_counts(batch.edge_index, batch.ptr, method="enumerate", **call)
    assert torch.equal(subgraph_counts(batch.edge_index, batch.ptr, method="homomorphisms", **call), listed)


def test_where_there_are_too_many_to_list_auto_combines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(subgraph_counts.__wrapped__.__globals__, "_FEW", 10**6)
    edge_index, ptr = tensors(nx.star_graph(20_000))
    ends, middle = subgraph_counts(edge_index, ptr, "path-3").t()
    assert int(middle[0]) == 20_000 * 19_999 // 2
    assert ends[1:].tolist() == [19_999] * 20_000
    complete, ptr = tensors(nx.complete_graph(40))
    expected = 39 * 38 * 37 * 36 * 35 // 2
    assert subgraph_counts(complete, ptr, "cycle-6").flatten().tolist() == [expected] * 40
    with pytest.raises(BudgetError, match="float64 counts exactly"):
        subgraph_counts(*tensors(nx.star_graph(20_000)), "star-4", method="homomorphisms")


@pytest.mark.parametrize(
    "options", [{"pattern": "clique-4"}, {"pattern": "cycle-8"}, {"pattern": "path-3", "induced": True}]
)
def test_homomorphisms_do_not_always_serve(options: dict) -> None:
    edge_index, ptr = tensors(nx.complete_graph(5))
    with pytest.raises(ConfigError, match="tree-width two are not enough"):
        subgraph_counts(edge_index, ptr, method="homomorphisms", **options)
    listed = subgraph_counts(edge_index, ptr, method="enumerate", **options)
    assert torch.equal(subgraph_counts(edge_index, ptr, **options), listed)


def test_orbits_by_hand() -> None:
    assert pattern_of("star-3").node_orbits == (0, 1, 1, 1)
    assert pattern_of("path-4").node_orbits == (0, 1, 1, 0)
    assert max(pattern_of("path-4").arc_orbits(directed=False)) == 1
    assert max(pattern_of("path-4").arc_orbits(directed=True)) == 2
    assert len(pattern_of("cycle-6").automorphisms) == 12
    assert len(pattern_of("clique-5").automorphisms) == 120
    star, ptr = tensors(nx.star_graph(3))
    assert (
        subgraph_counts(star, ptr, "star-2", level="edge", directed_orbits=True).tolist() == [[2, 0]] * 3 + [[0, 2]] * 3
    )
    assert subgraph_counts(star, ptr, "star-2", level="edge").tolist() == [[2]] * 6


@pytest.mark.parametrize("pattern", [*PATTERNS, "cycle-8", "clique-6"])
def test_conditions_leave_one_match_per_copy(pattern: str) -> None:
    """Of the orders of |V| numbers, exactly one in |Aut| satisfies them."""
    shape, plan = pattern_of(pattern), matching_order(pattern_of(pattern))
    assert sorted(plan.order) == list(range(shape.size))
    complete, ptr = tensors(nx.complete_graph(shape.size))
    copies = int(subgraph_counts(complete, ptr, pattern, level="graph"))
    assert copies == torch.arange(1, shape.size + 1).prod() // len(shape.automorphisms)


def test_hubs_are_searched_from_the_hub() -> None:
    """The paths through a hub of 20,000 leaves are 2e8; there are no cycles, and few paths to look at."""
    edge_index, ptr = tensors(nx.star_graph(20_000))
    assert int(subgraph_counts(edge_index, ptr, "cycle-4", max_matches=200_000).sum()) == 0
    with pytest.raises(BudgetError, match=r"at least 200,0\d\d,000 partial matches of 3 of 3 .*max_matches=1,000,000"):
        subgraph_counts(edge_index, ptr, "path-3", method="enumerate", max_matches=10**6)
    with pytest.raises(BudgetError, match=r"at least 400,180,000 scalar products, more than max_matches=200,000,000"):
        subgraph_counts(edge_index, ptr, "cycle-5", method="homomorphisms")


def test_degenerate_unions() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for ptr in (torch.tensor([0]), torch.tensor([0, 0, 1, 4])):
        assert subgraph_counts(none, ptr, "path-3").shape == (int(ptr[-1]), 2)
        assert subgraph_counts(none, ptr, "path-3", level="edge").shape == (0, 1)
        assert subgraph_counts(none, ptr, "path-3", level="graph").shape == (ptr.numel() - 1, 1)
    loops = torch.tensor([[0, 1, 0], [0, 1, 1]])
    assert subgraph_counts(loops, torch.tensor([0, 2]), "path-2", level="edge").tolist() == [[0], [0], [1]]


def test_says_what_is_wrong() -> None:
    edge_index, ptr = tensors(nx.path_graph(3))
    for pattern, message in {
        "cycel-5": "unknown pattern 'cycel-5'.*cycle",
        "cycle-2": "unknown pattern",
        "cycle-9": "has 9 vertices",
        "0-1 2-3": "not connected",
        "0-0 0-1": "no simple graph",
        "0-1 1-3": "no simple graph",
        (): "no simple graph",
    }.items():
        with pytest.raises(ConfigError, match=f"(?s)subgraph_counts: .*{message}"):
            subgraph_counts(edge_index, ptr, pattern)
    with pytest.raises(ConfigError, match=r"(?s)unknown level 'nodes'.*node"):
        subgraph_counts(edge_index, ptr, "cycle-3", level="nodes")


def test_rook_and_shrikhande() -> None:
    edge_index, ptr = union_of([rook(), shrikhande()])
    for length, expected in {3: 32, 4: 60, 5: 288}.items():
        cycles = subgraph_counts(edge_index, ptr, f"cycle-{length}", level="graph")
        assert cycles.flatten().tolist() == [expected, expected]
    # 192 homomorphisms of a clique of four are 8 cliques.
    assert subgraph_counts(edge_index, ptr, "clique-4", level="graph").flatten().tolist() == [8, 0]


@pytest.mark.mirror
def test_cliques_of_the_strongly_regular_graphs_of_25_nodes(mirror: Path) -> None:
    graphs = nx.read_graph6(mirror / "expressiveness" / "sr" / "sr251256.g6")
    edge_index, ptr = union_of(graphs)
    whole = subgraph_counts(edge_index, ptr, "clique-4", level="graph").flatten().tolist()
    edges = subgraph_counts(edge_index, ptr, "clique-4", level="edge").flatten()
    assert len(graphs) == 15
    assert len(set(whole)) == 7
    source = edge_index[0]
    by_graph, by_node = [], []
    for begin, end in zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True):
        around = [tuple(sorted(edges[source == node].tolist())) for node in range(begin, end)]
        by_node.append(tuple(sorted(around)))
        by_graph.append(tuple(sorted(count for node in around for count in node)))
    assert len(set(by_graph)) == 9
    assert len(set(by_node)) == 13
