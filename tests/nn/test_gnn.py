"""The model: the architectures of the benchmarks, against hand-written forward passes and by property."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import (
    GNN,
    MLP,
    AtomEncoder,
    BatchNorm,
    BondEncoder,
    FeatureEncoder,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    LapPEEncoder,
    LinearEncoder,
    LinearPEEncoder,
    MLPHead,
    OGBGCNConv,
    SAGEConv,
    VirtualNode,
)
from gnnlab.ops import CSR, complete_edge_index, dropout

MOLECULE = partial(FeatureEncoder, node=AtomEncoder, edge=BondEncoder)
PER_LAYER_BONDS = partial(FeatureEncoder, node=AtomEncoder)
OGB_MLP = partial(MLP, expansion=2, norm=BatchNorm)
OGB_GIN = partial(GINEConv, train_eps=True, update=OGB_MLP, edge_encoder=BondEncoder)
TABULAR = partial(LinearEncoder, in_channels=9, activation=nn.GELU, dropout=0.2)
FEED_FORWARD = partial(MLP, activation=nn.GELU, dropout=0.2)
OGB = {"encoder": PER_LAYER_BONDS, "norm": BatchNorm, "last_activation": False, "residual": False, "dropout": 0.5}
PLATONOV = {
    "encoder": partial(FeatureEncoder, node=TABULAR),
    "norm": nn.LayerNorm,
    "norm_position": "pre",
    "activation": None,
    "head": nn.Linear,
    "level": "node",
}
ARCHITECTURES = {
    "lrgb-gcn": {
        "encoder": partial(FeatureEncoder, node=AtomEncoder, encodings=[LinearPEEncoder]),
        "activation": nn.GELU,
        "dropout": 0.1,
        "head": partial(MLPHead, num_layers=3, dropout=0.1),
    },
    "lrgb-gine": {
        "conv": partial(GINEConv, update=partial(MLP, activation=nn.GELU, dropout=0.1)),
        "encoder": partial(MOLECULE, encodings=[LapPEEncoder]),
        "activation": None,
        "head": partial(MLPHead, num_layers=3, dropout=0.1),
    },
    "lrgb-gated-gcn": {
        "conv": partial(GatedGCNConv, activation=nn.GELU, dropout=0.1),
        "encoder": MOLECULE,
        "activation": None,
        "level": "link",
    },
    "zinc-gine": {"conv": GINEConv, "encoder": MOLECULE, "norm": BatchNorm, "pool": "sum"},
    "ogb-gin": {"conv": OGB_GIN, **OGB},
    "ogb-gcn": {"conv": partial(OGBGCNConv, edge_encoder=BondEncoder), **OGB},
    "ogb-gin-virtual": {"conv": OGB_GIN, "virtual_node": partial(VirtualNode, dropout=0.5), **OGB},
    "tu-gin": {
        "conv": partial(GINConv, update=partial(MLP, norm=BatchNorm)),
        "encoder": partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=9)),
        "norm": BatchNorm,
        "residual": False,
        "jumping_knowledge": "score",
        "pool": "sum",
        "head": partial(MLPHead, output_dropout=0.5),
    },
    "platonov-gcn": {"conv": partial(GCNConv, add_self_loops=False, update=FEED_FORWARD), **PLATONOV},
    "platonov-sage": {"conv": partial(SAGEConv, update=FEED_FORWARD), **PLATONOV},
    "platonov-gat": {"conv": partial(GATConv, heads=8, update=FEED_FORWARD), **PLATONOV},
    "bottleneck": {
        "conv": GINConv,
        "encoder": PER_LAYER_BONDS,
        "norm": nn.LayerNorm,
        "norm_position": "post",
        "fully_adjacent_last": True,
        "level": "node",
    },
    "jumping-cat": {"encoder": PER_LAYER_BONDS, "jumping_knowledge": "cat"},
    "jumping-sum": {"encoder": PER_LAYER_BONDS, "jumping_knowledge": "sum"},
}


def build(name: str, **changes) -> GNN:
    return GNN(3, **{"hidden_channels": 48, "num_layers": 3, **ARCHITECTURES[name], **changes})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batch_equals_single(name, molecules):
    model, batch = build(name).double().eval(), molecules()
    for key, value in batch:
        if torch.is_tensor(value) and value.is_floating_point():
            batch[key] = value.double()
    graphs = batch.to_data_list()
    out = model(batch)
    rows = len(graphs) if ARCHITECTURES[name].get("level", "graph") == "graph" else batch.num_nodes
    assert out.shape == (rows, 3)
    torch.testing.assert_close(torch.cat([model(graph) for graph in graphs]), out)
    turned = model(Batch.from_data_list(graphs[::-1]))
    if rows == len(graphs):
        torch.testing.assert_close(turned.flip(0), out)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_trains_and_every_parameter_takes_part(name, molecules):
    model = build(name)
    out = model(molecules((6, 1, 4, 7)))
    (out * torch.randn_like(out)).sum().backward()
    idle = {key for key, p in model.named_parameters() if p.grad is None}
    # The edge states of the last GatedGCN layer have no reader.
    assert all(key.startswith("layers.2.conv.edge_output") for key in idle)
    before = model.num_parameters
    assert before == sum(p.numel() for p in model.parameters()) > 0
    pickle.loads(pickle.dumps(model))
    model.reset_parameters()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_degenerate_batches(name, molecules):
    model = build(name).eval()
    assert model(molecules((1,))).isfinite().all()
    assert model(_without_nodes(molecules())).isfinite().all()


def _without_nodes(batch: Batch) -> Data:
    """Two graphs without nodes."""
    columns = {key: value[:0] for key, value in batch.to_dict().items() if key not in ("edge_index", "ptr", "batch")}
    return Data(**columns, edge_index=torch.zeros(2, 0, dtype=torch.long), ptr=torch.zeros(3, dtype=torch.long))


def test_states_are_the_inputs_and_outputs_of_the_layers(molecules):
    model, batch = build("lrgb-gcn").eval(), molecules()
    states = model.states(batch)
    assert [tuple(state.shape) for state in states] == [(batch.num_nodes, 48)] * 4
    torch.testing.assert_close(states[0], model.encoder(batch)[0])
    for layer, before, after in zip(model.layers, states, states[1:]):
        torch.testing.assert_close(after, before + nn.functional.gelu(layer.conv(before, batch.edge_index)))
    pooled = pyg.global_mean_pool(states[-1], batch.batch)
    torch.testing.assert_close(model(batch), model.readout.head(pooled))


def test_kipf_gcn_equals_two_pyg_layers():
    edge_index, x = torch.randint(20, (2, 60)), torch.randn(20, 7)
    model = GNN(
        3, 16, 2, GCNConv, in_channels=7, residual=False, dropout=0.5, input_dropout=0.5, head=None, level="node"
    )
    first, second = pyg.GCNConv(7, 16), pyg.GCNConv(16, 3)
    for ours, theirs in zip(model.layers, (first, second)):
        theirs.lin.weight.data, theirs.bias.data = ours.conv.lin.weight.data, ours.conv.bias.data
    expected = second(first(x, edge_index).relu(), edge_index)
    torch.testing.assert_close(model.eval()(Data(x=x, edge_index=edge_index)), expected)
    assert model.num_parameters == 7 * 16 + 16 + 16 * 3 + 3
    torch.manual_seed(5)
    actual = model.train()(Data(x=x, edge_index=edge_index))
    torch.manual_seed(5)
    drop = partial(dropout, p=0.5)
    torch.testing.assert_close(actual, second(drop(first(drop(x), edge_index).relu()), edge_index))


def test_platonov_block_is_pre_norm_with_a_final_norm(molecules):
    model, batch = build("platonov-sage").eval(), molecules()
    x = model.encoder(batch)[0]
    for layer in model.layers:
        normed = layer.pre_norm(x)
        mean = pyg.SimpleConv(aggr="mean")(normed, batch.edge_index)
        x = x + layer.conv.update(torch.cat([normed, mean], dim=1))
    torch.testing.assert_close(model(batch), model.readout.head(model.final_norm(x)))


def test_gin_readout_sums_the_scores_of_all_layers(molecules):
    model, batch = build("tu-gin").eval(), molecules()
    states = model.states(batch)
    scores = [head(pyg.global_add_pool(h, batch.batch)) for head, h in zip(model.readout.heads, states, strict=True)]
    torch.testing.assert_close(model(batch), torch.stack(scores).sum(0))


def test_gin_reads_the_raw_features_too():
    """The paper's model has no encoder: the first head sees the raw features, of another width."""
    model = GNN(2, 16, 4, GINConv, in_channels=5, residual=False, jumping_knowledge="score", pool="sum")
    assert [head[0].in_features for head in model.readout.heads] == [5, 16, 16, 16, 16]
    assert model(Data(x=torch.rand(3, 5), edge_index=torch.tensor([[0, 1], [1, 2]]))).shape == (1, 2)
    with pytest.raises(ConfigError, match=r"widths \[5, 16, 16\] cannot be summed"):
        GNN(2, 16, 2, in_channels=5, jumping_knowledge="sum")
    concatenated = GNN(2, 16, 2, in_channels=5, jumping_knowledge="cat")
    assert concatenated.readout.head[0].in_features == 5 + 16 + 16


