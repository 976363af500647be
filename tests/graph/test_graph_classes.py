"""Refinement of pairs, tuples and paths against its definition in plain Python, and what must hold on any union."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable
from fractions import Fraction
from itertools import product

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import (
    DistanceWL,
    PathWL,
    SubgraphWL,
    TupleWL,
    colour_refinement,
    enumerate_paths,
    graph_classes,
    graph_colours,
    shortest_path_distances,
)
from gnnlab.graph.graph_classes import REFINEMENTS, refinement_of
from gnnlab.testing.strategies import unions

AGGREGATIONS = ("uu", "vv", "vu", "uL", "vL", "uG", "vG")


class Slow:
    """One graph of a union: colours of its nodes, coloured edges into every node, distances."""

    def __init__(self, union: Batch, graph: int, x: list[int], labels: list[int]) -> None:
        first, last = union.ptr[graph : graph + 2].tolist()
        self.nodes = range(last - first)
        self.x = x[first:last]
        self.edges = [
            (source - first, target - first, label)
            for (source, target), label in zip(union.edge_index.t().tolist(), labels)
            if first <= source < last
        ]
        edges = torch.tensor([edge[:2] for edge in self.edges], dtype=torch.long).reshape(-1, 2).t()
        self.edge_index = edges
        self.hops = shortest_path_distances(edges, torch.tensor([0, last - first])).tolist()

    def between(self, first: int, second: int) -> tuple:
        return first == second, tuple(sorted(label for *ends, label in self.edges if ends == [first, second]))

    def into(self, node: int) -> list[tuple[int, int]]:
        return [(source, label) for source, target, label in self.edges if target == node]


def bag(values: Iterable[Hashable]) -> tuple:
    return tuple(sorted(values))


def slow_classes(
    graphs: list[Slow],
    start: Callable[[Slow], dict],
    refine: Callable[[Slow, dict], dict],
    pool: Callable[[Slow, dict], Hashable],
    rounds: int | None,
) -> list[Hashable]:
    """Colours are named from nested tuples, the same in all graphs, until the classes of all of them are stable."""
    colours, count = [start(graph) for graph in graphs], 0
    while True:
        names: dict[Hashable, int] = {}
        colours = [{row: names.setdefault(c, len(names)) for row, c in each.items()} for each in colours]
        if (rounds is None and len(names) == count) or rounds == 0:
            return [pool(graph, each) for graph, each in zip(graphs, colours)]
        count, rounds = len(names), None if rounds is None else rounds - 1
        colours = [refine(graph, each) for graph, each in zip(graphs, colours)]


def slow_subgraph(method: SubgraphWL, graphs: list[Slow], rounds: int | None) -> list[Hashable]:
    def start(g: Slow) -> dict:
        limit = len(g.nodes) if method.hops is None else method.hops
        kept = [p for p in product(g.nodes, g.nodes) if method.hops is None or 0 <= g.hops[p[0]][p[1]] <= limit]
        mark = {"node": lambda u, v: u == v, "distance": lambda u, v: g.hops[u][v], "none": lambda u, v: 0}
        marks = {pair: mark[method.marking](*pair) for pair in kept}
        return {(u, v): (g.x[v], marks[u, v]) for u, v in kept}

    def read(g: Slow, c: dict, name: str, u: int, v: int) -> Hashable:
        return {
            "uu": lambda: c[u, u],
            "vv": lambda: c[v, v],
            "vu": lambda: c.get((v, u), -1),
            "uL": lambda: bag((c[u, w], label) for w, label in g.into(v) if (u, w) in c),
            "vL": lambda: bag((c[w, v], label) for w, label in g.into(u) if (w, v) in c),
            "uG": lambda: bag(c[u, w] for w in g.nodes if (u, w) in c),
            "vG": lambda: bag(c[w, v] for w in g.nodes if (w, v) in c),
        }[name]()

    def refine(g: Slow, c: dict) -> dict:
        return {(u, v): (c[u, v], *(read(g, c, name, u, v) for name in method.aggregations)) for u, v in c}

    def pool(g: Slow, c: dict) -> Hashable:
        first = 0 if method.pooling == "vs" else 1
        return bag(bag(colour for pair, colour in c.items() if pair[first] == node) for node in g.nodes)

    return slow_classes(graphs, start, refine, pool, rounds)


def slow_tuples(method: TupleWL, graphs: list[Slow], rounds: int | None) -> list[Hashable]:
    places = range(method.k)

    def node(g: Slow, v: int, s: tuple) -> tuple:
        return g.x[v], tuple(v == each if method.marking == "node" else g.hops[each][v] for each in s)

    def start(g: Slow) -> dict:
        rows = product(product(g.nodes, repeat=method.l), product(g.nodes, repeat=method.k))
        if method.k == 1:
            return {(s, t): node(g, t[0], s) for s, t in rows}
        types = [[g.between(a, b) for b in g.nodes] for a in g.nodes]
        return {
            (s, t): (tuple(node(g, v, s) for v in t), tuple(types[t[i]][t[j]] for i in places for j in places))
            for s, t in rows
        }

    def heard(g: Slow, c: dict, s: tuple, t: tuple) -> Hashable:
        if method.k == 1:
            return bag((c[s, (u,)], label) for u, label in g.into(t[0]))
        put = [[c[s, (*t[:i], w, *t[i + 1 :])] for i in places] for w in g.nodes]
        return bag(map(tuple, put)) if method.folklore else tuple(bag(each[i] for each in put) for i in places)

    def refine(g: Slow, c: dict) -> dict:
        return {(s, t): (colour, heard(g, c, s, t)) for (s, t), colour in c.items()}

    def pool(g: Slow, c: dict) -> Hashable:
        copies: dict[tuple, list] = {}
        for (s, _), colour in c.items():
            copies.setdefault(s, []).append(colour)
        return len(g.nodes), bag(map(bag, copies.values()))

    return slow_classes(graphs, start, refine, pool, rounds)


def slow_nodes(graphs: list[Slow], heard: Callable[[Slow, dict, int], Hashable], rounds: int | None) -> list[Hashable]:
    def refine(g: Slow, c: dict) -> dict:
        return {v: (c[v], heard(g, c, v)) for v in g.nodes}

    return slow_classes(graphs, lambda g: dict(enumerate(g.x)), refine, lambda g, c: bag(c.values()), rounds)


def slow_distance(method: DistanceWL, graphs: list[Slow], rounds: int | None) -> list[Hashable]:
    tables = {id(g): g.hops if method.distance == "hops" else resistances(g) for g in graphs}
    return slow_nodes(graphs, lambda g, c, v: bag((c[u], tables[id(g)][u][v]) for u in g.nodes), rounds)


def resistances(g: Slow) -> list[list]:
    """By removing nodes one after the other (star-mesh transform), in fractions; -1 between components."""
    table = [[Fraction(-1)] * len(g.nodes) for _ in g.nodes]
    for first, second in product(g.nodes, g.nodes):
        weight = [[Fraction(0)] * len(g.nodes) for _ in g.nodes]
        for source, target, _ in g.edges:
            if source != target:
                weight[source][target] += Fraction(1, 2)
                weight[target][source] += Fraction(1, 2)
        for node in g.nodes:
            total = sum(weight[node])
            if node in (first, second) or not total:
                continue
            for a, b in product(g.nodes, g.nodes):
                if a != b and node not in (a, b):
                    weight[a][b] += weight[a][node] * weight[node][b] / total
            for other in g.nodes:
                weight[node][other] = weight[other][node] = Fraction(0)
        if first == second:
            table[first][second] = Fraction(0)
        elif weight[first][second]:
            table[first][second] = 1 / weight[first][second]
    return table


def slow_path(method: PathWL, graphs: list[Slow], rounds: int | None) -> list[Hashable]:
    def heard(g: Slow, c: dict, v: int) -> Hashable:
        tables = enumerate_paths(g.edge_index, len(g.nodes), method.length, method.kind)
        paths = [p for table in tables for p in table.tolist() if p[0] == v]
        return bag(tuple((c[w], g.hops[v][w] if method.distances else 0) for w in p) for p in paths)

    return slow_nodes(graphs, heard, rounds)


SLOW = {SubgraphWL: slow_subgraph, TupleWL: slow_tuples, DistanceWL: slow_distance, PathWL: slow_path}

METHODS = [
    TupleWL(1),
    TupleWL(1, 1),
    TupleWL(1, 2),
    TupleWL(1, 1, marking="distance"),
    TupleWL(2),
    TupleWL(2, 1),
    TupleWL(3),
    TupleWL(2, folklore=True),
    TupleWL(2, 1, folklore=True),
    TupleWL(3, folklore=True),
    DistanceWL(),
    DistanceWL("resistance"),
    PathWL(2),
    PathWL(3, "simple"),
    PathWL(3, "simple", distances=True),
]


def partition(keys: Iterable[Hashable]) -> set[frozenset[int]]:
    members: dict[Hashable, set[int]] = {}
    for place, key in enumerate(keys):
        members.setdefault(key, set()).add(place)
    return {frozenset(each) for each in members.values()}


def check_definition(method, union: Batch, rounds: int | None, kinds: int) -> None:
    nodes, edges = int(union.ptr[-1]), union.edge_index.size(1)
    x, labels = torch.arange(nodes) % kinds, torch.arange(edges) % kinds
    graphs = [Slow(union, graph, x.tolist(), labels.tolist()) for graph in range(union.ptr.numel() - 1)]
    fast = graph_classes(union.edge_index, union.ptr, method, x, labels, rounds)
    assert partition(fast.tolist()) == partition(SLOW[type(method)](method, graphs, rounds))
    assert sorted(set(fast.tolist())) == list(range(len(set(fast.tolist()))))


@pytest.mark.parametrize("method", METHODS, ids=str)
@settings(max_examples=15)
@given(unions(max_nodes=4, max_edges=8), st.integers(0, 2) | st.none(), st.integers(1, 2))
def test_equals_the_definition(method, union, rounds, kinds) -> None:
    check_definition(method, union, rounds, kinds)


subgraph_methods = st.builds(
    SubgraphWL,
    st.lists(st.sampled_from(AGGREGATIONS), max_size=3).map(tuple),
    st.sampled_from(("vs", "sv")),
    st.sampled_from(("node", "distance")),
    st.integers(0, 3) | st.none(),
)


@settings(max_examples=100)
@given(subgraph_methods, unions(max_nodes=5, max_edges=8), st.integers(0, 2) | st.none(), st.integers(1, 2))
def test_subgraphs_equal_the_definition(method, union, rounds, kinds) -> None:
    check_definition(method, union, rounds, kinds)


def crowd(nodes: int, undirected: bool, count: int = 60) -> Batch:
    """Graphs with few nodes and edges: many are alike, and many differ in one respect only."""
    generator = torch.Generator().manual_seed(nodes)
    graphs = []
    for _ in range(count):
        edges = torch.randint(nodes, (2, nodes), generator=generator)
        edges = torch.cat([edges, edges.flip(0)], 1) if undirected else edges
        graphs.append(Data(edge_index=edges, num_nodes=nodes))
    return Batch.from_data_list(graphs)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_many_graphs_equal_the_definition(method) -> None:
    for rounds, kinds, undirected in product((0, 1, None), (1, 2), (False, True)):
        check_definition(method, crowd(3, undirected, 40), rounds, kinds)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_many_subgraphs_equal_the_definition(aggregation) -> None:
    union = crowd(4, False)
    for pooling, marking, hops in product(("vs", "sv"), ("node", "distance", "none"), (None, 1)):
        check_definition(SubgraphWL((aggregation,), pooling, marking, hops), union, 1, 2)
        check_definition(SubgraphWL(("uL", aggregation), pooling, marking, hops), union, 2, 1)


@settings(max_examples=15)
@given(unions())
def test_wl_equals_refinement_by_sorting(union) -> None:
    exact = graph_colours(colour_refinement(union.edge_index, union.ptr), union.ptr)
    assert partition(graph_classes(union.edge_index, union.ptr).tolist()) == partition(exact.tolist())


@pytest.mark.parametrize("method", REFINEMENTS)
@settings(max_examples=5)
@given(unions(max_graphs=2, max_nodes=6), st.randoms(use_true_random=False))
def test_a_renumbered_graph_is_the_same(method, union, random) -> None:
    """Every graph of the union, and again with other numbers, the graphs in another order."""
    alone = union.to_data_list()
    copies = []
    for graph in reversed(alone):
        order = list(range(graph.num_nodes))
        random.shuffle(order)
        copy = graph.clone()
        copy.edge_index = torch.tensor(order, dtype=torch.long)[graph.edge_index]
        copies.append(copy)
    both = Batch.from_data_list([*alone, *copies])
    classes = graph_classes(both.edge_index, both.ptr, method)
    half = classes.numel() // 2
    assert torch.equal(classes[:half], classes[half:].flip(0))


WEAKER = [
    ("wl", "swl-vs"),
    ("swl-vs", "swl-sv"),
    ("swl-vs", "pswl-vs"),
    ("swl-sv", "pswl-sv"),
    ("pswl-vs", "pswl-sv"),
    ("pswl-sv", "gswl"),
    ("gswl", "sswl"),
    ("sswl", "2-fwl"),
    ("wl", "2-wl"),
    ("2-wl", "2-fwl"),
    ("2-fwl", "3-wl"),
    ("1,1-wl", "1,2-wl"),
    ("1,1-wl", "2,1-wl"),
    ("2,1-wl", "2,1-fwl"),
    ("2-fwl", "2,1-fwl"),
    ("wl", "spd-wl"),
    ("wl", "resistance-wl"),
    ("resistance-wl", "2-fwl"),
    ("spd-wl", "2-fwl"),
    ("wl", "path-wl"),
]

SAME = [("wl", "2-wl"), ("2-fwl", "3-wl"), ("swl-vs", "1,1-wl"), ("1,1-wl", "2,1-wl")]


def finer(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether graphs of one class of ``first`` share one of ``second``."""
    return int(torch.stack([first, second]).unique(dim=1).size(1)) == int(first.unique().numel())


