"""FastRP against its definition with dense matrices."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch_geometric.data import Batch, Data

from gnnlab.encodings import FastRP, fast_rp
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def _graph(graph: nx.Graph) -> Data:
    edges = torch.tensor(list(graph.to_directed().edges)).t()
    return Data(edge_index=edges, num_nodes=graph.number_of_nodes())


def _dense(data: Data, transform: FastRP) -> torch.Tensor:
    n = data.num_nodes
    weight = data.get("edge_weight")
    weight = torch.ones(data.num_edges) if weight is None else weight
    a = (
        torch.zeros(n, n)
        .double()
        .index_put_((data.edge_index[1], data.edge_index[0]), weight.double(), accumulate=True)
    )
    entering, degree = a.sum(1), a.sum(0)
    p = torch.where(entering > 0, 1 / entering, 0)[:, None] * a
    scale = torch.where(degree > 0, (degree / degree.sum()) ** transform.normalization_strength, 0)
    ptr = torch.tensor([0, n])
    r = fast_rp._projection(range(transform.dim), data.edge_index, ptr, transform.seed)
    power, total = scale[:, None] * r, torch.zeros(n, transform.dim).double()
    for weight in transform.weights:
        power = p @ power
        total += weight * power
    return total


@pytest.mark.parametrize("transform", [FastRP(), FastRP(dim=6, weights=[1, 0.5], normalization_strength=0.3)])
def test_keeps_the_contract(transform: FastRP) -> None:
    check_transform(transform)


@settings(max_examples=30, deadline=None)
@given(unions(max_graphs=3, max_nodes=8, max_edges=20))
def test_is_its_formula(batch) -> None:
    transform = FastRP(dim=7, weights=(0.5, -1.0, 2.0), normalization_strength=-0.8, seed=3)
    expected = torch.cat([_dense(graph, transform) for graph in batch.to_data_list()])
    got = transform(batch).pe_fastrp
    assert got.dtype == torch.float32
    assert torch.allclose(got.double(), expected, rtol=1e-5, atol=1e-5)


def test_uses_weights() -> None:
    data = _graph(nx.karate_club_graph())
    data.edge_weight = torch.rand(data.num_edges, generator=torch.Generator().manual_seed(0)) + 0.1
    transform = FastRP(dim=5)
    assert torch.allclose(transform(data).pe_fastrp.double(), _dense(data, transform), atol=1e-4)


def test_the_projection_is_very_sparse() -> None:
    data = _graph(nx.karate_club_graph())
    r = fast_rp._projection(range(600), data.edge_index, torch.tensor([0, 34]), 0)
    assert r.unique().tolist() == pytest.approx([-(3**0.5), 0.0, 3**0.5])
    shares = [float((r.sign() == sign).double().mean()) for sign in (-1, 0, 1)]
    assert shares == pytest.approx([1 / 6, 2 / 3, 1 / 6], abs=0.01)
    # Rows of R are almost orthonormal once divided by the root of their width.
    inner = r @ r.T / 600
    assert (inner - torch.eye(34)).abs().max() < 0.3


def test_columns_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch.from_data_list([_graph(nx.cycle_graph(5)), _graph(nx.karate_club_graph())])
    whole = FastRP(dim=10)(batch).pe_fastrp
    monkeypatch.setattr(fast_rp, "_CELLS", 39 * 3)
    assert torch.equal(FastRP(dim=10)(batch).pe_fastrp, whole)


def test_inner_products_are_those_of_the_powers() -> None:
    data = _graph(nx.karate_club_graph())
    a = torch.zeros(34, 34).double()
    a[data.edge_index[0], data.edge_index[1]] = 1
    rows = torch.linalg.matrix_power(a / a.sum(1, keepdim=True), 2)
    got = FastRP(dim=4096, weights=[0, 1], normalization_strength=0)(data).pe_fastrp.double()
    error = got @ got.T / 4096 - rows @ rows.T
    assert error.norm() / (rows @ rows.T).norm() < 0.06


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(BudgetError, match="lower dim"):
        FastRP(max_gigabytes=1e-6)(_graph(nx.karate_club_graph()))
    FastRP().check_budget(torch.tensor([10**7]))
    for settings_ in ({"dim": 0}, {"weights": ()}, {"weights": (float("nan"),)}):
        with pytest.raises(ConfigError, match="weights finite"):
            FastRP(**settings_)
