"""AFR: bounds against scikit-learn, the edges chosen against plain Python, uniform draws, and what it keeps."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import augmented_forman_curvature, connected_components
from gnnlab.rewiring import AFR
from gnnlab.rewiring._mixture import two_gaussians
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def data_of(graph: nx.Graph) -> Data:
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    return Data(edge_index=torch.cat([pairs, pairs.flip(0)], 1), num_nodes=graph.number_of_nodes())


def undirected(edge_index: Tensor) -> set[tuple[int, int]]:
    return {(u, v) for u, v in edge_index.t().tolist() if u < v}


def curvatures(graph: nx.Graph, order: int) -> dict[tuple[int, int], float]:
    data = data_of(graph)
    values = augmented_forman_curvature(data.edge_index, torch.tensor([0, data.num_nodes]), order)
    found = zip(data.edge_index.t().tolist(), values.tolist(), strict=True)
    return {(u, v): value for (u, v), value in sorted(found) if u < v}


def fitted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations by scikit-learn, from the clusters around the middle of the range."""
    middle = (values.min() + values.max()) / 2
    for _ in range(20):
        upper = values > middle
        middle = (values[upper].mean() + values[~upper].mean()) / 2
    parts = values[~upper], values[upper]
    model = GaussianMixture(
        2,
        weights_init=[part.size / values.size for part in parts],
        means_init=[[part.mean()] for part in parts],
        precisions_init=[[[1 / (part.var() + 1e-6)]] for part in parts],
    ).fit(values[:, None])
    order = model.means_[:, 0].argsort()
    return model.means_[order, 0], np.sqrt(model.covariances_[order, 0, 0])


def test_mixture_equals_scikit_learn():
    generator = np.random.default_rng(0)
    groups = [np.r_[generator.normal(0, 1, 40), generator.normal(m, s, n)] for m, s, n in ((4, 1, 30), (2, 3, 9))]
    groups.append(generator.integers(-6, 5, 50).astype(float))
    values = torch.from_numpy(np.concatenate(groups))
    group = torch.repeat_interleave(torch.tensor([0, 2, 3]), torch.tensor([len(part) for part in groups]))
    mixture = two_gaussians(values, group, 5)
    for place, part in zip((0, 2, 3), groups, strict=True):
        mean, deviation = fitted(part)
        assert mixture.mean[place].tolist() == pytest.approx(mean.tolist(), abs=1e-5)
        assert mixture.deviation[place].tolist() == pytest.approx(deviation.tolist(), abs=1e-5)


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_one_iteration(order, seed):
    graph = nx.gnp_random_graph(14, 0.3, seed=seed)
    data = data_of(graph)
    known = curvatures(graph, order)
    mean, deviation = fitted(np.array(list(known.values())))
    lower = (mean[0] * deviation[1] + mean[1] * deviation[0]) / deviation.sum()
    upper = mean[1] + deviation[1]
    rewired = AFR(order)(data)
    now = undirected(rewired.edge_index)
    assert undirected(data.edge_index) - now == {edge for edge, value in known.items() if value > upper}
    allowed = []
    for (u, v), value in known.items():
        if value < lower:
            pairs = {(w, v) for w in set(graph[u]) - set(graph[v]) - {v}} or {
                (w, u) for w in set(graph[v]) - set(graph[u]) - {u}
            }
            allowed.append({tuple(sorted(pair)) for pair in pairs})
    added = now - undirected(data.edge_index)
    assert all(not pairs or pairs & added for pairs in allowed)
    assert added <= set().union(*allowed)
    assert len(added) <= len(allowed)


def test_explicit_numbers():
    """The bridge of the barbell is lowest; edges within the cliques are highest, the first one goes."""
    data = data_of(nx.barbell_graph(4, 0))
    rewired = AFR(num_edges=1, num_removed=1)(data)
    added = undirected(rewired.edge_index) - undirected(data.edge_index)
    assert len(added) == 1
    assert next(iter(added)) in {(k, 4) for k in range(3)}
    assert undirected(data.edge_index) - undirected(rewired.edge_index) == {(0, 1)}


def test_draws_are_uniform():
    edge_index = data_of(nx.barbell_graph(4, 0)).edge_index
    copies = [Data(edge_index=edge_index, num_nodes=8 + extra) for extra in range(300)]
    rewired = AFR(num_edges=1, num_removed=0)(Batch.from_data_list(copies))
    taken = [next(iter(undirected(one.edge_index) - undirected(edge_index)))[0] for one in rewired.to_data_list()]
    assert all(abs(taken.count(k) - 100) < 40 for k in range(3))


@pytest.mark.parametrize("graph", [nx.cycle_graph(5), nx.complete_graph(5), nx.path_graph(2), nx.star_graph(4)])
def test_equal_curvatures_change_nothing(graph):
    data = data_of(graph)
    assert torch.equal(AFR(num_iterations=3)(data).edge_index, data.edge_index)


@settings(max_examples=30)
@given(unions(max_nodes=9, max_edges=14), st.sampled_from([None, 3]), st.sampled_from([None, 2]))
def test_keeps_graphs_simple_and_components_apart(union, num_edges, num_removed):
    rewired = AFR(num_edges=num_edges, num_removed=num_removed, num_iterations=2, symmetrise=True)(union)
    new = rewired.edge_type == 1
    added, kept = rewired.edge_index[:, new], rewired.edge_index[:, ~new]
    there = set(map(tuple, union.edge_index.t().tolist()))
    keys = added[0] * union.num_nodes + added[1]
    assert keys.unique().numel() == keys.numel()
    assert not any(edge in there or edge[0] == edge[1] for edge in map(tuple, added.t().tolist()))
    assert set(map(tuple, kept.t().tolist())) <= there
    component = connected_components(union.edge_index, union.num_nodes)
    assert torch.equal(component[added[0]], component[added[1]])


@pytest.mark.parametrize(
    "transform", [AFR(symmetrise=True), AFR(4, num_edges=2, num_removed=1, num_iterations=2, symmetrise=True)]
)
def test_contract(transform):
    check_transform(transform)


def test_refusals():
    with pytest.raises(ConfigError, match="3 or 4"):
        AFR(order=2)
    with pytest.raises(ConfigError, match="at least 0"):
        AFR(num_removed=-1)
    with pytest.raises(GraphError, match="symmetrise=True"):
        AFR()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