def check_hierarchy(edge_index: torch.Tensor, ptr: torch.Tensor) -> dict[str, int]:
    classes = {name: graph_classes(edge_index, ptr, name) for name in REFINEMENTS}
    for weak, strong in WEAKER:
        assert finer(classes[strong], classes[weak]), (weak, strong)
    for first, second in SAME:
        assert finer(classes[first], classes[second]), (first, second)
    for aggregations in (("uL", "vL", "vv"), ("uL", "vL", "uu", "vu", "uG", "vG")):
        for pooling in ("vs", "sv"):
            same = graph_classes(edge_index, ptr, SubgraphWL(aggregations, pooling))
            assert finer(same, classes["sswl"]), aggregations
            assert finer(classes["sswl"], same), aggregations
    gswl = graph_classes(edge_index, ptr, SubgraphWL(("uL", "vG"), "sv"))
    assert finer(gswl, classes["gswl"])
    assert finer(classes["gswl"], gswl)
    for name in ("swl-vs", "swl-sv", "pswl-vs", "pswl-sv", "gswl", "sswl"):
        method = REFINEMENTS[name]
        marked = graph_classes(edge_index, ptr, SubgraphWL(method.aggregations, method.pooling, "distance"))
        assert finer(marked, classes[name]), name
        assert finer(classes[name], marked), name
    return {name: int(each.unique().numel()) for name, each in classes.items()}


