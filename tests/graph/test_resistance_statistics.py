"""Statistics of resistances against networkx, and their estimates against the exact ones."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from torch_geometric.data import Batch

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import effective_resistance, resistance_statistics
from gnnlab.testing.strategies import unions


def edges_of(graph: nx.Graph) -> tuple[torch.Tensor, torch.Tensor]:
    graph = nx.convert_node_labels_to_integers(graph)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


@pytest.mark.parametrize(
    "graph",
    [nx.path_graph(6), nx.barbell_graph(4, 1), nx.petersen_graph(), nx.balanced_tree(2, 3), nx.grid_2d_graph(4, 5)],
)
def test_equals_networkx(graph: nx.Graph) -> None:
    edge_index, ptr = edges_of(graph)
    graph = nx.convert_node_labels_to_integers(graph)
    table = nx.resistance_distance(graph)
    closeness = nx.current_flow_closeness_centrality(graph)
    got = resistance_statistics(edge_index, ptr)
    trace = got[:, 4].sum()
    for v in graph:
        others = np.array([table[v][u] for u in graph if u != v])
        expected = [others.mean(), others.std(), others.min(), others.max()]
        assert got[v, :4].tolist() == pytest.approx(expected, abs=1e-8)
        assert float(1 / (len(graph) * got[v, 4] + trace)) == pytest.approx(closeness[v])


@given(unions())
def test_equals_resistances_of_pairs(batch: Batch) -> None:
    got = resistance_statistics(batch.edge_index, batch.ptr)
    node = torch.arange(batch.num_nodes)
    pairs = torch.stack([node.repeat_interleave(node.numel()), node.repeat(node.numel())])
    table = effective_resistance(batch.edge_index, batch.ptr, pairs).view(node.numel(), node.numel())
    for v in range(node.numel()):
        values = table[v, table[v].isfinite() & (node != v)]
        if values.numel() == 0:
            assert got[v].tolist() == [0, 0, 0, 0, 0]
            continue
        expected = torch.stack([values.mean(), values.std(unbiased=False), values.min(), values.max()])
        assert torch.allclose(got[v, :4], expected, atol=1e-9)


def test_estimates_are_as_close_as_stated() -> None:
    # Beside a component of its own, whose rows must not be mixed up with the others.
    graph = nx.disjoint_union(nx.grid_2d_graph(12, 12), nx.cycle_graph(9))
    edge_index, ptr = edges_of(graph)
    exact = resistance_statistics(edge_index, ptr)
    estimate = resistance_statistics(edge_index, ptr, method="sketch", epsilon=0.05)
    relative = (estimate / exact - 1)[:, [0, 2, 3, 4]]
    assert relative[:, [0, 3]].square().mean(0).sqrt().max() < 0.05
    # Extremes of noisy values: lower and higher than the values, by a few errors at most.
    assert -0.2 < relative[:, 1].mean() < 0 < relative[:, 2].mean() < 0.2
    assert relative.abs().max() < 0.3
    assert ((estimate[:, 1] - exact[:, 1]).abs() / exact[:, 0]).max() < 0.1


def test_a_graph_has_the_same_estimates_in_a_batch() -> None:
    (first, p), (second, q) = edges_of(nx.grid_2d_graph(5, 5)), edges_of(nx.cycle_graph(30))
    both = torch.cat([first, second + p[1]], 1)
    together = resistance_statistics(both, torch.stack([p[0], p[1], p[1] + q[1]]), method="sketch")
    alone = resistance_statistics(second, q, method="sketch")
    assert torch.allclose(together[25:], alone, rtol=1e-4)


def test_refusals() -> None:
    nodes = torch.arange(300_000)
    path, ptr = torch.stack([nodes[1:], nodes[:-1]]), torch.tensor([0, 300_000])
    with pytest.raises(BudgetError, match="epsilon"):
        resistance_statistics(path, ptr)
    with pytest.raises(BudgetError, match="sketch"):
        resistance_statistics(path, ptr, method="dense")
    with pytest.raises(ConfigError, match="method"):
        resistance_statistics(path, ptr, method="sparse")
