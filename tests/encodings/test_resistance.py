"""ResistancePE: nodes, pairs between and within components, scales, large graphs."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

from gnnlab.encodings import ResistancePE
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.testing import check_transform

BARBELL = Data(edge_index=from_networkx(nx.barbell_graph(4, 0)).edge_index, num_nodes=8)


@pytest.mark.parametrize(
    "transform",
    [
        ResistancePE(),
        ResistancePE(pairs="hops", scale="n"),
        ResistancePE(pairs="all", scale="log"),
        ResistancePE(pairs=None),
        ResistancePE(node=False, pairs="all"),
    ],
)
def test_contract(transform: ResistancePE) -> None:
    check_transform(transform)


def test_estimates_do_not_depend_on_the_batch() -> None:
    graphs = [BARBELL, Data(edge_index=from_networkx(nx.grid_2d_graph(4, 5)).edge_index, num_nodes=20)]
    transform = ResistancePE(method="sketch", epsilon=0.3)
    together = transform(Batch.from_data_list(graphs))
    alone = transform(graphs[1])
    assert torch.allclose(together.pe_resistance[8:], alone.pe_resistance, rtol=1e-4)
    exact = ResistancePE()(graphs[1]).pe_resistance[:, 0]
    assert 0.01 < float((alone.pe_resistance[:, 0] / exact - 1).abs().max()) < 0.6


def test_barbell() -> None:
    encoded = ResistancePE(pairs="all")(BARBELL)
    pairs = encoded.pair_pe_resistance.view(8, 8, 3)
    assert torch.allclose(pairs[0, 7], torch.tensor([2.0, 52.0, 1.0]))  # the farthest pair
    assert torch.allclose(pairs[3, 4], torch.tensor([1.0, 26.0, 1.0]))  # the bridge
    assert torch.equal(pairs[2, 2], torch.tensor([0.0, 0.0, 1.0]))
    assert torch.allclose(encoded.pe_resistance[0, 2:4], torch.tensor([0.5, 2.0]))
    assert torch.equal(ResistancePE()(BARBELL).edge_pe_resistance.max(0).values, pairs[3, 4])


def test_between_components_is_not_a_node_and_itself() -> None:
    # Joined by an edge that does not conduct, and beside a node of its own.
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    data = Data(edge_index=edge_index, edge_weight=torch.tensor([2.0, 2.0, 0.0, 0.0]), num_nodes=4)
    encoded = ResistancePE(pairs="all")(data)
    values = encoded.pair_pe_resistance.view(4, 4, 3)
    assert torch.allclose(values[0, 1], torch.tensor([0.5, 2.0, 1.0]))
    assert values[1, 2].tolist() == values[3, 0].tolist() == [0, 0, 0]
    assert values[3, 3].tolist() == [0, 0, 1]
    assert encoded.pe_resistance[2:].abs().max() == 0


def test_scales() -> None:
    raw, by_size, log = (ResistancePE(scale=scale)(BARBELL) for scale in (None, "n", "log"))
    assert torch.allclose(by_size.pe_resistance, raw.pe_resistance / 8)
    assert torch.allclose(log.pe_resistance, raw.pe_resistance.log1p())
    assert torch.allclose(by_size.edge_pe_resistance[:, :2], raw.edge_pe_resistance[:, :2] / 8)
    assert torch.allclose(log.edge_pe_resistance[:, :2], raw.edge_pe_resistance[:, :2].log1p())
    assert bool((log.edge_pe_resistance[:, 2] == 1).all() and (by_size.edge_pe_resistance[:, 2] == 1).all())


def test_large_graphs() -> None:
    nodes = torch.arange(250_000)
    path = Data(edge_index=torch.stack([nodes[1:], nodes[:-1]]), num_nodes=250_000)
    with pytest.raises(BudgetError, match="node=False"):
        ResistancePE()(path)
    pairs = torch.tensor([[0, 7], [200_000, 7]])
    encoded = ResistancePE(node=False, pairs="hops")(
        Data(edge_index=path.edge_index, pair_index=pairs, num_nodes=250_000)
    )
    # An edge in one direction conducts half.
    assert encoded.pair_pe_resistance[:, 0].tolist() == pytest.approx([400_000, 0], rel=1e-4)


def test_bad_settings_name_what_there_is() -> None:
    for field, value in (("scale", "m"), ("method", "autos"), ("epsilon", 2.0), ("pairs", "edge")):
        with pytest.raises(ConfigError, match=field):
            ResistancePE(**{field: value})