@settings(max_examples=10)
@given(unions(max_graphs=6, undirected=True, simple=True, max_nodes=7, max_edges=9))
def test_hierarchy(union) -> None:
    check_hierarchy(union.edge_index, union.ptr)


def union_of(graphs: Iterable[nx.Graph]) -> tuple[torch.Tensor, torch.Tensor]:
    graphs = list(graphs)
    joined = nx.disjoint_union_all(graphs)
    edges = torch.tensor(list(joined.to_directed().edges), dtype=torch.long).t().reshape(2, -1)
    return edges, torch.tensor([0, *[len(graph) for graph in graphs]]).cumsum(0)


def test_hierarchy_on_all_graphs_of_up_to_six_nodes() -> None:
    """None of them are equal to the folklore test, whose smallest equal pair has 16 nodes."""
    graphs = [graph for graph in nx.graph_atlas_g() if len(graph) <= 6]
    counts = check_hierarchy(*union_of(graphs))
    assert counts["2-fwl"] == len(graphs) == 209
    edges, ptr = union_of(graphs)
    assert counts["wl"] == graph_colours(colour_refinement(edges, ptr), ptr).unique().numel() == 205


def test_all_graphs_of_up_to_seven_nodes() -> None:
    graphs = nx.graph_atlas_g()
    edges, ptr = union_of(graphs)
    assert graph_classes(edges, ptr, "2-fwl").unique().numel() == len(graphs)
    exact = graph_colours(colour_refinement(edges, ptr), ptr)
    assert partition(graph_classes(edges, ptr).tolist()) == partition(exact.tolist())