def test_virtual_node_follows_ogb(molecules):
    model, batch = build("ogb-gin-virtual").eval(), molecules()
    nn.init.normal_(model.virtual_node.embedding)
    x, shared = model.encoder(batch)[0], model.virtual_node.embedding.expand(3, -1)
    for index, layer in enumerate(model.layers):
        x = x + shared[batch.batch]
        out = layer.norm(layer.conv(x, batch.edge_index, batch.edge_attr))
        if index < 2:
            out = out.relu()
            shared = model.virtual_node.updates[index](pyg.global_add_pool(x, batch.batch) + shared)
        x = out
    expected = model.readout.head(pyg.global_mean_pool(x, batch.batch))
    torch.testing.assert_close(model(batch), expected)


def test_fully_adjacent_last_layer(molecules):
    model, batch = build("bottleneck").eval(), molecules()
    states = model.states(batch)
    last = model.layers[-1]
    complete = last.conv(states[-2], complete_edge_index(batch.ptr)).relu()
    torch.testing.assert_close(states[-1], last.post_norm(states[-2] + complete))
    far = Data(x=torch.zeros(4, 9, dtype=torch.long), edge_index=torch.tensor([[0, 2], [1, 3]]))
    changed = far.clone()
    changed.x[3, 0] = 1
    assert not torch.equal(model(far)[0], model(changed)[0])
    near = build("bottleneck", fully_adjacent_last=False).eval()
    assert torch.equal(near(far)[0], near(changed)[0])


