"""What refinements are known to tell apart, and what not: named pairs, BREC, strongly regular graphs."""

from __future__ import annotations

import networkx as nx
import pytest
import torch

from gnnlab.data import GraphStore, load_dataset
from gnnlab.graph import PathWL, SubgraphWL, TupleWL, colour_refinement, graph_classes, graph_colours

SUBGRAPH = ("swl-vs", "swl-sv", "pswl-vs", "pswl-sv", "gswl", "sswl")

SIMPLE, STRONG, CFI = 1, 2, 4
"""Categories of BREC."""

CFI_PAIRS = {
    (13, 47, 32, 38, 19, 59, 36, 40): SUBGRAPH[1:],
    (22,): ("swl-sv", "pswl-sv", "gswl", "sswl"),
    (27, 2, 10, 30, 15, 26, 4): ("sswl",),
}
"""Pairs of BREC's graphs of Cai, Fuerer and Immerman, and the classes that separate them."""


def twice(graph: nx.Graph) -> nx.Graph:
    return nx.disjoint_union(graph, graph)


def bicyclopentyl() -> nx.Graph:
    graph = twice(nx.cycle_graph(5))
    graph.add_edge(0, 5)
    return graph


def decalin() -> nx.Graph:
    graph = nx.cycle_graph(10)
    graph.add_edge(0, 5)
    return graph


def shrikhande() -> nx.Graph:
    steps = [(0, 1), (1, 0), (1, 1), (0, 3), (3, 0), (3, 3)]
    graph = nx.Graph()
    graph.add_edges_from(((a, b), ((a + c) % 4, (b + d) % 4)) for a in range(4) for b in range(4) for c, d in steps)
    return graph


def csl(size: int, skip: int) -> nx.Graph:
    return nx.circulant_graph(size, [1, skip])


PAIRS = {
    "C6 and 2 C3": (nx.cycle_graph(6), twice(nx.cycle_graph(3))),
    "C8 and 2 C4": (nx.cycle_graph(8), twice(nx.cycle_graph(4))),
    "C10 and 2 C5": (nx.cycle_graph(10), twice(nx.cycle_graph(5))),
    "C7 and C3 + C4": (nx.cycle_graph(7), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(4))),
    "decalin and two rings": (decalin(), bicyclopentyl()),
    "K33 and prism": (nx.complete_bipartite_graph(3, 3), nx.circular_ladder_graph(3)),
    "CSL(11)": (csl(11, 2), csl(11, 3)),
    "CSL(41)": (csl(41, 2), csl(41, 3)),
    "Petersen and prism": (nx.petersen_graph(), nx.circular_ladder_graph(5)),
    "dodecahedron and Desargues": (nx.dodecahedral_graph(), nx.desargues_graph()),
}

ROOK = (nx.line_graph(nx.complete_bipartite_graph(4, 4)), shrikhande())


def apart(pair: tuple[nx.Graph, nx.Graph], method) -> bool:
    joined = nx.disjoint_union_all(pair)
    edges = torch.tensor(list(joined.to_directed().edges), dtype=torch.long).t()
    first, second = graph_classes(edges, torch.tensor([0, len(pair[0]), len(joined)]), method).tolist()
    return first != second


@pytest.mark.parametrize("name", PAIRS)
def test_every_subgraph_class_separates(name) -> None:
    assert not apart(PAIRS[name], "wl")
    assert not apart(PAIRS[name], "2-wl")
    for method in (*SUBGRAPH, "1,1-wl", "2-fwl", "2,1-wl", SubgraphWL(marking="distance")):
        assert apart(PAIRS[name], method), method


def test_nothing_within_three_wl_separates_rook_and_shrikhande() -> None:
    for method in ("wl", *SUBGRAPH, "2-fwl", "3-wl", "1,1-wl", "2,1-wl", "spd-wl", SubgraphWL(("uL", "vL"), hops=1)):
        assert not apart(ROOK, method), method
    for method in ("1,2-wl", "2,1-fwl", "3-fwl", TupleWL(1, 2, marking="distance")):
        assert apart(ROOK, method), method


def test_neighbourhoods_without_their_surroundings() -> None:
    """Graphs within one hop of a root: triangles are seen, longer cycles are not."""
    ego = SubgraphWL(("uL",), hops=1)
    assert apart(PAIRS["C6 and 2 C3"], ego)
    assert not apart(PAIRS["C8 and 2 C4"], ego)
    assert apart(PAIRS["C8 and 2 C4"], SubgraphWL(("uL",), hops=2))