def test_chunks_and_blocks_do_not_matter(monkeypatch) -> None:
    graphs = [graph for graph in nx.graph_atlas_g() if len(graph) <= 5]
    edges, ptr = union_of(graphs)
    whole = {name: graph_classes(edges, ptr, name) for name in REFINEMENTS}
    monkeypatch.setattr(sys.modules["gnnlab.graph.graph_classes"], "_CHUNK", 60)
    monkeypatch.setattr("gnnlab.graph._refinement._CELLS", 7)
    monkeypatch.setattr("gnnlab.graph.tuple_wl._CELLS", 100)
    for name, classes in whole.items():
        assert torch.equal(graph_classes(edges, ptr, name), classes), name


def test_rounds_that_a_class_needs() -> None:
    """Paths of 8 and of 9 nodes of which one end is marked 4 hops away: as many rounds as hops."""
    edges, ptr = union_of([nx.path_graph(9), nx.path_graph(9)])
    x = torch.zeros(18, dtype=torch.long)
    x[[4, 13, 0, 17]] = torch.tensor([1, 1, 2, 2])
    assert graph_classes(edges, ptr, "wl", x).unique().numel() == 1
    x[17], x[10] = 0, 2
    found = [graph_classes(edges, ptr, "wl", x, iterations=t).unique().numel() for t in range(3)]
    assert found == [1, 2, 2]
    assert graph_classes(edges, ptr, PathWL(1), x, iterations=0).unique().numel() == 1


