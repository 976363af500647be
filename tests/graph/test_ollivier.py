"""Ollivier-Ricci curvature: the values of small graphs, a linear program per edge, bounds, and both solvers."""

from __future__ import annotations

from importlib.util import find_spec

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import _transport, ollivier, ollivier_ricci_curvature
from gnnlab.graph._neighbours import Neighbours
from gnnlab.testing.strategies import graphs, unions


def edges_of(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


def by_linear_program(graph: nx.Graph, u: int, v: int, alpha: float) -> float:
    lengths = dict(nx.all_pairs_shortest_path_length(graph))

    def measure(x: int) -> dict[int, float]:
        around = {y: (1 - alpha) / graph.degree(x) for y in graph[x]}
        return around | ({x: alpha} if alpha else {})

    source, target = measure(u), measure(v)
    cost = [lengths[p][q] for p in source for q in target]
    rows = np.kron(np.eye(len(source)), np.ones(len(target)))
    columns = np.kron(np.ones(len(source)), np.eye(len(target)))
    masses = [*source.values(), *target.values()]
    return 1 - linprog(cost, A_eq=np.vstack([rows, columns]), b_eq=masses).fun


BARBELL, TREE = nx.barbell_graph(4, 0), nx.balanced_tree(2, 3)


@pytest.mark.parametrize(
    ("graph", "edge", "lazy_0", "lazy_half"),
    [
        (nx.complete_graph(4), (0, 1), 2 / 3, 2 / 3),
        (nx.complete_graph(5), (0, 1), 3 / 4, 5 / 8),
        (nx.cycle_graph(4), (0, 1), 0, 1 / 2),
        (nx.cycle_graph(5), (0, 1), 0, 1 / 4),
        (nx.cycle_graph(6), (0, 1), 0, 0),
        (nx.path_graph(6), (2, 3), 0, 0),
        (BARBELL, (3, 4), -1, -1 / 2),
        (nx.petersen_graph(), (0, 1), -1 / 3, 0),
        (TREE, (0, 1), -1 / 3, -1 / 6),
        (nx.complete_bipartite_graph(3, 3), (0, 3), 0, 1 / 3),
    ],
)
def test_values(graph, edge, lazy_0, lazy_half):
    edge_index, ptr = edges_of(graph)
    at = (edge_index == torch.tensor(edge)[:, None]).all(0)
    assert ollivier_ricci_curvature(edge_index, ptr)[at].item() == pytest.approx(lazy_0, abs=1e-15)
    assert ollivier_ricci_curvature(edge_index, ptr, alpha=0.5)[at].item() == pytest.approx(lazy_half, abs=1e-15)


@settings(max_examples=25)
@given(graphs(max_nodes=8, max_edges=18), st.sampled_from([0.0, 0.25, 0.5, 0.3]))
def test_equals_the_linear_program(data, alpha):
    graph = nx.empty_graph(data.num_nodes)
    graph.add_edges_from((u, v) for u, v in data.edge_index.t().tolist() if u != v)
    found = ollivier_ricci_curvature(data.edge_index, torch.tensor([0, data.num_nodes]), alpha, symmetrise=True)
    known = {edge: by_linear_program(graph, *edge, alpha) for edge in graph.edges}
    for (u, v), value in zip(data.edge_index.t().tolist(), found.tolist(), strict=True):
        wanted = 0.0 if u == v else known.get((u, v), known.get((v, u)))
        assert value == pytest.approx(wanted, abs=1e-9)


def test_equals_assignment_where_degrees_are_equal():
    graph = nx.random_regular_graph(7, 40, seed=1)
    edge_index, ptr = edges_of(graph)
    graph = nx.convert_node_labels_to_integers(graph)
    lengths = np.asarray(nx.floyd_warshall_numpy(graph))
    wanted = []
    for u, v in edge_index.t().tolist():
        cost = lengths[np.ix_(list(graph[u]), list(graph[v]))]
        wanted.append(1 - cost[linear_sum_assignment(cost)].sum() / 7)
    torch.testing.assert_close(ollivier_ricci_curvature(edge_index, ptr), torch.tensor(wanted).double())


@given(unions(undirected=True), st.integers(0, 2**16))
def test_union_bounds_and_renumbering(union, seed):
    edge_index, n = union.edge_index, union.num_nodes
    found = ollivier_ricci_curvature(edge_index, union.ptr)
    alone = [ollivier_ricci_curvature(one.edge_index, torch.tensor([0, one.num_nodes])) for one in union.to_data_list()]
    assert torch.equal(found, torch.cat(alone))
    place = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(ollivier_ricci_curvature(place[edge_index], torch.tensor([0, n])), found)
    # Jost and Liu: a lower bound that trees attain.
    proper = edge_index[:, edge_index[0] != edge_index[1]].unique(dim=1)
    degree = torch.bincount(proper[0], minlength=n).double()
    d_i, d_j = degree[edge_index].clamp(min=1)
    bound = -2 * (1 - 1 / d_i - 1 / d_j).clamp(min=0)
    assert bool((found >= bound - 1e-12).all())
    assert bool((found <= 1).all())


def test_trees_attain_the_bound():
    edge_index, ptr = edges_of(nx.random_labeled_tree(40, seed=3))
    d_i, d_j = torch.bincount(edge_index[0]).double()[edge_index]
    wanted = -2 * (1 - 1 / d_i - 1 / d_j).clamp(min=0)
    torch.testing.assert_close(ollivier_ricci_curvature(edge_index, ptr), wanted)


@pytest.mark.skipif(find_spec("numba") is None, reason="one solver only")
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_both_solvers_find_the_same_plans(alpha):
    from gnnlab.graph import _transport_numba

    graph = nx.barabasi_albert_graph(40, 3, seed=0)
    pairs = torch.tensor(sorted(tuple(sorted(edge)) for edge in graph.edges)).t()
    neighbours = Neighbours.of(pairs, 40)
    found = [
        ollivier.neighbourhood_transports(neighbours, pairs, alpha, solver.transport)
        for solver in (_transport, _transport_numba)
    ]
    assert torch.equal(found[0].distance, found[1].distance)
    assert torch.equal(found[0].pair, found[1].pair)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**16))
