"""Encodings of nodes, edges and pairs in the FeatureEncoder, from Python and from YAML; plain vectors as encodings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import (
    GNN,
    AtomEncoder,
    BondEncoder,
    FeatureEncoder,
    GINEConv,
    KernelPEEncoder,
    LinearEncoder,
    LinearPEEncoder,
    PairEncoder,
)

EDGE_PE = partial(LinearPEEncoder, "edge_pe_rrwp", 21, 16)


@pytest.fixture
def encoded(molecules: Callable[..., Batch]) -> Batch:
    """Molecules with an encoding of every kind."""
    batch = molecules()
    n, edges = batch.num_nodes, batch.edge_index
    batch.edge_pe_rrwp = torch.rand(edges.size(1), 21)
    same = batch.batch.unsqueeze(1) == batch.batch
    batch.pair_index = same.nonzero().t().flip(0)
    batch.pair_pe_rrwp = torch.rand(batch.pair_index.size(1), 21)
    batch.pe_lap_group = torch.where(batch.pe_lap_mask, torch.arange(4), -1).expand(n, 4)
    batch.pe_lap_whole = batch.pe_lap_mask
    return batch


def test_linear_encoder_is_a_kernel_encoder_of_one_layer(molecules):
    torch.manual_seed(0)
    linear = LinearPEEncoder()
    kernel = KernelPEEncoder(num_layers=1)
    kernel.load_state_dict(linear.state_dict())
    torch.testing.assert_close(linear.eval()(molecules()), kernel.eval()(molecules()))
    deep = KernelPEEncoder(out_channels=10, num_layers=3)
    assert [layer.out_features for layer in deep.mlp if isinstance(layer, nn.Linear)] == [20, 20, 10]
    plain = KernelPEEncoder("pe_lap", 4, 5, raw_norm=None)
    assert isinstance(plain.norm, nn.Identity)
    batch = molecules()
    batch.pe_lap = batch.pe_lap.double()  # an encoding of another precision is no obstacle
    assert plain(batch).dtype == torch.float32


def test_widths_that_differ_are_named(encoded):
    with pytest.raises(GraphError, match=r"'pe_rwse' has shape \[11, 20\], but in_channels=16\n  set in_channels=20"):
        LinearPEEncoder(in_channels=16)(encoded)
    with pytest.raises(GraphError, match=r"KernelPEEncoder: 'pe_rwse' has shape \[11, 20\], but in_channels=1\n"):
        KernelPEEncoder(in_channels=1)(encoded)
    with pytest.raises(GraphError, match="one row per element"):
        LinearPEEncoder("batch", 1)(encoded)
    with pytest.raises(ConfigError, match="num_layers must be at least 1"):
        KernelPEEncoder(num_layers=0)


def test_edge_encodings_stand_beside_edge_features(encoded):
    encoder = FeatureEncoder(64, AtomEncoder, BondEncoder, edge_encodings=[EDGE_PE]).eval()
    encoder.edge_tables = True  # what the layers could read, but encodings differ from edge to edge
    _, edges = encoder(encoded)
    assert edges.shape == (encoded.num_edges, 64)
    torch.testing.assert_close(edges[:, :48], encoder.edge(encoded.edge_attr))
    torch.testing.assert_close(edges[:, 48:], encoder.edge_encodings[0](encoded))


def test_edge_encodings_alone(encoded):
    encoder = FeatureEncoder(32, AtomEncoder, edge_encodings=[EDGE_PE, EDGE_PE]).eval()
    del encoded.edge_attr
    _, edges = encoder(encoded)
    torch.testing.assert_close(edges, torch.cat([part(encoded) for part in encoder.edge_encodings], 1))
    assert GNN(1, 32, 2, GINEConv, lambda channels: encoder)(encoded).shape == (3, 1)


def test_encodings_that_are_added(encoded):
    node = partial(LinearPEEncoder, out_channels=16)
    encoder = FeatureEncoder(16, AtomEncoder, BondEncoder, [node, node], [EDGE_PE], combine="add").eval()
    x, edges = encoder(encoded)
    one, two = encoder.encodings
    torch.testing.assert_close(x, encoder.node(encoded.x) + one(encoded) + two(encoded))
    torch.testing.assert_close(edges, encoder.edge(encoded.edge_attr) + encoder.edge_encodings[0](encoded))
    alone = FeatureEncoder(16, AtomEncoder, edge_encodings=[EDGE_PE, EDGE_PE], combine="add").eval()
    torch.testing.assert_close(alone(encoded)[1], sum(part(encoded) for part in alone.edge_encodings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"edge": BondEncoder, "edge_encodings": [EDGE_PE]}, "edge encodings take 16 channels, the model has 16"),
        ({"edge_encodings": [EDGE_PE, EDGE_PE]}, "take 32 channels, but without an edge encoder they must fill all 16"),
        ({"encodings": [LinearPEEncoder], "combine": "add"}, "need out_channels=16, but LinearPEEncoder has 28"),
        ({"edge_encodings": [LinearPEEncoder], "combine": "add"}, "edge encodings that are added need"),
        ({"combine": "sum"}, "unknown combine 'sum'"),
        ({"edge": BondEncoder, "pair": PairEncoder}, "either edge features or pair states"),
        ({"edge_encodings": [EDGE_PE], "pair": PairEncoder}, "either edge features or pair states"),
    ],
)
def test_parts_that_do_not_fit(settings, message):
    with pytest.raises(ConfigError, match=message):
        FeatureEncoder(16, AtomEncoder, **settings)


def test_pair_states_take_the_place_of_edge_features(encoded):
    encoder = FeatureEncoder(16, AtomEncoder, pair=PairEncoder)
    x, pairs = encoder(encoded)
    assert x.shape == (11, 16)
    torch.testing.assert_close(pairs, encoder.pair.encoding.mlp[0](encoded.pair_pe_rrwp))


def expected_pairs(encoder: PairEncoder, batch: Data) -> Tensor:
    """One pair and one edge at a time."""
    states = encoder.encoding(batch).clone()
    edges = encoder.edge(batch.edge_attr)
    for row, (u, v) in enumerate(batch.pair_index.t().tolist()):
        found = [edge for edge, ends in enumerate(batch.edge_index.t().tolist()) if ends == [u, v]]
        states[row] += sum(edges[edge] for edge in found)
        if encoder.marks is not None:
            states[row] += (u == v) * encoder.marks.weight[0] + bool(found) * encoder.marks.weight[1]
    return states


@pytest.mark.parametrize("marks", [False, True])
def test_edge_features_reach_their_pairs(marks):
    """Parallel edges and a loop add up, directions differ, an edge outside the pairs is left out."""
    edge_index = torch.tensor([[0, 0, 1, 2, 3, 3], [1, 1, 0, 2, 2, 0]])
    pair_index = torch.tensor([[1, 0, 2, 3, 1, 0, 2], [0, 1, 2, 2, 3, 0, 3]])  # in no order, without 3 -> 0
    data = Data(edge_index=edge_index, num_nodes=4, edge_attr=torch.randn(6, 3), pair_index=pair_index)
    data.pair_pe_rrwp = torch.randn(7, 21)
    encoder = PairEncoder(8, edge=partial(LinearEncoder, in_channels=3), marks=marks)
    out = encoder(data)
    torch.testing.assert_close(out, expected_pairs(encoder, data))
    order = torch.randperm(6)
    data.edge_index, data.edge_attr = edge_index[:, order], data.edge_attr[order]
    torch.testing.assert_close(encoder(data), out)
    out.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_pairs_of_a_batch_are_those_of_its_graphs(encoded):
    encoder = PairEncoder(8, edge=BondEncoder, marks=True)
    torch.testing.assert_close(encoder(encoded), expected_pairs(encoder, encoded))


@pytest.mark.parametrize("n", [0, 1])
def test_pairs_where_there_is_nothing(n):
    none = torch.zeros(2, 0, dtype=torch.long)
    data = Data(edge_index=none, num_nodes=n, edge_attr=torch.zeros(0, 3, dtype=torch.long), pair_index=none)
    data.pair_pe_rrwp = torch.zeros(0, 21)
    assert PairEncoder(8, edge=BondEncoder, marks=True)(data).shape == (0, 8)
    edges = Data(edge_index=torch.zeros(2, 3 * n, dtype=torch.long), num_nodes=n, pair_index=none)
    edges.pair_pe_rrwp, edges.edge_attr = data.pair_pe_rrwp, torch.zeros(3 * n, 3, dtype=torch.long)
    assert PairEncoder(8, edge=BondEncoder, marks=True)(edges).shape == (0, 8)


def test_what_pairs_lack_is_named(encoded):
    encoder = PairEncoder(8, edge=BondEncoder)
    short = encoded.clone()
    short.pair_pe_rrwp = short.pair_pe_rrwp[:-1]
    with pytest.raises(GraphError, match="'pair_pe_rrwp' has 52 rows, but there are 53 pairs"):
        encoder(short)
    for key in ("pair_index", "pair_pe_rrwp", "edge_attr", "edge_index"):
        lacking = encoded.clone()
        del lacking[key]
        with pytest.raises(GraphError, match=f"no '{key}'"):
            encoder(lacking)


NODE_ENCODINGS = """
- {class_path: gnnlab.nn.LinearPEEncoder, init_args: {attribute: pe_rwse, in_channels: 20, out_channels: 8}}
- {class_path: gnnlab.nn.KernelPEEncoder, init_args: {out_channels: 8, num_layers: 3, raw_norm: null}}
- {class_path: gnnlab.nn.LapPEEncoder, init_args: {out_channels: 8, signs: batch}}
- {class_path: gnnlab.nn.LapPEEncoder, init_args: {model: transformer, heads: 2, raw_norm: batch, pool: mean}}
- {class_path: gnnlab.nn.SignNet, init_args: {rho: mlp, k: 4, num_layers: 2, values: true}}
- {class_path: gnnlab.nn.BasisNet, init_args: {out_channels: 8, values: false}}
- {class_path: gnnlab.nn.SPE, init_args: {kind: diagonal, norm: null}}
- gnnlab.nn.LapPEEncoder
- gnnlab.nn.SignNet
- gnnlab.nn.BasisNet
- gnnlab.nn.SPE
"""
EDGES = """
edge: gnnlab.nn.BondEncoder
edge_encodings:
- {class_path: gnnlab.nn.LinearPEEncoder, init_args: {attribute: edge_pe_rrwp, in_channels: 21, out_channels: 8}}
"""
PAIRS = """
pair:
  class_path: gnnlab.nn.PairEncoder
  init_args: {edge: gnnlab.nn.BondEncoder, marks: true, raw_norm: batch}
