"""Sketched greedy pairs against the exact greedy choice."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from gnnlab.graph import total_effective_resistance, undirected_edges
from gnnlab.rewiring import GTR
from gnnlab.rewiring._sketched_gtr import sketched_gtr_pairs
from gnnlab.testing.strategies import unions


def tensors(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


def with_pairs(edge_index: Tensor, pairs: Tensor) -> Tensor:
    return torch.cat([edge_index, pairs, pairs.flip(0)], 1)


@pytest.mark.parametrize(
    "graph",
    [
        nx.path_graph(60),
        nx.grid_2d_graph(12, 14),
        nx.barabasi_albert_graph(200, 2, seed=0),
        nx.barbell_graph(20, 3),
        nx.random_regular_graph(3, 120, seed=0),
        nx.random_labeled_tree(150, seed=1),
    ],
)
def test_nearly_as_good_as_greedy(graph):
    edge_index, ptr = tensors(graph)
    before = float(total_effective_resistance(edge_index, ptr))
    edits = GTR(num_edges=5).edits(edge_index, ptr)
    best = before - float(total_effective_resistance(torch.cat([edge_index, edits.added], 1), ptr))
    found = sketched_gtr_pairs(edge_index, ptr, 5, dimensions=128)
    after = float(total_effective_resistance(with_pairs(edge_index, found.pairs), ptr))
    assert before - after > 0.85 * best
    # The gains are those of the pairs, not estimates.
    assert float(found.gain.sum()) == pytest.approx(before - after, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(unions(max_nodes=9, max_edges=10, undirected=True))
def test_any_union(batch):
    once = undirected_edges(batch.edge_index, batch.ptr, False)
    edge_index = torch.cat([once, once.flip(0)], 1)
    found = sketched_gtr_pairs(edge_index, batch.ptr, 3, dimensions=16)
    before = total_effective_resistance(edge_index, batch.ptr)
    after = total_effective_resistance(with_pairs(edge_index, found.pairs), batch.ptr)
    falls = before.new_zeros(batch.ptr.numel() - 1).index_add_(0, batch.batch[found.pairs[0]], found.gain)
    torch.testing.assert_close(before - after, falls, rtol=1e-4, atol=1e-5)
    taken = {tuple(pair) for pair in edge_index.t().tolist()}
    for s, t in found.pairs.t().tolist():
        assert s != t
        assert (s, t) not in taken
        taken |= {(s, t), (t, s)}
    exact = GTR(num_edges=3).edits(edge_index, batch.ptr)
    assert found.pairs.size(1) <= exact.added.size(1) // 2
    assert bool((found.gain > 0).all())


def test_steps_are_a_prefix():
    edge_index, ptr = tensors(nx.grid_2d_graph(9, 9))
    assert torch.equal(
        sketched_gtr_pairs(edge_index, ptr, 2).pairs, sketched_gtr_pairs(edge_index, ptr, 4).pairs[:, :2]
    )
