"""Polynomials against sums over all maps, features against the general contraction, and what they tell apart."""

from __future__ import annotations

import random
import sys
from itertools import product

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import Multigraph, _lookup, cyclic_patterns, equivariant_polynomial, multigraphs, polynomial_entries
from gnnlab.graph.multigraph import canonical
from gnnlab.testing.strategies import unions

MODULE = sys.modules["gnnlab.graph.equivariant_polynomials"]
K4 = Multigraph(4, ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)))


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return edges.t().contiguous(), torch.tensor([0, graph.number_of_nodes()])


def adjacency(graph: nx.Graph) -> Tensor:
    return torch.from_numpy(nx.to_numpy_array(graph)).long()


def rook() -> nx.Graph:
    return nx.line_graph(nx.complete_bipartite_graph(4, 4))


def shrikhande() -> nx.Graph:
    nodes = [(a, b) for a in range(4) for b in range(4)]
    steps = [(0, 1), (1, 0), (1, 1)]
    return nx.Graph([((a, b), ((a + x) % 4, (b + y) % 4)) for a, b in nodes for x, y in steps])


def over_all_maps(pattern: Multigraph, matrix: Tensor) -> Tensor:
    """The definition, one map at a time."""
    n = matrix.size(0)
    maps = torch.tensor(list(product(range(n), repeat=pattern.vertices)), dtype=torch.long)
    maps = maps.reshape(n**pattern.vertices, pattern.vertices)
    weight = torch.ones(maps.size(0), dtype=matrix.dtype)
    for a, b in pattern.edges:
        weight = weight * matrix[maps[:, a], maps[:, b]]
    result = matrix.new_zeros((n,) * len(pattern.marked))
    place = torch.zeros(maps.size(0), dtype=torch.long)
    for mark in pattern.marked:
        place = place * n + maps[:, mark]
    return result.view(-1).index_add_(0, place, weight).view(result.shape)


def random_pattern(degree: int, outputs: int, most: int, rng: random.Random) -> Multigraph:
    string: list[int] = []
    for _ in range(outputs + 2 * degree):
        string.append(rng.randrange(min(max(string, default=-1) + 2, most)))
    ends = string[outputs:]
    edges = tuple((ends[2 * i], ends[2 * i + 1]) for i in range(degree))
    return Multigraph(max(string, default=-1) + 1, edges, tuple(string[:outputs]))


@pytest.mark.parametrize("outputs", [0, 1, 2])
def test_the_contraction_is_the_sum_over_all_maps(outputs: int) -> None:
    generator = torch.Generator().manual_seed(outputs)
    matrix = torch.randint(-3, 4, (5, 5), generator=generator)  # not symmetric, with a diagonal
    rng = random.Random(outputs)
    patterns = [pattern for degree in range(3) for pattern in multigraphs(degree, outputs)]
    patterns += rng.sample(multigraphs(3, outputs), k=25)
    patterns += [random_pattern(4, outputs, 7, rng) for _ in range(30)]
    for pattern in patterns:
        assert torch.equal(equivariant_polynomial(pattern, matrix), over_all_maps(pattern, matrix)), pattern


def test_equivariance_in_integers() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randint(-3, 4, (6, 6), generator=generator)
    order = torch.randperm(6, generator=generator)
    for outputs in (0, 1, 2):
        for pattern in (p for degree in range(3) for p in multigraphs(degree, outputs)):
            value = equivariant_polynomial(pattern, matrix)
            for axis in range(outputs):
                value = value.index_select(axis, order)
            assert torch.equal(equivariant_polynomial(pattern, matrix[order][:, order]), value)


def test_stacks_and_vertices_without_edges() -> None:
    stack = torch.randint(0, 3, (2, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    for pattern in multigraphs(2, 2)[::5]:
        values = equivariant_polynomial(pattern, stack)
        assert values.shape == (2, 3, 4, 4)
        assert torch.equal(values[1, 2], equivariant_polynomial(pattern, stack[1, 2]))
    assert int(equivariant_polynomial(Multigraph(3, (), ()), stack[0, 0])) == 64
    assert equivariant_polynomial(Multigraph(1, (), (0, 0)), stack[0]).tolist() == torch.eye(4).expand(3, 4, 4).tolist()


def test_rook_and_shrikhande() -> None:
    counts = {}
    for name, graph in (("rook", rook()), ("shrikhande", shrikhande())):
        matrix = adjacency(graph)
        cycles = [Multigraph(n, tuple((i, (i + 1) % n) for i in range(n))) for n in (3, 4, 5, 6)]
        chorded = Multigraph(4, ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3)))
        counts[name] = [int(equivariant_polynomial(p, matrix)) for p in (*cycles, chorded, K4)]
    assert counts["rook"] == [192, 1536, 7680, 47616, 384, 192]
    assert counts["shrikhande"] == [192, 1536, 7680, 47616, 384, 0]