PYG_CONVS = {
    "cheb": (partial(pyg.ChebConv, K=2), lambda conv, b, e: conv(b, e[0], e[2])),
    "gatv2-without-edges": (partial(pyg.GATv2Conv, heads=2, concat=False), lambda conv, b, e: conv(b, e[0])),
    "gatv2": (
        partial(pyg.GATv2Conv, heads=2, concat=False, edge_dim=16),
        lambda conv, b, e: conv(b, e[0], e[1]),
    ),
    "transformer": (partial(pyg.TransformerConv, edge_dim=16), lambda conv, b, e: conv(b, e[0], e[1])),
    "transformer-without-edges": (pyg.TransformerConv, lambda conv, b, e: conv(b, e[0])),
    "general": (partial(pyg.GENConv, num_layers=1), lambda conv, b, e: conv(b, e[0], e[1])),
    "weighted": (pyg.GraphConv, lambda conv, b, e: conv(b, e[0], e[2])),
}


@pytest.mark.parametrize("name", PYG_CONVS)
def test_any_pyg_conv(name, molecules):
    factory, call = PYG_CONVS[name]
    batch = molecules()
    batch.edge_weight = torch.rand(batch.num_edges)
    model = GNN(3, 16, 2, factory, encoder=MOLECULE, residual=False, activation=None).eval()
    x, edge_attr = model.encoder(batch)
    edges = batch.edge_index, edge_attr, batch.edge_weight
    for layer in model.layers:
        x = call(layer.conv, x, edges)
    torch.testing.assert_close(model.states(batch)[-1], x)


