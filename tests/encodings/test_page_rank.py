"""Personalised PageRank against dense inverses and networkx, and its singular vectors against numpy."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.encodings import PageRankVectorPE, PersonalizedPageRankPE
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.testing import check_transform


def _graph(graph: nx.Graph) -> Data:
    edges = torch.tensor(list(nx.convert_node_labels_to_integers(graph).to_directed().edges)).t().contiguous()
    return Data(edge_index=edges, num_nodes=graph.number_of_nodes())


def _page_rank(data: Data, alpha: float, loops: float = 0.0) -> Tensor:
    n = data.num_nodes
    a = torch.eye(n, dtype=torch.double) * loops
    a.index_put_(tuple(data.edge_index), torch.tensor(1.0).double(), accumulate=True)
    a[a.sum(1) == 0] = torch.eye(n, dtype=torch.double)[a.sum(1) == 0]  # stays where it is
    transition = a / a.sum(1, keepdim=True)
    return alpha * torch.linalg.inv(torch.eye(n, dtype=torch.double) - (1 - alpha) * transition)


@pytest.mark.parametrize(
    "transform",
    [
        PersonalizedPageRankPE(),
        PersonalizedPageRankPE(alphas=[0.3], loop_weight=1, pairs="all"),
        PersonalizedPageRankPE(pairs="edges", probes=4, dense_limit=2),
        PersonalizedPageRankPE(pairs="hops"),
        PageRankVectorPE(),
        PageRankVectorPE(k=30, alpha=1.0),
    ],
)
def test_contract(transform) -> None:
    check_transform(transform)


@pytest.mark.parametrize("loops", [0.0, 1.0])
def test_equals_the_dense_inverse(loops: float) -> None:
    graphs = [_graph(nx.gnm_random_graph(14, 20, seed=5)), _graph(nx.star_graph(6)), _graph(nx.cycle_graph(4))]
    batch = Batch.from_data_list(graphs)
    encoded = PersonalizedPageRankPE(alphas=(0.1, 0.5), loop_weight=loops, pairs="all")(batch)
    source, target = encoded.pair_index
    for column, alpha in enumerate((0.1, 0.5)):
        dense = _page_rank(batch, alpha, loops)
        assert torch.allclose(encoded.pe_ppr[:, column].double(), dense.diagonal(), atol=1e-6)
        assert torch.allclose(encoded.pair_pe_ppr[:, column].double(), dense[target, source], atol=1e-6)


def test_rows_sum_to_one_and_agree_with_networkx() -> None:
    graph = nx.gnm_random_graph(12, 18, seed=6)
    graph.remove_node(11)
    graph.add_node(11)
    data = _graph(graph)
    encoded = PersonalizedPageRankPE(alphas=(0.15,), pairs="all")(data)
    dense = torch.zeros(12, 12)
    dense[encoded.pair_index[1], encoded.pair_index[0]] = encoded.pair_pe_ppr[:, 0]
    assert torch.allclose(dense.sum(1), torch.ones(12), atol=1e-6)
    rank = nx.pagerank(graph, alpha=0.85, personalization={3: 1}, tol=1e-12, max_iter=1000)
    assert torch.allclose(dense[3], torch.tensor([rank[v] for v in range(12)]), atol=1e-6)


def test_weights_loops_and_directions() -> None:
    edge_index = torch.tensor([[0, 1, 1], [1, 2, 1]])
    data = Data(edge_index=edge_index, edge_weight=torch.tensor([2.0, 1.0, 9.0]), num_nodes=3)
    both = torch.cat([edge_index[:, :2], edge_index[:, :2].flip(0)], 1)
    repeated = Data(edge_index=torch.cat([both, both[:, [0, 2]]], 1), num_nodes=3)
    assert torch.allclose(PersonalizedPageRankPE()(data).pe_ppr, PersonalizedPageRankPE()(repeated).pe_ppr, atol=1e-6)


def test_certain_restart_and_isolated_nodes() -> None:
    data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
    encoded = PersonalizedPageRankPE(alphas=(1.0, 0.2))(data).pe_ppr
    assert encoded[:, 0].tolist() == [1, 1, 1]
    assert encoded[2].tolist() == [1, 1]


def test_probes_come_near_and_large_graphs_are_refused_without() -> None:
    data = _graph(nx.barabasi_albert_graph(80, 2, seed=3))
    exact, rough = (
        PersonalizedPageRankPE(pairs="edges", **options)(data) for options in ({}, {"probes": 500, "dense_limit": 5})
    )
    error = (rough.pe_ppr / exact.pe_ppr - 1).square().mean().sqrt()
    assert float(error) < 1.3 * (2 / 500) ** 0.5
    degree = torch.bincount(data.edge_index[0])
    source, target = data.edge_index
    bound = (
        (exact.pe_ppr[source] * exact.pe_ppr[target]) * 2 / 500 * (degree[source] / degree[target])[:, None]
    ).sqrt()
    assert float(((rough.edge_pe_ppr - exact.edge_pe_ppr) / bound).square().mean()) < 1.3
    with pytest.raises(BudgetError, match="probes="):
        PersonalizedPageRankPE(dense_limit=5)(data)


def test_vectors_are_the_leading_left_ones_of_numpy() -> None:
    graphs = [_graph(nx.gnm_random_graph(n, 2 * n, seed=n)) for n in (9, 13, 12)]
    encoded = PageRankVectorPE(k=4, alpha=0.2)(Batch.from_data_list(graphs))
    sizes = encoded.ptr.diff().tolist()
    parts = zip(graphs, encoded.pe_ppr_vectors.split(sizes), encoded.pe_ppr_vectors_values.split(sizes), strict=True)
    for graph, found, values in parts:
        u, s, _ = np.linalg.svd(_page_rank(graph, 0.2).numpy())
        best = torch.from_numpy(u[:, :4] * np.sqrt(s[:4]))
        found = found.double()
        assert torch.allclose(found.abs(), best.abs(), atol=1e-5)
        assert torch.allclose(found @ found.t(), best @ best.t(), atol=1e-5)
        assert values[0].tolist() == pytest.approx(s[:4].tolist(), abs=1e-5)
        peak = found.gather(0, found.abs().argmax(0, keepdim=True))
        assert bool((peak > 0).all())


def test_small_graphs_are_padded() -> None:
    encoded = PageRankVectorPE(k=5)(Batch.from_data_list([_graph(nx.path_graph(3)), _graph(nx.cycle_graph(7))]))
    assert encoded.pe_ppr_vectors_mask[0].tolist() == [True] * 3 + [False] * 2
    assert not encoded.pe_ppr_vectors[:3, 3:].any()
    assert encoded.pe_ppr_vectors_mask[3:].all()


def test_vectors_of_a_large_graph_are_refused() -> None:
    with pytest.raises(BudgetError, match=r"max_nodes=20(.|\n)*LaplacianPE"):
        PageRankVectorPE(max_nodes=20)(_graph(nx.path_graph(30)))


def test_refuses_bad_settings() -> None:
    for settings in ({"alphas": ()}, {"alphas": (0.0,)}, {"alphas": (1.2,)}, {"loop_weight": -1}, {"probes": 0}):
        with pytest.raises(ConfigError, match="PersonalizedPageRankPE"):
            PersonalizedPageRankPE(**settings)
    for settings in ({"k": 0}, {"alpha": 0.0}):
        with pytest.raises(ConfigError, match="PageRankVectorPE"):
            PageRankVectorPE(**settings)
