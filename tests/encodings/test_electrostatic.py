"""ElectrostaticPE: both variants, the columns of GPSE, degenerate graphs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import erdos_renyi_graph

from gnnlab.encodings import ElectrostaticPE
from gnnlab.errors import ConfigError
from gnnlab.testing import check_transform

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def in_the_manner_of_graphgps(edge_index: Tensor, n: int) -> Tensor:
    """What its code computes in exact arithmetic, its maximum over the wrong dimension included; NaN as zero."""
    adjacency = torch.zeros(n, n, dtype=torch.float64)
    adjacency[edge_index[0], edge_index[1]] = 1
    adjacency.fill_diagonal_(0)
    laplace = torch.diag(adjacency.sum(1)) - adjacency
    walk = torch.diag(1 / adjacency.sum(1)).matmul(adjacency)
    if (adjacency.sum(1) == 0).any():
        walk = torch.full_like(walk, torch.nan)
    g = torch.linalg.pinv(laplace, hermitian=True, rtol=1e-10)
    g = g - g.diag()
    columns = [g.amin(0), g.amax(0), g.mean(0), g.std(0), g.amin(1), g.amax(0), g.mean(1), g.std(1)]
    return torch.stack([*columns, (walk * g).sum(0), (walk * g).sum(1)], 1).nan_to_num(0.0)


@pytest.mark.parametrize("transform", [ElectrostaticPE(), ElectrostaticPE("released"), ElectrostaticPE(columns="gpse")])
def test_contract(transform: ElectrostaticPE) -> None:
    check_transform(transform)


def test_released_is_what_graphgps_computes() -> None:
    # The last ones are disconnected, with isolated nodes and without.
    graphs = [Data(edge_index=erdos_renyi_graph(n, p), num_nodes=n) for n, p in ((12, 0.5), (20, 0.2), (15, 0.1))]
    pieces = torch.cat([PATH, PATH + 3], 1)
    graphs.append(Data(edge_index=pieces, num_nodes=6))
    got = ElectrostaticPE(variant="released")(Batch.from_data_list(graphs)).pe_electrostatic
    expected = torch.cat([in_the_manner_of_graphgps(g.edge_index, g.num_nodes) for g in graphs])
    assert torch.allclose(got, expected.float(), atol=1e-5)


def test_variants_agree_on_connected_graphs_and_differ_on_others() -> None:
    connected = Data(edge_index=PATH, num_nodes=3)
    first, second = (ElectrostaticPE(variant=v)(connected).pe_electrostatic for v in ("paper", "released"))
    assert torch.equal(first, second)
    alone = Data(edge_index=PATH, num_nodes=4)
    paper, released = (ElectrostaticPE(variant=v)(alone).pe_electrostatic for v in ("paper", "released"))
    assert torch.equal(paper[:3], first)
    assert torch.equal(paper[3], torch.zeros(10))
    assert torch.equal(released[:, 8:], torch.zeros(4, 2))
    assert float((released[:3, :8] - first[:, :8]).abs().max()) > 0.01


def test_columns_of_gpse() -> None:
    data = Data(edge_index=erdos_renyi_graph(15, 0.3), num_nodes=15)
    every = ElectrostaticPE()(data).pe_electrostatic
    assert torch.equal(ElectrostaticPE(columns="gpse")(data).pe_electrostatic, every[:, [0, 2, 3, 4, 7, 8, 9]])


def test_bad_settings_name_what_there_is() -> None:
    with pytest.raises(ConfigError, match="released"):
        ElectrostaticPE(variant="release")
    with pytest.raises(ConfigError, match="columns"):
        ElectrostaticPE(columns="seven")