"""


@pytest.mark.parametrize("second", [EDGES, PAIRS])
def test_every_encoder_can_be_written_in_yaml(encoded, second):
    encoder = {"node": "gnnlab.nn.AtomEncoder", "encodings": yaml.safe_load(NODE_ENCODINGS), **yaml.safe_load(second)}
    config = {
        "class_path": "gnnlab.nn.GNN",
        "init_args": {
            "out_channels": 1,
            "hidden_channels": 160,
            "conv": "gnnlab.nn.GINEConv",
            "encoder": {"class_path": "gnnlab.nn.FeatureEncoder", "init_args": encoder},
        },
    }
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    parsed = parser.parse_object({"model": config})
    model = (getattr(parser, "instantiate", None) or parser.instantiate_classes)(parsed).model
    names = [type(module).__name__ for module in model.encoder.encodings]
    assert names[:4] == ["LinearPEEncoder", "KernelPEEncoder", "LapPEEncoder", "LapPEEncoder"]
    x, others = model.encoder(encoded)
    assert x.shape == (11, 160)
    assert others.shape == (encoded.pair_index.size(1) if second is PAIRS else encoded.num_edges, 160)
    assert x.isfinite().all()
    model.encoder.reset_parameters()
    if second is EDGES:
        assert model(encoded).shape == (3, 1)
