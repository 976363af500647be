"""Colour refinement against the definition in plain Python, and against what it is known (not) to separate."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import (
    colour_hashes,
    colour_refinement,
    graph_colours,
    refine_with_pairs,
    shortest_path_distances,
)
from gnnlab.graph._colours import multiset_classes, row_classes
from gnnlab.ops import ragged_arange
from gnnlab.testing.strategies import unions


def partition(colours: torch.Tensor) -> set[frozenset[int]]:
    members: dict[int, set[int]] = {}
    for node, colour in enumerate(colours.tolist()):
        members.setdefault(colour, set()).add(node)
    return {frozenset(each) for each in members.values()}


def slow_colours(edge_index, start: list, labels: list, rounds: int | None) -> torch.Tensor:
    """Nested tuples, compared as they are."""
    colours = list(start)
    edges = list(zip(edge_index[0].tolist(), edge_index[1].tolist(), labels))
    for _ in range(len(colours) if rounds is None else rounds):
        heard = [[] for _ in colours]
        for source, target, label in edges:
            heard[target].append((colours[source], label))
        refined = [(colour, tuple(sorted(bag))) for colour, bag in zip(colours, heard)]
        names = {key: number for number, key in enumerate(sorted(set(refined)))}
        colours = [names[key] for key in refined]
    return torch.tensor(colours, dtype=torch.long)


def union_of(*graphs: nx.Graph) -> tuple[torch.Tensor, torch.Tensor]:
    joined = nx.disjoint_union_all(graphs)
    edges = torch.tensor(list(joined.to_directed().edges), dtype=torch.long).t().reshape(2, -1)
    return edges, torch.tensor([0, *[len(graph) for graph in graphs]]).cumsum(0)


@given(unions(), st.integers(0, 3) | st.none(), st.integers(1, 3))
def test_equals_the_definition(union, rounds, kinds) -> None:
    edge_index, ptr = union.edge_index, union.ptr
    start = torch.arange(int(ptr[-1])) % kinds
    labels = torch.arange(edge_index.size(1)) % kinds
    fast = colour_refinement(edge_index, ptr, start, iterations=rounds, edge_colour=labels)
    assert partition(fast) == partition(slow_colours(edge_index, start.tolist(), labels.tolist(), rounds))
    count = len(set(fast.tolist()))
    assert sorted(set(fast.tolist())) == list(range(count))


@given(unions(), st.randoms(use_true_random=False))
def test_follows_a_renumbering(union, random) -> None:
    nodes = int(union.ptr[-1])
    order = list(range(nodes))
    random.shuffle(order)
    new = torch.tensor(order, dtype=torch.long)
    ptr = torch.tensor([0, nodes])
    before = colour_refinement(union.edge_index, ptr)
    assert torch.equal(colour_refinement(new[union.edge_index], ptr)[new], before)
    hashes = colour_hashes(union.edge_index, nodes, 3)
    assert torch.equal(colour_hashes(new[union.edge_index], nodes, 3)[new], hashes)
    assert partition(hashes) == partition(colour_refinement(union.edge_index, ptr, iterations=3))


def test_hashes_do_not_depend_on_the_union() -> None:
    edges, ptr = union_of(nx.path_graph(5), nx.star_graph(3))
    alone = torch.cat([colour_hashes(union_of(g)[0], len(g), 2) for g in (nx.path_graph(5), nx.star_graph(3))])
    assert torch.equal(colour_hashes(edges, int(ptr[-1]), 2), alone)


@pytest.mark.parametrize("seed", range(3))
def test_networkx_agrees_on_graphs(seed) -> None:
    graphs = [nx.gnm_random_graph(8, 9, seed=20 * seed + i) for i in range(20)]
    classes = graph_colours(colour_refinement(*union_of(*graphs)), union_of(*graphs)[1])
    # More rounds than networkx needs to be stable; its first round hashes degrees.
    hashes = [nx.weisfeiler_lehman_graph_hash(graph, iterations=8, digest_size=32) for graph in graphs]
    expected = torch.tensor([sorted(set(hashes)).index(each) for each in hashes])
    assert partition(classes) == partition(expected)


def test_what_it_cannot_tell() -> None:
    pairs = [
        (nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))),
        (nx.circulant_graph(41, [1, 2]), nx.circulant_graph(41, [1, 3])),
    ]
    for pair in pairs:
        edges, ptr = union_of(*pair)
        assert len(set(graph_colours(colour_refinement(edges, ptr), ptr).tolist())) == 1


def test_distances_tell_a_hexagon_from_triangles_and_not_rook_from_shrikhande() -> None:
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    steps = [(0, 1), (1, 0), (1, 1), (0, 3), (3, 0), (3, 3)]
    shrikhande = nx.Graph()
    shrikhande.add_edges_from(
        ((a, b), ((a + c) % 4, (b + d) % 4)) for a in range(4) for b in range(4) for c, d in steps
    )
    triangles = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    for pair, classes in (((nx.cycle_graph(6), triangles), 2), ((rook, shrikhande), 1)):
        edges, ptr = union_of(*pair)
        table = shortest_path_distances(edges, ptr)
        size = table.size(1)
        second = torch.arange(int(ptr[-1])).repeat_interleave(size)
        first = ragged_arange(torch.full((second.numel() // size,), size)) + second // size * size
        colours = refine_with_pairs(torch.stack([first, second]), table.flatten(), ptr)
        assert len(set(graph_colours(colours, ptr).tolist())) == classes


def test_a_node_knows_itself() -> None:
    """Pairs of one colour: only the pair (v, v) and the colours to start from can tell nodes apart."""
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3)).t()
    once = refine_with_pairs(pairs, torch.zeros(9), torch.tensor([0, 3]), torch.tensor([0, 1, 1]))
    assert partition(once) == {frozenset({0}), frozenset({1, 2})}
    lone = refine_with_pairs(pairs[:, :1], torch.zeros(1), torch.tensor([0, 3]))
    assert partition(lone) == {frozenset({0}), frozenset({1, 2})}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=30))
def test_multisets(entries) -> None:
    owner = torch.tensor([each for each, _ in entries], dtype=torch.long)
    values = torch.tensor([each for _, each in entries], dtype=torch.long)
    bags = [tuple(sorted(value for who, value in entries if who == each)) for each in range(6)]
    expected = torch.tensor([sorted(set(bags)).index(bag) for bag in bags])
    assert partition(multiset_classes(values, owner, 6)) == partition(expected)


def test_rows_of_more_columns_than_a_word_holds() -> None:
    table = torch.randint(0, 2**40, (50, 4), generator=torch.Generator().manual_seed(0))
    table[25:] = table[:25]
    table[49, 3] += 1
    assert row_classes(table).unique().numel() == 26
    assert torch.equal(row_classes(table)[:24], row_classes(table)[25:49])


def test_degenerate() -> None:
    none = torch.zeros(2, 0, dtype=torch.long)
    assert colour_refinement(none, torch.tensor([0])).shape == (0,)
    assert colour_refinement(none, torch.tensor([0, 0, 2])).tolist() == [0, 0]
    assert graph_colours(torch.zeros(2, dtype=torch.long), torch.tensor([0, 0, 2, 2])).unique().numel() == 2
    assert colour_hashes(none, 0, 2).shape == (0,)


def test_bad_input() -> None:
    edge, ptr = torch.tensor([[0], [1]]), torch.tensor([0, 2])
    with pytest.raises(ConfigError, match="unknown method 'vl'"):
        colour_refinement(edge, ptr, method="vl")
    with pytest.raises(ConfigError, match="iterations"):
        colour_refinement(edge, ptr, iterations=-1)
    with pytest.raises(GraphError, match=r"x must have shape \[2\]"):
        colour_refinement(edge, ptr, torch.zeros(3))
    with pytest.raises(GraphError, match="not numbers"):
        colour_refinement(edge, ptr, edge_colour=torch.tensor([float("nan")]))
