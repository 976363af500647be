"""FoSR: the edges it must choose, and the procedure on dense matrices."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import connected_components, spectral_gap
from gnnlab.graph._noise import pair_noise
from gnnlab.rewiring import FoSR, _fosr_numba, _fosr_torch, fosr
from gnnlab.testing import check_transform

ENGINES = {"numba": _fosr_numba, "torch": _fosr_torch}


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    monkeypatch.setattr(fosr, "_engine", lambda device: ENGINES[request.param])


def data_of(graph):
    graph = nx.convert_node_labels_to_integers(graph, ordering="sorted")
    ends = [pair for u, v in graph.edges() for pair in ((u, v), (v, u))]
    return Data(
        edge_index=torch.tensor(ends, dtype=torch.long).reshape(-1, 2).t().contiguous(),
        num_nodes=graph.number_of_nodes(),
    )


def added(transform, data):
    out = transform(data)
    new = (out.edge_type == 1) & (out.edge_index[0] < out.edge_index[1])
    order = out.edge_order[new].argsort()
    return [tuple(pair) for pair in out.edge_index[:, new][:, order].t().tolist()]


def gap(data):
    return float(spectral_gap(data.edge_index, torch.tensor([0, data.num_nodes])))


def by_hand(data, num_edges, power_steps, seed=0):
    """The paper's procedure on dense matrices, for a connected graph (or across components)."""
    n = data.num_nodes
    adjacency = np.zeros((n, n))
    adjacency[tuple(data.edge_index.numpy())] = 1
    upper = data.edge_index[:, data.edge_index[0] < data.edge_index[1]]
    nodes = torch.arange(n).expand(2, -1)
    x = pair_noise(nodes, upper, torch.tensor([0, n]), seed).numpy() - 0.5

    def power(x):
        root = np.sqrt(adjacency.sum(1))
        inverse = np.divide(1, root, out=np.zeros(n), where=root > 0)
        x = x - (x @ root) * root / max(root @ root, 1)
        x = x + inverse * (adjacency @ (inverse * x))
        return x / np.linalg.norm(x)

    for _ in range(power_steps):
        x = power(x)
    chosen = []
    for _ in range(num_edges):
        y = x / np.sqrt(adjacency.sum(1) + 1)
        products = np.outer(y, y)
        products[(adjacency > 0) | np.tri(n, dtype=bool)] = np.inf
        if not np.isfinite(products).any():
            break
        scale = np.abs(y).max() ** 2
        s, t = np.argwhere(products <= products.min() + 1e-8 * scale)[0]
        adjacency[s, t] = adjacency[t, s] = 1
        chosen.append((int(s), int(t)))
        x = power(x)
    return chosen


@pytest.mark.parametrize(
    ("graph", "edges", "before", "after"),
    [
        (nx.path_graph(10), {(1, 8)}, 0.0603, 0.2087),
        (nx.path_graph(6), {(0, 5), (1, 4)}, 0.190983, 0.5),
        (nx.barbell_graph(4, 0), {(i, j) for i in range(3) for j in range(5, 8)}, 0.1134, 0.2324),
    ],
)
def test_first_edge(graph, edges, before, after, engine):
    data = data_of(graph)
    assert gap(data) == pytest.approx(before, abs=5e-5)
    (edge,) = added(FoSR(num_edges=1), data)
    assert edge in edges
    assert gap(FoSR(num_edges=1)(data)) == pytest.approx(after, abs=5e-5)
    best = 0
    for s, t in nx.non_edges(graph):
        more = nx.Graph(graph)
        more.add_edge(s, t)
        best = max(best, gap(data_of(more)))
    assert gap(FoSR(num_edges=1)(data)) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_dense_procedure(seed, engine):
    graph = nx.connected_watts_strogatz_graph(9 + 3 * seed, 2 + 2 * (seed % 3), 0.4, seed=seed)
    data = data_of(graph)
    assert added(FoSR(num_edges=12, num_power_steps=20), data) == by_hand(data, 12, 20)


@pytest.mark.parametrize("graph", [nx.wheel_graph(7), nx.complete_bipartite_graph(3, 5), nx.complete_graph(6)])
def test_until_nothing_is_left(graph, engine):
    chosen = added(FoSR(num_edges=50), data_of(graph))
    assert sorted(chosen) == sorted(tuple(sorted(pair)) for pair in nx.non_edges(graph))


def test_engines_agree():
    graphs = [nx.gnp_random_graph(n, p, seed=n) for n in range(1, 80, 4) for p in (0.03, 0.2, 0.9)]
    graphs += [nx.barabasi_albert_graph(200, 2, seed=2), nx.disjoint_union(nx.cycle_graph(90), nx.path_graph(9))]
    batch = Batch.from_data_list([data_of(graph) for graph in graphs])
    for across in (False, True):
        results = []
        for module in ENGINES.values():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(fosr, "_engine", lambda device, module=module: module)
                results.append(FoSR(num_edges=15, across_components=across).edits(batch.edge_index, batch.ptr))
        assert results[0].added.size(1) > 1000
        assert torch.equal(results[0].added, results[1].added)
        assert torch.equal(results[0].order, results[1].order)


def test_components(engine):
    data = data_of(nx.disjoint_union_all([nx.path_graph(9), nx.path_graph(7), nx.empty_graph(2)]))
    before = connected_components(data.edge_index, data.num_nodes)
    inside = FoSR(num_edges=6)(data)
    assert torch.equal(connected_components(inside.edge_index, data.num_nodes), before)
    assert inside.edge_index.size(1) == data.edge_index.size(1) + 12
    (joining,) = added(FoSR(num_edges=1, across_components=True), data_of(nx.disjoint_union(*[nx.path_graph(4)] * 2)))
    assert joining[0] < 4 <= joining[1]


def test_more_power_steps_find_better_edges(engine):
    graphs = [nx.connected_watts_strogatz_graph(40, 4, 0.1, seed=seed) for seed in range(20)]
    batch = Batch.from_data_list([data_of(graph) for graph in graphs])
    gaps = {}
    for steps in (5, 50):
        out = FoSR(num_edges=10, num_power_steps=steps)(batch)
        gaps[steps] = float(spectral_gap(out.edge_index, batch.ptr).mean())
    before = float(spectral_gap(batch.edge_index, batch.ptr).mean())
    assert before < gaps[5] < gaps[50]


def test_a_prefix_is_a_shorter_run(engine):
    data = data_of(nx.barabasi_albert_graph(30, 2, seed=1))
    long = added(FoSR(num_edges=12), data)
    assert len(set(long)) == 12
    assert added(FoSR(num_edges=5), data) == long[:5]


@pytest.mark.parametrize("across", [False, True])
def test_contract(across, engine):
    check_transform(FoSR(num_edges=5, across_components=across, symmetrise=True))


def test_refusals():
    with pytest.raises(GraphError, match="symmetrise=True"):
        FoSR()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    with pytest.raises(ConfigError, match="num_power_steps"):
        FoSR(num_power_steps=0)