def test_a_conv_that_returns_another_width_is_named(molecules):
    model = GNN(3, 16, 2, partial(pyg.GATConv, heads=2), encoder=MOLECULE)
    with pytest.raises(ConfigError, match="GATConv returned 32 channels where the model asked for 16"):
        model(molecules())


def test_edge_weights_reach_the_layers(molecules):
    model, batch = build("lrgb-gcn").eval(), molecules()
    plain = model(batch)
    batch.edge_weight = torch.full((batch.num_edges,), 0.5)
    assert not torch.allclose(model(batch), plain)


def test_csr_is_used_or_built_once(molecules, monkeypatch):
    model, batch = build("lrgb-gated-gcn").eval(), molecules()
    built = []
    original = CSR.from_edge_index.__func__
    monkeypatch.setattr(CSR, "from_edge_index", classmethod(lambda cls, *a: built.append(1) or original(cls, *a)))
    expected = model(batch)
    assert len(built) == 1
    batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    built.clear()
    torch.testing.assert_close(model(batch), expected)
    del batch.edge_index
    torch.testing.assert_close(model(batch), expected)
    assert not built


def test_permutation_of_nodes(molecules):
    model, batch = build("lrgb-gine").eval(), molecules((7,))
    order = torch.randperm(7)
    moved = batch.clone()
    for key in ("x", "pe_lap", "pe_lap_values", "pe_lap_mask"):
        moved[key] = batch[key][order]
    moved.edge_index = order.argsort()[batch.edge_index]
    torch.testing.assert_close(model(moved), model(batch))


def test_input_is_not_changed_and_forward_is_deterministic(molecules):
    model, batch = build("ogb-gin-virtual").eval(), molecules()
    before = copy.deepcopy(batch.to_dict())
    assert torch.equal(model(batch), model(batch))
    assert all(torch.equal(value, before[key]) for key, value in batch.to_dict().items())


@pytest.mark.parametrize("name", ["lrgb-gcn", "lrgb-gine", "lrgb-gated-gcn", "platonov-gat", "ogb-gin-virtual"])
def test_autocast_to_bfloat16(name, molecules):
    model, batch = build(name).eval(), molecules()
    expected = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        actual = model(batch)
    torch.testing.assert_close(actual.float(), expected, rtol=0.1, atol=0.1)


def test_errors_name_what_is_missing(molecules):
    with pytest.raises(ConfigError, match="neither an encoder nor in_channels"):
        GNN(3)
    with pytest.raises(ConfigError, match="num_layers must be at least 1"):
        GNN(3, num_layers=0, in_channels=2)
    with pytest.raises(ConfigError, match="needs a head"):
        GNN(3, in_channels=2, head=None, jumping_knowledge="score")
    with pytest.raises(ConfigError, match="nodes of one width"):
        GNN(3, in_channels=2, virtual_node=VirtualNode)
    with pytest.raises(GraphError, match=r"the batch has x of torch\.int64"):
        GNN(3, in_channels=9)(molecules())
    model = GNN(3, in_channels=2)
    with pytest.raises(GraphError, match="neither 'adj' nor 'edge_index'"):
        model(Data(x=torch.ones(2, 2)))
    with pytest.raises(GraphError, match="no 'ptr'"):
        model(Data(x=torch.ones(2, 2), edge_index=torch.zeros(2, 0).long(), batch=torch.tensor([0, 1])))