def test_rows() -> None:
    assert [refinement_of(name).rows(6) for name in ("wl", "sswl", "2-fwl", "1,2-wl", "3-wl", "2,2-wl")] == [
        6,
        36,
        36,
        216,
        216,
        1296,
    ]
    assert refinement_of("4,2-fwl") == TupleWL(4, 2, folklore=True)


@pytest.mark.parametrize("method", REFINEMENTS)
def test_degenerate(method) -> None:
    none = torch.zeros(2, 0, dtype=torch.long)
    assert graph_classes(none, torch.tensor([0]), method).shape == (0,)
    few = graph_classes(none, torch.tensor([0, 0, 1, 1, 2, 4]), method)
    assert partition(few.tolist()) == {frozenset({0, 2}), frozenset({1, 3}), frozenset({4})}
    loop = graph_classes(torch.tensor([[1], [1]]), torch.tensor([0, 1, 2]), method)
    # Neither distances nor paths see a self-loop.
    assert loop.unique().numel() == (1 if method in ("spd-wl", "resistance-wl", "path-wl") else 2)


def test_large_graphs() -> None:
    ring = torch.arange(50_000)
    ring = torch.stack([ring, (ring + 1) % 50_000])
    edges = torch.cat([ring, ring.flip(0)], 1)
    ptr = torch.tensor([0, 50_000])
    assert graph_classes(edges, ptr).tolist() == [0]
    with pytest.raises(BudgetError, match=r"2,500,000,000 colours.*111.8 GiB") as error:
        graph_classes(edges, ptr, "sswl")
    assert "max_rows" in str(error.value)


def test_bad_input() -> None:
    edge, ptr = torch.tensor([[0], [1]]), torch.tensor([0, 2])
    with pytest.raises(ConfigError, match="did you mean 'sswl'"):
        graph_classes(edge, ptr, "swwl")
    with pytest.raises(ConfigError, match="k must be at least 1"):
        graph_classes(edge, ptr, "0,2-wl")
    with pytest.raises(ConfigError, match="iterations"):
        graph_classes(edge, ptr, iterations=-1)
    with pytest.raises(GraphError, match=r"x must have shape \[2\]"):
        graph_classes(edge, ptr, x=torch.zeros(3))
    with pytest.raises(GraphError, match="not numbers"):
        graph_classes(edge, ptr, edge_colour=torch.tensor([float("nan")]))
    for bad, message in (
        (lambda: SubgraphWL(("uK",)), "known: uG, uL, uu"),
        (lambda: SubgraphWL(pooling="sw"), "unknown pooling 'sw'"),
        (lambda: SubgraphWL(marking="nodes"), "did you mean 'node'"),
        (lambda: SubgraphWL(hops=-1), "hops must be at least 0"),
        (lambda: TupleWL(0), "k must be at least 1"),
        (lambda: TupleWL(1, -1), "l at least 0"),
        (lambda: TupleWL(marking="hops"), "unknown marking 'hops'"),
        (lambda: DistanceWL("resistances"), "did you mean 'resistance'"),
        (lambda: PathWL(0), "length must be at least 1"),
        (lambda: PathWL(kind="all"), "unknown kind 'all'"),
    ):
        with pytest.raises(ConfigError, match=message):
            bad()
