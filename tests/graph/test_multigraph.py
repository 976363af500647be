"""Multigraphs up to isomorphism, counted as orbits of set partitions and by networkx."""

from __future__ import annotations

from itertools import permutations

import networkx as nx
import pytest

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import Multigraph, cyclic_patterns, multigraph, multigraphs
from gnnlab.graph.multigraph import canonical

BELL = (1, 1, 2, 5, 15)


def partitions(size: int) -> list[tuple[int, ...]]:
    strings: list[tuple[int, ...]] = [()]
    for _ in range(size):
        strings = [(*s, block) for s in strings for block in range(max(s, default=-1) + 2)]
    return strings


def orbits(degree: int, outputs: int) -> set[tuple[int, ...]]:
    """Set partitions of marks and ends of edges, up to the order of the edges."""
    found = set()
    for string in partitions(outputs + 2 * degree):
        marks, ends = string[:outputs], string[outputs:]
        edges = [ends[2 * i : 2 * i + 2] for i in range(degree)]
        forms = []
        for order in permutations(edges):
            numbers: dict[int, int] = {}
            flat = (*marks, *(end for edge in order for end in edge))
            forms.append(tuple(numbers.setdefault(v, len(numbers)) for v in flat))
        found.add(min(forms))
    return found


def test_the_basis_has_the_known_size() -> None:
    assert len(multigraphs(0, 2)) == BELL[2] == 2
    assert len(multigraphs(1, 2)) == BELL[4] == 15
    assert len(multigraphs(1, 2, loops=False)) == BELL[4] - BELL[3] == 10
    assert len(multigraphs(1, 0)) == BELL[2] == 2


@pytest.mark.parametrize("outputs", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_as_many_as_orbits_of_partitions(degree: int, outputs: int) -> None:
    assert len(multigraphs(degree, outputs)) == len(orbits(degree, outputs))


def test_without_loops_and_parallel_edges() -> None:
    every = multigraphs(3, 1)
    simple = {g for g in every if all(a != b for a, b in g.edges) and len(set(g.edges)) == 3}
    assert set(multigraphs(3, 1, loops=False, parallel=False)) == simple
    whole = {g for g in every if nx.is_connected(nx.Graph([*g.edges, *((v, v) for v in range(g.vertices))]))}
    assert set(multigraphs(3, 1, connected=True)) == whole


def test_simple_connected_graphs_are_those_of_the_atlas() -> None:
    for edges in range(1, 7):
        found = multigraphs(edges, 0, directed=False, loops=False, parallel=False, connected=True)
        atlas = [g for g in nx.graph_atlas_g() if g.size() == edges and len(g) > 0 and nx.is_connected(g)]
        assert len(found) == len(atlas)
        for graph in found:
            assert sum(nx.is_isomorphic(nx.Graph(graph.edges), other) for other in atlas) == 1


def test_canonical_forms_are_the_same_for_isomorphic_graphs() -> None:
    for graph in multigraphs(3, 2)[::60]:
        for order in permutations(range(graph.vertices)):
            edges = tuple((order[a], order[b]) for a, b in reversed(graph.edges))
            assert canonical(Multigraph(graph.vertices, edges, tuple(order[m] for m in graph.marked))) == graph


def test_cyclic_patterns_are_the_orbits_of_two_connected_graphs() -> None:
    pairs, nodes = cyclic_patterns(6)
    expected_pairs = expected_nodes = 0
    for graph in nx.graph_atlas_g():
        if not (3 <= graph.size() <= 6 and len(graph) > 2 and nx.is_biconnected(graph)):
            continue
        maps = list(nx.isomorphism.GraphMatcher(graph, graph).isomorphisms_iter())
        arcs = [*graph.edges, *(edge[::-1] for edge in graph.edges)]
        expected_pairs += len({min((m[a], m[b]) for m in maps) for a, b in arcs})
        expected_nodes += len({min(m[v] for m in maps) for v in graph})
    assert (len(pairs), len(nodes)) == (expected_pairs, expected_nodes) == (16, 12)
    for pattern, place in nodes:
        (centre,) = pattern.marked
        closed = nx.Graph([*pairs[place].edges, pairs[place].marked])
        rooted = nx.Graph(pattern.edges)
        closed.add_node(pairs[place].marked[0], root=True)
        rooted.add_node(centre, root=True)
        assert nx.is_isomorphic(closed, rooted, node_match=lambda a, b: a.get("root") == b.get("root"))


def test_says_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="must not be negative"):
        multigraphs(-1)
    with pytest.raises(BudgetError, match="0 edges with 12 marks"):
        multigraphs(0, 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multigraph, "_MOST", 30)
        with pytest.raises(BudgetError, match="more than 30 multigraphs of 1 edges with 3 marks"):
            multigraphs(2, 3)
