"""Gaps and Cheeger bounds: closed forms, and every cut of small graphs."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from gnnlab.errors import ConfigError
from gnnlab.graph import cheeger_bounds, spectral_gap
from gnnlab.testing.strategies import unions


def union_of(graphs):
    ends, ptr = [], [0]
    for graph in graphs:
        graph = nx.convert_node_labels_to_integers(graph)
        ends += [(u + ptr[-1], v + ptr[-1]) for a, b in graph.edges() for u, v in ((a, b), (b, a))]
        ptr.append(ptr[-1] + graph.number_of_nodes())
    return torch.tensor(ends, dtype=torch.long).reshape(-1, 2).t().contiguous(), torch.tensor(ptr)


def cheeger(graph):
    """Cheeger constant by trying every cut."""
    nodes = list(graph)
    volume = 2 * graph.number_of_edges()
    best = np.inf
    for size in range(1, len(nodes)):
        for side in combinations(nodes, size):
            inside = sum(degree for _, degree in graph.degree(side))
            if 0 < inside <= volume / 2:
                best = min(best, nx.cut_size(graph, side) / inside)
    return best


GRAPHS = {
    "P4": (nx.path_graph(4), 0.5, 1 / 3, 0.5858),
    "C5": (nx.cycle_graph(5), 0.69098, 0.5, 1.38197),
    "C6": (nx.cycle_graph(6), 0.5, 1 / 3, 1),
    "K5": (nx.complete_graph(5), 1.25, 0.75, 5),
    "barbell 3": (nx.barbell_graph(3, 0), 0.204666, 1 / 7, 0.438447),
    "barbell 4": (nx.barbell_graph(4, 0), 0.113382, 1 / 13, None),
    "Petersen": (nx.petersen_graph(), 2 / 3, 1 / 3, 2),
    "Q3": (nx.hypercube_graph(3), 2 / 3, 1 / 3, 2),
}


def test_known_graphs():
    edge_index, ptr = union_of([graph for graph, *_ in GRAPHS.values()])
    gap, plain = spectral_gap(edge_index, ptr), spectral_gap(edge_index, ptr, None)
    bounds = cheeger_bounds(edge_index, ptr)
    for place, (name, (graph, expected, constant, unnormalised)) in enumerate(GRAPHS.items()):
        assert float(gap[place]) == pytest.approx(expected, rel=1e-5), name
        if unnormalised is not None:
            assert float(plain[place]) == pytest.approx(unnormalised, rel=1e-4), name
        if name != "Petersen":
            assert cheeger(graph) == pytest.approx(constant), name
        assert float(bounds.lower[place]) == pytest.approx(expected / 2, rel=1e-5), name
        assert float(bounds.lower[place]) - 1e-9 <= constant <= float(bounds.upper[place]) + 1e-9, name


def test_the_sweep_finds_the_bridge_and_other_clear_cuts():
    edge_index, ptr = union_of([nx.barbell_graph(5, 0), nx.path_graph(8), nx.barbell_graph(4, 1)])
    expected = [1 / 21, 1 / 7, 1 / 13]
    assert cheeger_bounds(edge_index, ptr).sweep.tolist() == pytest.approx(expected)


def test_bounds_hold_for_every_small_connected_graph():
    graphs = [graph for graph in nx.graph_atlas_g() if 2 <= graph.number_of_nodes() <= 6 and nx.is_connected(graph)]
    edge_index, ptr = union_of(graphs)
    bounds = cheeger_bounds(edge_index, ptr)
    exact = torch.tensor([cheeger(graph) for graph in graphs], dtype=torch.float64)
    assert (bounds.lower <= exact + 1e-9).all()
    assert (exact <= bounds.sweep + 1e-9).all()
    assert torch.equal(bounds.upper, torch.minimum((4 * bounds.lower).sqrt(), bounds.sweep))
    assert (bounds.sweep <= (4 * bounds.lower).sqrt() + 1e-9).all()  # what proves Cheeger's inequality


def test_few_nodes_and_several_components():
    graphs = [nx.empty_graph(0), nx.empty_graph(1), nx.path_graph(2), nx.empty_graph(3)]
    graphs += [
        nx.disjoint_union(nx.path_graph(3), nx.path_graph(4)),
        nx.disjoint_union(nx.path_graph(4), nx.empty_graph(1)),
    ]
    edge_index, ptr = union_of(graphs)
    assert spectral_gap(edge_index, ptr).tolist() == pytest.approx([0, 0, 2, 0, 0, 0])
    bounds = cheeger_bounds(edge_index, ptr)
    assert bounds.sweep.tolist() == pytest.approx([torch.inf, torch.inf, 1, torch.inf, 0, 1 / 3])
    assert bounds.upper.tolist() == pytest.approx([torch.inf, torch.inf, 1, torch.inf, 0, 1 / 3])
    assert bounds.lower.tolist() == pytest.approx([0, 0, 1, 0, 0, 0.25])
    nothing = torch.empty(2, 0, dtype=torch.long)
    assert (
        spectral_gap(nothing, torch.tensor([0])).shape == cheeger_bounds(nothing, torch.tensor([0])).upper.shape == (0,)
    )


@settings(max_examples=30, deadline=None)
@given(unions(undirected=True))
def test_a_batch_gives_what_its_graphs_give(batch):
    gap = spectral_gap(batch.edge_index, batch.ptr)
    bounds = cheeger_bounds(batch.edge_index, batch.ptr)
    for place, data in enumerate(batch.to_data_list()):
        ptr = torch.tensor([0, data.num_nodes])
        assert float(gap[place]) == pytest.approx(float(spectral_gap(data.edge_index, ptr)), abs=1e-9)
        lower, upper, sweep = (float(bound[place]) for bound in bounds)
        assert lower <= upper + 1e-9
        assert upper <= sweep
        assert lower == pytest.approx(float(cheeger_bounds(data.edge_index, ptr).lower), abs=1e-9)


def test_unknown_normalization():
    with pytest.raises(ConfigError, match="normalization"):
        spectral_gap(*union_of([nx.path_graph(3)]), normalization="none")
