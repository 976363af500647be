"""DIGL against the diffusion transform of PyG, and what becomes of edges and their attributes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import GDC

from gnnlab.errors import ConfigError, GraphError
from gnnlab.rewiring import DIGL
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def random_graph(n: int, m: int, seed: int = 0) -> Data:
    ends = torch.triu_indices(n, n, 1)
    one_way = ends[:, torch.randperm(ends.size(1), generator=torch.Generator().manual_seed(seed))[:m]]
    edges = torch.cat([one_way, one_way.flip(0)], 1)
    return Data(edge_index=edges, edge_attr=torch.arange(1.0, edges.size(1) + 1)[:, None], num_nodes=n)


def dense(edge_index: Tensor, weight: Tensor, n: int) -> Tensor:
    matrix = torch.zeros(n, n, dtype=torch.float64)
    return matrix.index_put((edge_index[0], edge_index[1]), weight.double(), accumulate=True)


@pytest.mark.parametrize(
    "rewire",
    [
        DIGL(symmetrise=True),
        DIGL(symmetrise=True, top_k=3),
        DIGL(symmetrise=True, epsilon=0.05, alpha=0.1, keep_weights=False),
        DIGL(symmetrise=True, kernel="heat", t=2.0, top_k=4),
    ],
    ids=repr,
)
def test_keeps_the_contract(rewire: DIGL) -> None:
    check_transform(rewire)


@pytest.mark.parametrize(
    ("rewire", "diffusion", "sparsification"),
    [
        (DIGL(top_k=7), {"method": "ppr", "alpha": 0.15}, {"method": "topk", "k": 7, "dim": 0}),
        (DIGL(alpha=0.1, epsilon=0.05), {"method": "ppr", "alpha": 0.1}, {"method": "threshold", "eps": 0.05}),
        (DIGL(alpha=0.05, epsilon=1e-3), {"method": "ppr", "alpha": 0.05}, {"method": "threshold", "eps": 1e-3}),
        (DIGL(kernel="heat", t=3.0, top_k=5), {"method": "heat", "t": 3.0}, {"method": "topk", "k": 5, "dim": 0}),
    ],
    ids=repr,
)
def test_equals_graph_diffusion_convolution(rewire: DIGL, diffusion: dict, sparsification: dict) -> None:
    for seed, (n, m) in enumerate([(12, 20), (40, 61), (25, 90)]):
        data = random_graph(n, m, seed)
        peer = GDC(diffusion_kwargs=diffusion, sparsification_kwargs=sparsification)
        expected = peer(Data(edge_index=data.edge_index, num_nodes=n))
        out = rewire(data)
        got, wanted = dense(out.edge_index, out.edge_weight, n), dense(expected.edge_index, expected.edge_attr, n)
        assert torch.allclose(got, wanted, atol=1e-5)
        assert out.num_edges == int((got > 0).sum())


def test_page_rank_of_a_cycle_becomes_weights() -> None:
    node = torch.arange(6)
    one_way = torch.stack([node, (node + 1) % 6])
    data = Data(edge_index=torch.cat([one_way, one_way.flip(0)], 1), num_nodes=6)
    out = DIGL(loop_weight=0.0)(data)
    expected = [0.30222, 0.17909, 0.11916, 0.10128, 0.11916, 0.17909]
    assert dense(out.edge_index, out.edge_weight, 6)[0].tolist() == pytest.approx(expected, abs=6e-6)


def test_edges_that_stay_keep_their_attributes() -> None:
    data = random_graph(30, 70)
    out = DIGL(top_k=4, fill=-1.0)(data)
    old = dict(zip(map(tuple, data.edge_index.t().tolist()), data.edge_attr.flatten().tolist(), strict=True))
    seen = set()
    for pair, attr, kind, order in zip(
        map(tuple, out.edge_index.t().tolist()),
        out.edge_attr.flatten().tolist(),
        out.edge_type.tolist(),
        out.edge_order.tolist(),
        strict=True,
    ):
        seen.add(pair)
        assert (attr, kind, order) == ((old[pair], 0, 0) if pair in old else (-1.0, 1, 1))
    assert len(seen) == out.num_edges == 30 * 4
    assert set(old) - seen  # some edge went
    assert {(v, v) for v in range(30)} <= seen


def test_released_baselines_drop_the_weights() -> None:
    data = random_graph(20, 30)
    assert "edge_weight" not in DIGL(epsilon=0.05, alpha=0.1, keep_weights=False)(data)
    assert DIGL(epsilon=0.05, alpha=0.1)(data).edge_weight.dtype == torch.float32


@given(unions(max_graphs=4))
def test_weights_into_a_node_sum_to_one(batch: Batch) -> None:
    for rewire in (DIGL(symmetrise=True, top_k=3), DIGL(symmetrise=True, epsilon=0.1)):
        out = rewire(batch)
        total = torch.zeros(batch.num_nodes).index_add(0, out.edge_index[1], out.edge_weight)
        assert torch.allclose(total, torch.ones(batch.num_nodes))
        pairs = out.edge_index[0] * batch.num_nodes + out.edge_index[1]
        assert pairs.unique().numel() == pairs.numel()


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="not both"):
        DIGL(top_k=3, epsilon=0.1)
    with pytest.raises(ConfigError, match="alpha"):
        DIGL(alpha=0.0)
    with pytest.raises(ConfigError, match="kernel"):
        DIGL(kernel="pp")
    with pytest.raises(GraphError, match="symmetrise"):
        DIGL()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