def test_transport(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    cost = torch.randint(0, 4, (3, rows, columns), generator=generator)
    supply = torch.randint(0, 7, (3, rows), generator=generator).double() * columns
    demand = (supply.sum(1, keepdim=True) // columns).expand(3, columns)
    before = cost.clone(), supply.clone(), demand.clone()
    plan = _transport.transport(cost, supply, demand)
    assert all(torch.equal(a, b) for a, b in zip(before, (cost, supply, demand), strict=True))
    assert torch.equal(plan.sum(2), supply)
    assert torch.equal(plan.sum(1), demand)
    assert bool((plan >= 0).all())
    for b in range(3):
        sums = np.vstack([np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))])
        best = linprog(cost[b].flatten().numpy(), A_eq=sums, b_eq=torch.cat([supply[b], demand[b]]).numpy()).fun
        assert float((plan[b] * cost[b]).sum()) == pytest.approx(best, abs=1e-7)


def test_largest_contribution():
    """At the bridge of two triangles one third steps towards it on either side, and one third has to cross."""
    pairs = torch.tensor([[0, 0, 1, 2, 3, 3, 4], [1, 2, 2, 3, 4, 5, 5]])
    found = ollivier.neighbourhood_transports(Neighbours.of(pairs, 6), pairs, 0.0)
    p, q = found.pair[:, 3].tolist()
    assert p in (0, 1)
    assert q in (4, 5)
    assert float(found.distance[3]) == pytest.approx((1 + 1 + 3) / 3)


def test_pairs_carry_mass_in_an_optimal_plan():
    """Forcing a little mass along the pair costs nothing more; along a pair that is in no optimal plan it would."""
    graph = nx.gnp_random_graph(12, 0.3, seed=2)
    pairs = torch.tensor(sorted(tuple(sorted(edge)) for edge in graph.edges)).t()
    found = ollivier.neighbourhood_transports(Neighbours.of(pairs, 12), pairs, 0.0)
    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    for (u, v), (p, q), distance in zip(pairs.t().tolist(), found.pair.t().tolist(), found.distance, strict=True):
        source, target = list(graph[u]), list(graph[v])
        if distance == 0:
            assert (p, q) == (u, v)
            continue
        cost = [lengths[a][b] for a in source for b in target]
        sums = np.vstack(
            [
                np.kron(np.eye(len(source)), np.ones(len(target))),
                np.kron(np.ones(len(source)), np.eye(len(target))),
            ]
        )
        masses = [1 / len(source)] * len(source) + [1 / len(target)] * len(target)
        least = [(1e-2 if (a, b) == (p, q) else 0, None) for a in source for b in target]
        assert linprog(cost, A_eq=sums, b_eq=masses, bounds=least).fun == pytest.approx(float(distance), abs=1e-9)


def test_refusals(monkeypatch):
    edge_index, ptr = edges_of(nx.star_graph(4))
    with pytest.raises(ConfigError, match="alpha"):
        ollivier_ricci_curvature(edge_index, ptr, alpha=1.0)
    with pytest.raises(GraphError, match="symmetrise=True"):
        ollivier_ricci_curvature(edge_index[:, :2], ptr)
    monkeypatch.setattr(ollivier, "_LARGEST", 10)
    with pytest.raises(BudgetError, match="16 cells"):
        ollivier_ricci_curvature(edge_index, ptr)
    monkeypatch.undo()
    monkeypatch.setattr(ollivier, "_LONGEST", 3)
    with pytest.raises(BudgetError, match="4 paths"):
        ollivier_ricci_curvature(edge_index, ptr)


def test_a_range_of_edges_at_a_time(monkeypatch):
    edge_index, ptr = edges_of(nx.barabasi_albert_graph(30, 3, seed=1))
    whole = ollivier_ricci_curvature(edge_index, ptr, alpha=0.5)
    monkeypatch.setattr(ollivier, "_SLICE", 40)
    monkeypatch.setattr(ollivier, "_CELLS", 30)
    assert torch.equal(ollivier_ricci_curvature(edge_index, ptr, alpha=0.5), whole)
