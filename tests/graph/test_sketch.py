"""Sketches and the sketched routes of the resistance functions, against the dense ones and the stated error."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import (
    biharmonic_distance,
    biharmonic_sketch,
    commute_time,
    effective_resistance,
    resistance_sketch,
    sketch_dimensions,
    total_effective_resistance,
)
from gnnlab.testing.strategies import unions

GRAPHS = [nx.grid_2d_graph(12, 13), nx.barabasi_albert_graph(150, 2, seed=1), nx.random_labeled_tree(150, seed=2)]


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


def some_pairs(n: int, count: int) -> Tensor:
    first = torch.randint(n, (count,), generator=torch.Generator().manual_seed(0))
    return torch.stack([first, (first + 1 + torch.arange(count) % (n - 1)) % n])


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("dimensions", [32, 256])
def test_error_is_the_stated_one(graph, dimensions):
    edge_index, ptr = tensors(graph)
    n = int(ptr[-1])
    weight = torch.rand(edge_index.size(1), generator=torch.Generator().manual_seed(1)) + 0.2
    pairs = some_pairs(n, 2000)
    sketch = resistance_sketch(edge_index, ptr, dimensions, edge_weight=weight)
    error = sketch.resistance(pairs) / effective_resistance(edge_index, ptr, pairs, weight) - 1
    assert float(error.square().mean().sqrt()) < 1.5 * (2 / dimensions) ** 0.5
    assert sketch.foster_error < 5 / (dimensions * n) ** 0.5
    sketch = biharmonic_sketch(edge_index, ptr, dimensions, edge_weight=weight)
    ratio = sketch.biharmonic(pairs) / biharmonic_distance(edge_index, ptr, pairs, weight)
    assert float((ratio.square() - 1).square().mean().sqrt()) < 1.7 * (2 / dimensions) ** 0.5


def test_errors_average_out_over_seeds():
    edge_index, ptr = tensors(nx.karate_club_graph())
    pairs = some_pairs(34, 40)
    exact = effective_resistance(edge_index, ptr, pairs)
    found = torch.stack([resistance_sketch(edge_index, ptr, 64, seed=seed).resistance(pairs) for seed in range(60)])
    spread = (found / exact - 1).mean(0).abs()
    assert float(spread.max()) < 5 * (2 / 64 / 60) ** 0.5


def test_foster_error_tells_a_bad_solver():
    edge_index, ptr = tensors(nx.grid_2d_graph(40, 40))
    good = resistance_sketch(edge_index, ptr, 32)
    bad = resistance_sketch(edge_index, ptr, 32, tolerance=0.5)
    assert good.foster_error < 0.02 < bad.foster_error


@settings(max_examples=25, deadline=None)
@given(unions(max_nodes=10, max_edges=12))
def test_any_union(batch):
    n = batch.num_nodes
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n)).view(-1, 2).t()
    for exact, sketched in (
        (effective_resistance, resistance_sketch(batch.edge_index, batch.ptr, 48).resistance(pairs)),
        (biharmonic_distance, biharmonic_sketch(batch.edge_index, batch.ptr, 48).biharmonic(pairs)),
    ):
        wanted = exact(batch.edge_index, batch.ptr, pairs)
        assert torch.equal(sketched.isinf(), wanted.isinf())
        assert torch.equal(sketched == 0, wanted == 0)


def test_a_graph_gets_the_same_signs_in_any_batch():
    parts = [tensors(graph) for graph in GRAPHS]
    ptr = torch.cat([torch.zeros(1, dtype=torch.long), torch.stack([p[-1] for _, p in parts]).cumsum(0)])
    edges = torch.cat([e + start for (e, _), start in zip(parts, ptr, strict=False)], 1)
    for sketch in (resistance_sketch, biharmonic_sketch):
        alone = torch.cat([sketch(e, p, 20, seed=3, tolerance=1e-9).rows for e, p in parts])
        torch.testing.assert_close(sketch(edges, ptr, 20, seed=3, tolerance=1e-9).rows, alone, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(sketch(edges, ptr, 20, seed=4).rows, alone, atol=1e-2)


@pytest.mark.parametrize("function", [effective_resistance, biharmonic_distance, commute_time])
def test_routes_agree(function):
    edge_index, ptr = tensors(nx.disjoint_union(nx.grid_2d_graph(15, 15), nx.cycle_graph(9)))
    few, many = some_pairs(234, 30), some_pairs(234, 3000)
    exact = function(edge_index, ptr, few, method="dense")
    # As few pairs as this are solved for, one by one.
    torch.testing.assert_close(function(edge_index, ptr, few, method="sketch"), exact, rtol=1e-4, atol=1e-6)
    wanted = function(edge_index, ptr, many)
    ratio = (function(edge_index, ptr, many, method="sketch", epsilon=0.2) / wanted)[wanted.isfinite()]
    assert 0.02 < float((ratio - 1).square().mean().sqrt()) < 0.3
    assert torch.equal(function(edge_index, ptr, many, method="auto"), wanted)


def test_flows_in_circles_are_nothing_to_solve():
    edge_index, ptr = tensors(nx.complete_graph(4))
    assert resistance_sketch(edge_index, ptr, 64, edge_weight=torch.full((12,), 0.3)).rows.isfinite().all()


def test_large_components_take_the_sketch():
    n = 12_000
    line = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    edge_index, ptr = torch.cat([line, line.flip(0)], 1), torch.tensor([0, n])
    pairs = torch.tensor([[0, 5], [n - 1, 9]])
    assert effective_resistance(edge_index, ptr, pairs).tolist() == pytest.approx([n - 1, 4])
    assert total_effective_resistance(edge_index, ptr).item() == pytest.approx((n**3 - n) / 6)
    for function in (effective_resistance, total_effective_resistance):
        with pytest.raises(BudgetError, match="method='sketch'"):
            function(edge_index, ptr, method="dense")


def test_errors():
    edge_index, ptr = tensors(nx.path_graph(3))
    assert sketch_dimensions(0.5) == 8
    with pytest.raises(ConfigError, match="epsilon"):
        resistance_sketch(edge_index, ptr, epsilon=0)
    with pytest.raises(ConfigError, match="dimension"):
        biharmonic_sketch(edge_index, ptr, 0)
    with pytest.raises(BudgetError, match="GiB"):
        resistance_sketch(edge_index, torch.tensor([0, 2_000_000]), 600)
    with pytest.raises(ConfigError, match="did you mean 'sketch'"):
        total_effective_resistance(edge_index, ptr, method="sketched")
