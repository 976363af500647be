"""Bond types, distance bins and raw distances: the input representations of MPNN."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphStore
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.rewiring import BondTypes, CompleteDistances, DistanceBins, FullyAdjacent
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions
from gnnlab.transform import Compose, Transform


@dataclass(frozen=True)
class Positions(Transform):
    """Coordinates from features, for graphs that have none."""

    def forward(self, data: Data) -> Data:
        data.pos = data.x[:, :3].clone()
        return data


@pytest.mark.parametrize("transform", [CompleteDistances(), DistanceBins(), DistanceBins(1, 0.5, 1.5, 3)])
def test_keep_the_contract(transform):
    check_transform(Compose((Positions(), transform)))


def test_bond_types_keep_the_contract():
    check_transform(BondTypes())


def molecule(n: int, seed: int = 0) -> Data:
    """A path with one-hot bonds of four types."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.arange(n - 1)
    kinds = torch.arange(n - 1) % 4
    return Data(
        x=torch.ones(n, 1),
        pos=3 * torch.randn(n, 3, generator=generator),
        edge_index=torch.stack([torch.cat([ends, ends + 1]), torch.cat([ends + 1, ends])]),
        edge_attr=torch.nn.functional.one_hot(torch.cat([kinds, kinds]), 4).float(),
    )


def test_bins_of_the_paper():
    lengths = [1.9, 2.0, 2.49, 2.5, 5.99, 6.0]
    pos = torch.zeros(7, 3, dtype=torch.double)
    pos[1:, 0] = torch.tensor(lengths, dtype=torch.double)
    out = DistanceBins()(Data(pos=pos, edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=7))
    from_first = out.edge_type[out.edge_index[0] == 0]
    assert (from_first - 4).tolist() == [0, 1, 1, 2, 8, 9]


def test_a_bond_never_gets_a_bin():
    data = molecule(12)
    data.pos = 20 * data.pos
    out = DistanceBins()(data)
    bonded = torch.arange(out.edge_index.size(1)) < 22
    assert out.edge_type[bonded].tolist() == data.edge_attr.argmax(1).tolist()
    assert bool((out.edge_type[~bonded] >= 4).all())
    assert int(out.edge_type.max()) == 13


@pytest.mark.parametrize(("n", "pairs"), [(9, 72), (29, 812)])
@pytest.mark.parametrize("transform", [CompleteDistances(), DistanceBins()])
def test_number_of_pairs(n, pairs, transform):
    assert transform(molecule(n)).edge_index.size(1) == pairs


def test_raw_distances_beside_bonds():
    data = molecule(5)
    out = CompleteDistances()(data)
    assert out.edge_attr.shape == (20, 5)
    expected = torch.cdist(data.pos, data.pos)[out.edge_index[0], out.edge_index[1]]
    torch.testing.assert_close(out.edge_attr[:, 0], expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(out.edge_attr[:8, 1:], data.edge_attr)
    assert not out.edge_attr[8:, 1:].any()
    data.edge_attr = None
    assert CompleteDistances()(data).edge_attr.shape == (20, 1)


def by_pair(data: Data) -> dict[tuple[int, int], tuple[int, list[float]]]:
    rows = zip(data.edge_index.t().tolist(), data.edge_type.tolist(), data.edge_attr.tolist(), strict=True)
    return {tuple(ends): (kind, attr) for ends, kind, attr in rows}


@pytest.mark.parametrize("transform", [CompleteDistances(), DistanceBins(), BondTypes()])
def test_graph_batch_and_store_agree(transform):
    graphs = [molecule(n, n) for n in (4, 2, 7)]
    store = GraphStore.from_data_list(graphs).map(transform)
    batch = transform(Batch.from_data_list(graphs))
    for index, graph in enumerate(graphs):
        alone = transform(graph)
        assert by_pair(store[index]) == by_pair(alone)
        begin, end = batch.ptr[index].item(), batch.ptr[index + 1].item()
        mine = (batch.edge_index[0] >= begin) & (batch.edge_index[0] < end)
        rows = {"edge_attr": batch.edge_attr[mine], "edge_type": batch.edge_type[mine]}
        assert by_pair(Data(edge_index=batch.edge_index[:, mine] - begin, **rows)) == by_pair(alone)


@given(unions(max_graphs=3))
def test_virtual_edges_are_one_more_type(batch):
    out = FullyAdjacent(relation=4)(BondTypes()(batch))
    before = batch.edge_index.size(1)
    assert int((out.edge_type == 0).sum()) == before
    assert int((out.edge_type == 4).sum()) == out.edge_index.size(1) - before


def test_types_from_categories():
    data = Data(edge_index=torch.tensor([[0, 1, 1], [1, 0, 1]]), edge_attr=torch.tensor([[2, 0], [3, 1], [0, 9]]))
    assert BondTypes()(data).edge_type.tolist() == [2, 3, 0]
    with pytest.raises(GraphError, match="category 3, outside the 3 types"):
        BondTypes(3)(data)
    data.edge_attr = torch.eye(5)[:3]
    with pytest.raises(GraphError, match="5 columns"):
        BondTypes()(data)


def test_what_does_not_fit_is_named():
    data = molecule(3)
    with pytest.raises(BudgetError, match="6 ordered pairs"):
        CompleteDistances(max_pairs=5)(data)
    with pytest.raises(GraphError, match="categories"):
        CompleteDistances()(Data(pos=data.pos, edge_index=data.edge_index, edge_attr=torch.ones(4, 1).long()))
    for transform in (CompleteDistances(), DistanceBins()):
        with pytest.raises(GraphError, match="no coordinates 'pos'"):
            transform(Data(x=data.x, edge_index=data.edge_index))
    for settings in ({"first": 6.0}, {"num_uniform": 0}, {"first": 0.0}):
        with pytest.raises(ConfigError, match="are none"):
            DistanceBins(**settings)
    with pytest.raises(ConfigError, match="num_types must be at least 1"):
        DistanceBins(num_types=0)
