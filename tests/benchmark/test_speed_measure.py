"""Graphs to measure on, and turns of the clock."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from gnnlab.benchmark.speed import _shapes
from gnnlab.benchmark.speed._shapes import make_shape
from gnnlab.benchmark.speed.measure import interleave, ratio


@pytest.mark.parametrize(("name", "mean_nodes"), [("peptides", 150.9), ("zinc", 23.15)])
def test_generated_molecules_have_the_sizes_of_real_ones(name, mean_nodes):
    shape = make_shape(name, seed=0, generated=True)
    nodes, edges = _shapes.SIZES[name]
    assert shape.num_nodes == pytest.approx(nodes, rel=0.1)
    assert shape.num_edges / shape.num_nodes == pytest.approx(edges / nodes, rel=0.05)
    assert int(shape.edge_index.max()) < shape.num_nodes
    assert (shape.edge_index[1].diff() >= 0).all()
    assert torch.equal(shape.edge_index, make_shape(name, seed=0, generated=True).edge_index)
    degree = torch.bincount(shape.edge_index[1], minlength=shape.num_nodes)
    assert degree.min() >= 1
    assert degree.max() <= 12


@pytest.mark.parametrize("directed", [True, False])
def test_skewed_graphs_are_simple_and_exact_in_size(directed):
    generator = torch.Generator().manual_seed(0)
    edge_index, nodes, _ = _shapes._skewed(2000, 12_000, 0.6, 10.0, directed, generator, False)
    assert edge_index.size(1) == 12_000
    assert (edge_index[0] != edge_index[1]).all()
    keys = edge_index[0] * nodes + edge_index[1]
    assert keys.unique().numel() == 12_000
    if not directed:
        assert torch.equal(keys.sort().values, (edge_index[1] * nodes + edge_index[0]).sort().values)
    in_degree = torch.bincount(edge_index[1], minlength=nodes)
    assert in_degree.max() > 5 * in_degree.float().mean()


def test_interleaved_turns():
    calls = []
    times = interleave({name: partial(calls.append, name) for name in "ab"}, rounds=2)
    assert calls == ["a", "b", "a", "b", "b", "a"]
    assert {name: len(column) for name, column in times.items()} == {"a": 2, "b": 2}
    late = interleave({"a": lambda: None}, rounds=9, limit=0.0)
    assert len(late["a"]) == 3
    interleave({"c": partial(calls.append, "c")}, rounds=1, least=1e-3)
    assert calls.count("c") > 10
    assert ratio([4.0, 1.0, 30.0], [2.0, 1.0, 3.0]) == 2.0