@pytest.mark.parametrize(
    ("name", "shortest", "simple", "distances"),
    [
        ("C6 and 2 C3", 2, 3, 2),
        ("C8 and 2 C4", 3, 4, 3),
        ("C10 and 2 C5", 3, 5, 3),
        ("K33 and prism", 2, 3, 2),
        ("decalin and two rings", 3, 5, 3),
        ("CSL(11)", 2, 3, 2),
        ("Petersen and prism", 3, 4, 3),
        ("dodecahedron and Desargues", 3, 5, 3),
    ],
)
def test_length_of_paths_that_separate(name, shortest, simple, distances) -> None:
    for smallest, kind, told in (
        (shortest, "all_shortest", False),
        (simple, "simple", False),
        (distances, "simple", True),
    ):
        found = [apart(PAIRS[name], PathWL(k, kind, told, layered=True)) for k in range(1, smallest + 1)]
        assert found == [False] * (smallest - 1) + [True]


def test_paths_with_distances_separate_rook_and_shrikhande() -> None:
    assert not apart(ROOK, PathWL(4, "simple", layered=True))
    assert not apart(ROOK, PathWL(3, "simple", distances=True))
    assert apart(ROOK, PathWL(4, "simple", distances=True, layered=True))


@pytest.fixture(scope="module")
def brec(mirror) -> GraphStore:
    return load_dataset("brec")


def separated(store: GraphStore, method) -> torch.Tensor:
    union = store[torch.arange(len(store))]
    first, second = graph_classes(union.edge_index, union.ptr, method).view(-1, 2).unbind(1)
    return first != second


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("method", "cfi"),
    [("swl-vs", 41), ("swl-sv", 50), ("pswl-vs", 49), ("pswl-sv", 50), ("gswl", 50), ("sswl", 57)],
)
def test_subgraph_classes_on_brec(brec, method, cfi) -> None:
    category = brec.column("category")[::2]
    small = brec.sizes("node")[::2] <= 130
    assert int((small & (category == CFI)).sum()) == 93
    found = separated(brec, method)
    assert torch.bincount(category[found & small], minlength=7).tolist() == [60, 50, 0, 100, cfi, 0, 0]
    first = int((category == CFI).nonzero()[0])
    for pairs, able in CFI_PAIRS.items():
        assert found[first + torch.tensor(pairs)].tolist() == [method in able] * len(pairs)


@pytest.mark.mirror
def test_colour_refinement_separates_nothing_of_brec_and_distances_83_and_236(brec) -> None:
    assert not separated(brec, "wl").any()
    found = separated(brec, "resistance-wl")
    assert torch.bincount(brec.column("category")[::2][found], minlength=7).tolist() == [60, 50, 0, 100, 26, 0, 0]
    found = separated(brec, "spd-wl")
    assert torch.bincount(brec.column("category")[::2][found], minlength=7).tolist() == [16, 14, 0, 41, 12, 0, 0]
    union = brec[torch.arange(len(brec))]
    exact = graph_colours(colour_refinement(union.edge_index, union.ptr), union.ptr)
    hashed = graph_classes(union.edge_index, union.ptr)
    together = torch.stack([exact, hashed]).unique(dim=1).size(1)
    assert together == exact.unique().numel() == hashed.unique().numel()


@pytest.mark.mirror
def test_paths_on_brec(brec) -> None:
    category = brec.column("category")[::2]
    few = brec.subset((brec.column("category") <= SIMPLE).nonzero().flatten())
    for kind, distances, counts in (("all_shortest", False, [55, 48]), ("simple", False, [60, 50])):
        found = separated(few, PathWL(5, kind, distances, layered=True))
        assert torch.bincount(category[: found.numel()][found], minlength=2).tolist() == counts


@pytest.mark.mirror
def test_two_labels_separate_strongly_regular_graphs(brec) -> None:
    chosen = (brec.column("category") == STRONG) & (brec.sizes("node") <= 30)
    strong = brec.subset(chosen.nonzero().flatten())
    assert separated(strong, "1,2-wl").tolist() == [True] * 35
    for method in ("1,1-wl", "2-fwl"):
        assert not separated(strong, method).any()


@pytest.mark.mirror
def test_three_wl_on_brec(brec) -> None:
    small = brec.subset((brec.sizes("node") <= 63).nonzero().flatten())
    category = small.column("category")[::2]
    found = separated(small, "2-fwl")
    assert torch.bincount(category[found], minlength=7)[:4].tolist() == [60, 50, 0, 100]
    assert bool((found | ~separated(small, "sswl")).all())


@pytest.mark.mirror
@pytest.mark.slow
def test_folklore_test_on_all_of_brec(brec) -> None:
    found = separated(brec, "2-fwl")
    assert torch.bincount(brec.column("category")[::2][found], minlength=7).tolist() == [60, 50, 0, 100, 60, 0, 0]