def test_features_of_rook_and_shrikhande_differ_in_k4_alone() -> None:
    entries = []
    for graph in (rook(), shrikhande()):
        edge_index, ptr = tensors(graph)
        entries.append(polynomial_entries(edge_index, ptr, edge_index))
    patterns, _ = cyclic_patterns(6)
    closed = [canonical(p._replace(edges=(*p.edges, p.marked), marked=()), directed=False) for p in patterns]
    differ = [not torch.equal(a.sort().values, b.sort().values) for a, b in zip(*(e.t() for e in entries), strict=True)]
    assert differ == [graph == canonical(K4, directed=False) for graph in closed]


def test_strongly_regular_graphs(mirror) -> None:
    column = cyclic_patterns(6)[0].index(MODULE._K4)
    graphs = nx.read_graph6(mirror / "expressiveness" / "sr" / "sr251256.g6")
    totals, edges, nodes = set(), set(), set()
    for graph in graphs:
        edge_index, ptr = tensors(graph)
        counts = polynomial_entries(edge_index, ptr, edge_index)[:, column].long()
        totals.add(int(counts.sum()))
        edges.add(tuple(counts.sort().values.tolist()))
        per_node = [tuple(counts[edge_index[0] == node].sort().values.tolist()) for node in range(25)]
        nodes.add(tuple(sorted(per_node)))
    assert (len(totals), len(edges), len(nodes)) == (7, 9, 13)


@given(
    batch=unions(max_nodes=9, max_edges=30), dense=st.sampled_from([0, 5, 512]), visits=st.sampled_from([5, 1 << 22])
)
def test_any_union_matches_the_general_contraction(batch, dense: int, visits: int) -> None:
    n = batch.num_nodes
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n)).reshape(-1, 2).t()
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[batch.edge_index[0], batch.edge_index[1]] = 1
    matrix = torch.maximum(matrix, matrix.t()).fill_diagonal_(0)
    # Of a union it would also sum over maps into several graphs, but these patterns are connected at u and v.
    expected = torch.stack([equivariant_polynomial(p, matrix)[pairs[0], pairs[1]] for p in cyclic_patterns(6)[0]], 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "_DENSE", dense)
        patch.setattr(MODULE, "_CELLS", 100)
        patch.setattr(_lookup, "_VISITS", visits)
        entries = polynomial_entries(batch.edge_index, batch.ptr, pairs)
    assert entries.dtype == torch.float64
    assert torch.equal(entries, expected)


def test_lower_degrees_are_the_first_columns() -> None:
    edge_index, ptr = tensors(nx.gnm_random_graph(15, 40, seed=0))
    whole = polynomial_entries(edge_index, ptr, edge_index)
    for degree, columns in ((3, 1), (4, 2), (5, 6)):
        assert torch.equal(polynomial_entries(edge_index, ptr, edge_index, degree), whole[:, :columns])


def test_large_graphs() -> None:
    edge_index, ptr = tensors(nx.grid_2d_graph(40, 40))
    counts = polynomial_entries(edge_index, ptr, edge_index)
    matrix = torch.zeros(1600, 1600, dtype=torch.float64)
    matrix[edge_index[0], edge_index[1]] = 1
    cube = matrix @ matrix @ matrix
    assert torch.equal(counts[:, 1], cube[edge_index[0], edge_index[1]])
    assert torch.equal(counts[:, -1], (cube @ matrix @ matrix)[edge_index[0], edge_index[1]])


def test_what_is_too_much() -> None:
    edge_index, ptr = tensors(nx.star_graph(600))
    with pytest.raises(BudgetError, match="a product of sparse matrices has 360,600 terms"):
        polynomial_entries(edge_index, ptr, edge_index, degree=5, max_terms=10_000)
    edge_index, ptr = tensors(nx.complete_graph(30))
    with pytest.raises(BudgetError, match="435 pairs have 12,615 candidates"):
        polynomial_entries(edge_index, ptr, edge_index, max_terms=10_000)
    with pytest.raises(BudgetError, match="a pattern of lower tree-width"):
        equivariant_polynomial(K4, torch.ones(300, 300), max_entries=10**6)


def test_says_what_is_wrong() -> None:
    edge_index, ptr = tensors(nx.path_graph(3))
    for degree in (2, 7):
        with pytest.raises(ConfigError, match="degree must be 3 to 6"):
            polynomial_entries(edge_index, ptr, edge_index, degree)
    with pytest.raises(GraphError, match="outside"):
        polynomial_entries(edge_index, ptr, edge_index + 1)
    with pytest.raises(GraphError, match="n, n"):
        equivariant_polynomial(K4, torch.ones(3, 4))
