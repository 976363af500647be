"""GTR: the edges it must choose, and greedy choice by brute force."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch_geometric.data import Batch, Data

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import connected_components, total_effective_resistance
from gnnlab.rewiring import GTR, _gtr_numba, _gtr_torch, gtr
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions

ENGINES = {"numba": _gtr_numba, "torch": _gtr_torch}


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    monkeypatch.setattr(gtr, "_engine", lambda device: ENGINES[request.param])


def data_of(graph):
    graph = nx.convert_node_labels_to_integers(graph, ordering="sorted")
    ends = [pair for u, v in graph.edges() for pair in ((u, v), (v, u))]
    return Data(
        edge_index=torch.tensor(ends, dtype=torch.long).reshape(-1, 2).t().contiguous(),
        num_nodes=graph.number_of_nodes(),
    )


def added(transform, data):
    """Undirected edges in the order of addition."""
    out = transform(data)
    new = (out.edge_type == 1) & (out.edge_index[0] < out.edge_index[1])
    order = out.edge_order[new].argsort()
    return [tuple(pair) for pair in out.edge_index[:, new][:, order].t().tolist()]


def total(data):
    return float(total_effective_resistance(data.edge_index, torch.tensor([0, data.num_nodes])))


def brute_force(data, num_edges, size_matters=True):
    """Try every pair inside every component and measure what the total resistance (or 1 / n of it) loses."""
    graph = nx.Graph(data.edge_index.t().tolist())
    graph.add_nodes_from(range(data.num_nodes))
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    chosen = []
    for _ in range(num_edges):
        parts = sorted(map(sorted, nx.connected_components(graph)))
        gains = {}
        for place, part in enumerate(parts):
            before = kirchhoff(graph.subgraph(part))
            for s, t in nx.non_edges(graph.subgraph(part)):
                more = nx.Graph(graph.subgraph(part))
                more.add_edge(s, t)
                gain = before - kirchhoff(more)
                gains[place, min(s, t), max(s, t)] = gain if size_matters else gain / len(part)
        if not gains:
            break
        best = max(gains.values())
        _, s, t = min(key for key, gain in gains.items() if gain > best * (1 - 1e-9))
        graph.add_edge(s, t)
        chosen.append((s, t))
    return chosen


def kirchhoff(graph):
    values = np.linalg.eigvalsh(nx.laplacian_matrix(graph).toarray().astype(float))[1:]
    return len(graph) * (1 / values).sum()


@pytest.mark.parametrize(
    ("graph", "edge", "before", "after"),
    [
        (nx.path_graph(10), (1, 8), 165, 81.875),
        (nx.path_graph(5), (0, 4), 20, 10),
        (nx.cycle_graph(8), (0, 4), 42, 34),
        (nx.star_graph(4), (1, 2), 16, 38 / 3),
        (nx.lollipop_graph(5, 5), (0, 9), 107, 51.25),
        (nx.barbell_graph(3, 0), (0, 4), 21, 21 - 8.3),
        (nx.barbell_graph(4, 0), (0, 5), 34, 34 - 38 / 3),
        (nx.barbell_graph(5, 0), (0, 6), 49, 49 - 18.0714),
        (nx.barbell_graph(10, 0), (0, 11), 154, 154 - 60.3333),
        (nx.barbell_graph(4, 1), (0, 6), 61, 61 - 28.6875),
        (nx.barbell_graph(5, 2), (0, 8), 136.4, 136.4 - 73.9),
    ],
)
def test_first_edge(graph, edge, before, after, engine):
    data = data_of(graph)
    assert total(data) == pytest.approx(before, rel=1e-5)
    assert total(GTR(num_edges=1)(data)) == pytest.approx(after, rel=1e-5)
    assert added(GTR(num_edges=1), data) == brute_force(data, 1) == [edge]


@pytest.mark.parametrize("seed", range(9))
def test_greedy_equals_brute_force(seed, engine):
    data = data_of(nx.gnp_random_graph(5 + seed, [0.15, 0.3, 0.6][seed % 3], seed=seed))
    assert added(GTR(num_edges=3), data) == brute_force(data, 3)
    assert added(GTR(num_edges=3, component_weight="none"), data) == brute_force(data, 3, size_matters=False)


def test_components_compete_by_the_objective_and_are_never_joined(engine):
    # A path of 12 nodes gains more than one of 5, but the latter is worth an edge before the third of the former.
    data = data_of(nx.disjoint_union_all([nx.path_graph(5), nx.path_graph(12), nx.empty_graph(1)]))
    chosen = added(GTR(num_edges=6), data)
    assert chosen == brute_force(data, 6)
    assert {s < 5 for s, _ in chosen} == {True, False}
    before, after = (connected_components(d.edge_index, 18) for d in (data, GTR(num_edges=6)(data)))
    assert torch.equal(before, after)


def test_stops_when_nothing_is_left(engine):
    assert added(GTR(num_edges=2), data_of(nx.complete_graph(4))) == []
    assert added(GTR(num_edges=9), data_of(nx.cycle_graph(4))) == [(0, 2), (1, 3)]
    assert added(GTR(num_edges=9), data_of(nx.path_graph(3))) == [(0, 2)]


def test_a_prefix_is_a_shorter_run(engine):
    data = data_of(nx.barabasi_albert_graph(40, 2, seed=1))
    long = added(GTR(num_edges=12), data)
    assert len(long) == 12
    assert added(GTR(num_edges=5), data) == long[:5]


def test_engines_agree():
    """On trees and dense graphs, beyond the size of plain loops, and where almost everything is tied."""
    graphs = [nx.gnp_random_graph(n, p, seed=n) for n in range(2, 60, 3) for p in (0.03, 0.2, 0.9)]
    graphs += [nx.random_regular_graph(3, 40, seed=1), nx.grid_2d_graph(6, 7), nx.hypercube_graph(5)]
    graphs += [nx.barabasi_albert_graph(230, 2, seed=2), nx.disjoint_union(nx.cycle_graph(200), nx.path_graph(9))]
    batch = Batch.from_data_list([data_of(graph) for graph in graphs])
    results = {}
    for name, module in ENGINES.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gtr, "_engine", lambda device, module=module: module)
            results[name] = GTR(num_edges=15).edits(batch.edge_index, batch.ptr)
    assert results["numba"].added.size(1) > 1000
    assert torch.equal(results["numba"].added, results["torch"].added)
    assert torch.equal(results["numba"].order, results["torch"].order)


def test_gain_of_every_step_is_exact(engine):
    """Forty updates later the total resistance is still lowered by the largest gain there is."""
    data = data_of(nx.random_labeled_tree(30, seed=3))
    previous, chosen = total(data), added(GTR(num_edges=40), data)
    graph = nx.Graph(data.edge_index.t().tolist())
    graph.add_edges_from(chosen[:39])
    assert brute_force(data_of(graph), 1) == [chosen[39]]
    for count in (1, 10, 40):
        now = total(GTR(num_edges=count)(data))
        assert now < previous
        previous = now


@settings(max_examples=25, deadline=None)
@given(unions(undirected=True, max_nodes=7))
def test_a_batch_gives_what_its_graphs_give(batch):
    together = GTR(num_edges=3).edits(batch.edge_index, batch.ptr)
    for place, data in enumerate(batch.to_data_list()):
        first, last = batch.ptr[place : place + 2].tolist()
        inside = (together.added[0] >= first) & (together.added[0] < last) & (together.added[0] < together.added[1])
        order = together.order[inside].argsort()
        mine = (together.added[:, inside][:, order] - first).t().tolist()
        assert [tuple(pair) for pair in mine] == brute_force(data, 3)


@pytest.mark.parametrize(
    "transform", [GTR(symmetrise=True), GTR(num_edges=2, component_weight="none", symmetrise=True)]
)
def test_contract(transform, engine):
    check_transform(transform)


def test_sketches_come_close_to_the_greedy_choice():
    data = data_of(nx.random_regular_graph(3, 200, seed=1))
    exact, near = (GTR(num_edges=5, method=method)(data) for method in ("dense", "sketch"))
    before, best, ours = (float(total_effective_resistance(d.edge_index, ptr_of(d))) for d in (data, exact, near))
    assert near.num_edges == exact.num_edges
    assert before - ours >= 0.8 * (before - best)
    check_transform(GTR(num_edges=2, method="sketch", symmetrise=True))


def ptr_of(data):
    return torch.tensor([0, data.num_nodes])


def test_refusals():
    one_way = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    with pytest.raises(GraphError, match="symmetrise=True"):
        GTR()(one_way)
    with pytest.raises(BudgetError, match=r"GiB(.|\n)*dense_limit"):
        GTR(dense_limit=9)(data_of(nx.path_graph(10)))
    GTR(dense_limit=9)(data_of(nx.disjoint_union(nx.path_graph(9), nx.path_graph(9))))
    with pytest.raises(ConfigError, match="component_weight"):
        GTR(component_weight="sizes")
    with pytest.raises(ConfigError, match="num_edges"):
        GTR(num_edges=-1)
    with pytest.raises(ConfigError, match="sketch"):
        GTR(method="sketches")
    with pytest.raises(ConfigError, match="component_weight"):
        GTR(method="sketch", component_weight="none")
    assert added(GTR(num_edges=0), data_of(nx.path_graph(4))) == []
