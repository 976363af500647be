"""Expanders: sizes, gaps and diameters of Cayley graphs, and random regular graphs."""

from __future__ import annotations

from math import sqrt

import networkx as nx
import pytest
import torch
from hypothesis import given
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import laplacian_eigh
from gnnlab.rewiring import Expander
from gnnlab.rewiring._cayley import cayley_graph, cayley_modulus, group_order
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions

SETTINGS = [
    Expander(),
    Expander(shuffle=True, seed=3),
    Expander(nodes="keep"),
    Expander(nodes="keep", shuffle=True),
    Expander(kind="regular"),
    Expander(kind="regular", degree=5, seed=1),
]


def ring(num_nodes: int) -> Data:
    node = torch.arange(num_nodes)
    one_way = torch.stack([node, (node + 1) % num_nodes])
    return Data(edge_index=torch.cat([one_way, one_way.flip(0)], 1), num_nodes=num_nodes)


def gap(edges: Tensor, num_nodes: int) -> float:
    return float(laplacian_eigh(edges, torch.tensor([0, num_nodes]), 2, "sym").values[0, 1])


def as_networkx(edges: Tensor, num_nodes: int) -> nx.Graph:
    graph = nx.empty_graph(num_nodes)
    graph.add_edges_from(edges.t().tolist())
    return graph


@pytest.mark.parametrize("rewire", SETTINGS, ids=repr)
def test_keeps_the_contract(rewire: Expander) -> None:
    check_transform(rewire)


@pytest.mark.parametrize(
    ("n", "order", "expected_gap", "diameter"),
    [(2, 6, 0.5, 3), (3, 24, 0.317, 4), (4, 48, 0.293, 6), (5, 120, 0.191, 6), (6, 144, 0.2386, 6), (7, 336, 0.146, 7)],
)
def test_cayley_graphs(n: int, order: int, expected_gap: float, diameter: int) -> None:
    edges = cayley_graph(n)
    graph = as_networkx(edges, order)
    assert group_order(n) == order
    assert {degree for _, degree in graph.degree} == {2 if n == 2 else 4}
    assert edges.size(1) == 2 * graph.number_of_edges()
    assert gap(edges, order) == pytest.approx(expected_gap, abs=5e-4)
    assert nx.diameter(graph) == diameter


def test_elements_are_numbered_breadth_first() -> None:
    """Against a search that knows one matrix at a time."""
    n = 4
    steps = [torch.tensor(m) for m in ([[1, 1], [0, 1]], [[1, -1], [0, 1]], [[1, 0], [1, 1]], [[1, 0], [-1, 1]])]
    elements, edges, seen = [torch.eye(2, dtype=torch.long)], set(), {(1, 0, 0, 1): 0}
    for element in elements:  # grows while it is walked through
        for step in steps:
            product = (element @ step) % n
            code = tuple(product.flatten().tolist())
            if code not in seen:
                seen[code] = len(elements)
                elements.append(product)
            edges.add((seen[tuple((element % n).flatten().tolist())], seen[code]))
    assert len(elements) == 48
    assert set(map(tuple, cayley_graph(n).t().tolist())) == edges


def test_the_smallest_modulus_that_suffices() -> None:
    sizes = torch.arange(0, 1400)
    modulus, orders = cayley_modulus(sizes)
    expected = [next(n for n in range(1, 20) if group_order(n) >= size) for size in sizes.tolist()]
    assert modulus.tolist() == expected
    assert orders.tolist() == [group_order(n) for n in expected]
    with pytest.raises(BudgetError, match="regular"):
        cayley_modulus(torch.tensor([10**6]))


@pytest.mark.parametrize("num_nodes", [1, 2, 5, 6, 7, 24, 100])
def test_truncation_keeps_the_first_elements_connected(num_nodes: int) -> None:
    out = Expander()(ring(num_nodes))
    new = out.edge_index[:, out.edge_type == 1]
    n = int(cayley_modulus(torch.tensor([num_nodes]))[0])
    whole = cayley_graph(n)
    assert torch.equal(new, whole[:, (whole < num_nodes).all(0)])
    assert nx.is_connected(as_networkx(new, num_nodes))


def test_the_whole_cayley_graph_brings_its_own_nodes() -> None:
    batch = Batch.from_data_list([ring(4), ring(20), ring(24)])
    out = Expander(nodes="keep")(batch)
    assert out.ptr.diff().tolist() == [6, 24, 24]
    assert out.node_type.bincount().tolist() == [48, 6]
    second = (out.edge_type == 1) & (out.batch[out.edge_index[0]] == 1)
    assert torch.equal(out.edge_index[:, second] - 6, cayley_graph(3))


def test_shuffling_moves_nodes_not_the_graph() -> None:
    plain, shuffled = Expander()(ring(24)), Expander(shuffle=True)(ring(24))
    first, second = (out.edge_index[:, out.edge_type == 1] for out in (plain, shuffled))
    assert not torch.equal(first, second)
    assert nx.is_isomorphic(as_networkx(first, 24), as_networkx(second, 24))
    other = Expander(shuffle=True, seed=1)(ring(24))
    assert not torch.equal(shuffled.edge_index, other.edge_index)


@pytest.mark.parametrize(("num_nodes", "known"), [(100, 0.164), (1000, 0.136)])
def test_random_regular_graphs_come_near_the_best_gap(num_nodes: int, known: float) -> None:
    friedman = 1 - sqrt(3) / 2
    for seed in range(3):
        out = Expander(kind="regular", seed=seed)(ring(num_nodes))
        new = out.edge_index[:, out.edge_type == 1]
        assert gap(new, num_nodes) == pytest.approx(known, abs=0.02)
        assert gap(new, num_nodes) > friedman - 0.01


@given(unions(max_graphs=4))
def test_regular_graphs_are_simple_connected_and_of_bounded_degree(batch: Batch) -> None:
    for degree in (2, 5):
        out = Expander(kind="regular", degree=degree)(batch)
        new = out.edge_index[:, out.edge_type == 1]
        assert torch.equal(out.batch[new[0]], out.batch[new[1]])
        pairs = set(map(tuple, new.t().tolist()))
        assert len(pairs) == new.size(1)
        assert all((v, u) in pairs and u != v for u, v in pairs)
        assert out.num_nodes == 0 or int(torch.bincount(new[0], minlength=out.num_nodes).max()) <= degree
        for begin, end in zip(batch.ptr[:-1].tolist(), batch.ptr[1:].tolist(), strict=True):
            mine = new[:, (new[0] >= begin) & (new[0] < end)] - begin
            assert begin == end or nx.is_connected(as_networkx(mine, end - begin))


def test_odd_degrees_add_a_matching() -> None:
    out = Expander(kind="regular", degree=3)(ring(200))
    degree = torch.bincount(out.edge_index[0][out.edge_type == 1])
    assert int(degree.max()) == 3
    assert float((degree == 3).float().mean()) > 0.9


def test_existing_edges_are_edges_of_the_expander_too() -> None:
    out = Expander()(ring(5))
    old, new = (set(map(tuple, out.edge_index[:, out.edge_type == kind].t().tolist())) for kind in (0, 1))
    assert old & new
    assert len(old) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "caley"}, "did you mean 'cayley'"),
        ({"nodes": "drop"}, "unknown nodes"),
        ({"degree": 6}, "degree"),
        ({"kind": "regular", "degree": 1}, "degree"),
        ({"kind": "regular", "degree": 100}, "degree"),
        ({"kind": "regular", "nodes": "keep"}, "as many nodes"),
    ],
)
def test_settings_are_checked(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Expander(**options)
