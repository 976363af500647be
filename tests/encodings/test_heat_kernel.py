"""HeatKernelPE against closed forms, dense exponentials and what the published code computes."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import get_laplacian, to_scipy_sparse_matrix

from gnnlab.encodings import HeatKernelPE
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.testing import check_transform


def _graph(graph: nx.Graph) -> Data:
    edges = torch.tensor(list(nx.convert_node_labels_to_integers(graph).to_directed().edges)).t().contiguous()
    return Data(edge_index=edges, num_nodes=graph.number_of_nodes())


def _laplacian(data: Data, normalization: str | None = None) -> Tensor:
    matrix = to_scipy_sparse_matrix(
        *get_laplacian(data.edge_index, normalization=normalization, num_nodes=data.num_nodes), data.num_nodes
    )
    return torch.from_numpy(matrix.toarray()).double()


@pytest.mark.parametrize(
    "transform",
    [
        HeatKernelPE(),
        HeatKernelPE(times=[0.5, 2], normalization="sym", pairs="hops", space_dim=1),
        HeatKernelPE(times=(1, 3), normalization="rw", include_trivial=False, pairs="edges"),
        HeatKernelPE(times=(1, 3), probes=4, dense_limit=2, pairs="all"),
    ],
)
def test_contract(transform: HeatKernelPE) -> None:
    check_transform(transform)


def test_hexagon() -> None:
    encoded = HeatKernelPE()(_graph(nx.cycle_graph(6))).pe_hk
    assert encoded.shape == (6, 20)
    assert encoded.dtype == torch.float32
    expected = sum(math.exp(-(2 - 2 * math.cos(2 * math.pi * k / 6))) for k in range(6)) / 6
    assert encoded[0, 0].item() == pytest.approx(0.308941, abs=1e-6)
    assert encoded[:, 0].tolist() == pytest.approx([expected] * 6, abs=1e-6)


@pytest.mark.parametrize("normalization", [None, "sym", "rw"])
def test_traces_and_time_zero(normalization: str | None) -> None:
    data = _graph(nx.connected_watts_strogatz_graph(20, 4, 0.5, seed=2))
    times = (0.0, 0.3, 1.0, 7.0)
    encoded = HeatKernelPE(times=times, normalization=normalization)(data).pe_hk.double()
    assert torch.allclose(encoded[:, 0], torch.ones(20).double(), atol=1e-6)
    values = torch.linalg.eigvalsh(_laplacian(data, None if normalization is None else "sym"))
    for column, t in enumerate(times):
        assert encoded[:, column].sum().item() == pytest.approx(torch.exp(-t * values).sum().item(), abs=1e-5)
    assert bool((encoded.diff(dim=1) <= 1e-7).all())


def test_both_normalised_laplacians_have_the_same_diagonal() -> None:
    data = _graph(nx.barabasi_albert_graph(15, 2, seed=0))
    left, right = (HeatKernelPE(normalization=name)(data).pe_hk for name in ("sym", "rw"))
    assert torch.allclose(left, right, atol=1e-6)


def test_pairs_are_entries_of_the_exponential() -> None:
    data = _graph(nx.gnm_random_graph(12, 20, seed=4))
    encoded = HeatKernelPE(times=(0.5, 2.0), pairs="all")(data)
    source, target = encoded.pair_index
    for column, t in enumerate((0.5, 2.0)):
        dense = torch.linalg.matrix_exp(-t * _laplacian(data))
        assert torch.allclose(encoded.pair_pe_hk[:, column].double(), dense[source, target], atol=1e-6)


def test_the_published_code_leaves_the_zero_eigenvalues_out() -> None:
    data = _graph(nx.disjoint_union(nx.path_graph(5), nx.cycle_graph(4)))
    values, vectors = torch.linalg.eigh(_laplacian(data))
    kept = values > 1e-8
    times = torch.arange(1, 21).double()
    expected = vectors[:, kept].square() @ torch.exp(-values[kept, None] * times) * times.pow(0.5)
    encoded = HeatKernelPE(include_trivial=False, space_dim=1)(data).pe_hk
    assert torch.allclose(encoded.double(), expected, atol=1e-6)


def test_isolated_nodes_keep_their_heat() -> None:
    encoded = HeatKernelPE()(Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3)).pe_hk
    assert encoded[2].tolist() == [1.0] * 20


def test_probes_come_near_and_large_graphs_are_refused_without() -> None:
    data = _graph(nx.grid_2d_graph(8, 8))
    exact = HeatKernelPE()(data).pe_hk
    rough = HeatKernelPE(probes=500, dense_limit=10)(data).pe_hk
    assert float((rough / exact - 1).square().mean().sqrt()) < 1.3 * (2 / 500) ** 0.5
    with pytest.raises(BudgetError, match="probes="):
        HeatKernelPE(dense_limit=10)(data)


def test_refuses_bad_settings() -> None:
    for settings in ({"times": ()}, {"times": (-1,)}, {"normalization": "symm"}, {"probes": 0}, {"pairs": "edge"}):
        with pytest.raises(ConfigError, match="HeatKernelPE"):
            HeatKernelPE(**settings)
    assert HeatKernelPE(times=(1, 2)).key() == HeatKernelPE(times=[1.0, 2.0]).key()
