"""Sparse attention: against its definition, with edges the rewirings write, with tables."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import (
    GNN,
    AtomEncoder,
    BondEncoder,
    ExphormerConv,
    FeatureEncoder,
    GatedGCNConv,
    GINEConv,
    GPSConv,
)
from gnnlab.ops import CSR
from gnnlab.rewiring import Expander, VirtualNode
from gnnlab.testing import check_conv


def graph(nodes: int = 6, edges: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(nodes, (2, edges), generator=generator)
    return index, torch.randn(edges, 8, generator=generator), torch.randint(3, (edges,), generator=generator)


@pytest.mark.parametrize(
    ("case", "edge_dim", "num_relations"),
    [
        ({"num_relations": None}, 4, None),
        ({}, 4, 3),
        ({"dropout": 0.3, "use_bias": True}, None, 3),
        ({"clamp": None, "heads": 3}, 4, 2),
    ],
)
def test_check_conv(case, edge_dim, num_relations):
    check_conv(partial(ExphormerConv, **{"heads": 2, **case}), edge_dim=edge_dim, num_relations=num_relations)


def definition(conv: ExphormerConv, x: Tensor, index: Tensor, features: Tensor) -> Tensor:
    """exp and clamp, sums of weighted values over sums of weights, as released; without their 1e-6."""
    heads = (-1, conv.heads, conv.out_channels // conv.heads)
    query, key, value = (layer(x).view(heads) for layer in (conv.query, conv.key, conv.value))
    score = key[index[0]] * query[index[1]] / heads[2] ** 0.5 * conv.edge(features).view(heads)
    weight = score.sum(-1, keepdim=True).clamp(-5, 5).exp()
    out = torch.zeros_like(value).index_add(0, index[1], value[index[0]] * weight)
    total = value.new_zeros(len(x), conv.heads, 1).index_add(0, index[1], weight)
    return torch.where(total > 0, out / total, 0).flatten(1)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_equals_the_definition(scale):
    index, edge_attr, kind = graph()
    x, conv = scale * torch.randn(7, 8), ExphormerConv(8, 8, heads=2)  # node 6 has no edges
    expected = definition(conv, x, index, edge_attr + conv.relation.weight[kind])
    torch.testing.assert_close(conv(x, index, edge_attr, kind), expected, rtol=1e-4, atol=1e-5)
    typed = definition(conv, x, index, conv.relation.weight[kind])
    torch.testing.assert_close(conv(x, index, edge_type=kind), typed, rtol=1e-4, atol=1e-5)
    first = definition(conv, x, index, conv.relation.weight[torch.zeros_like(kind)])
    torch.testing.assert_close(conv(x, index), first, rtol=1e-4, atol=1e-5)
    plain = ExphormerConv(8, 8, heads=2, num_relations=None)
    assert torch.equal(plain(x, index, edge_attr), plain(x, index, edge_attr, kind))


def test_tables_give_what_the_edge_states_do(molecules):
    batch = molecules()
    x, table = torch.randn(batch.num_nodes, 8), BondEncoder(8).table(batch.edge_attr)
    kind = torch.arange(batch.num_edges) % 3
    for options in ({}, {"num_relations": None}, {"use_bias": True}):
        conv = ExphormerConv(8, 8, **options)
        out = [conv(x, batch.edge_index, states, kind) for states in (table, table.dense())]
        torch.testing.assert_close(*out)


def molecules_with_expanders() -> Batch:
    generator, graphs = torch.Generator().manual_seed(1), []
    for n in (7, 1, 5):
        one_way = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
        data = Data(
            x=torch.randint(2, (n, 9), generator=generator),
            edge_index=torch.cat([one_way, one_way.flip(0)], 1),
            edge_attr=torch.randint(2, (2 * n - 2, 3), generator=generator),
        )
        graphs.append(VirtualNode(relation=2)(Expander(kind="regular")(data)))
    return Batch.from_data_list(graphs)


@pytest.mark.parametrize("local", [GINEConv, GatedGCNConv])
def test_a_model_on_expanders_and_virtual_nodes(local):
    batch = molecules_with_expanders()
    assert batch.edge_type.unique().tolist() == [0, 1, 2]
    layer = partial(GPSConv, local=local, attention=ExphormerConv, local_relations=[0])
    encoder = partial(FeatureEncoder, node=AtomEncoder, edge=BondEncoder)
    model = GNN(3, 16, 3, layer, encoder=encoder, norm=None, residual=False, activation=None)
    out = model(batch)
    (out * torch.randn_like(out)).sum().backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None}
    assert all(name.startswith("layers.2.conv.local.conv.edge_output") for name in idle)
    model.eval()
    torch.testing.assert_close(torch.cat([model(one) for one in batch.to_data_list()]), model(batch))
    without = batch.clone()
    kept = batch.edge_type != 1
    without.edge_index, without.edge_attr = batch.edge_index[:, kept], batch.edge_attr[kept]
    without.edge_type = batch.edge_type[kept]
    assert not torch.allclose(model(without), model(batch))


def test_parameter_counts():
    assert sum(p.numel() for p in ExphormerConv(64, 64).parameters()) == 4 * 64 * 64 + 3 * 64
    layer = GPSConv(64, 64, GatedGCNConv, ExphormerConv)
    gated, block = 5 * (64 * 64 + 64) + 2 * 128, 2 * 64 * 128 + 128 + 64
    assert sum(p.numel() for p in layer.parameters()) == gated + 16_576 + block + 3 * 128 == 54_592


def test_errors_name_what_is_wrong():
    index, edge_attr, kind = graph()
    x = torch.randn(6, 8)
    with pytest.raises(ConfigError, match="num_relations must be at least 1"):
        ExphormerConv(8, 8, num_relations=0)
    with pytest.raises(ConfigError, match="4 heads do not divide 6"):
        ExphormerConv(8, 6)
    with pytest.raises(GraphError, match="relation 2, but the layer has 2 relations"):
        ExphormerConv(8, 8, num_relations=2)(x, index, edge_attr, kind)
    with pytest.raises(GraphError, match="relation -1"):
        ExphormerConv(8, 8)(x, index, edge_attr, kind - 1)
    with pytest.raises(GraphError, match="features or types"):
        ExphormerConv(8, 8, num_relations=None)(x, index)
    with pytest.raises(GraphError, match="width 8"):
        ExphormerConv(8, 8)(x, CSR.from_edge_index(index, 6), edge_attr[:, :4])
