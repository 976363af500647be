"""DRew: its recurrence, its reach, and the parts it shares with the plain model."""

from __future__ import annotations

import pickle
from functools import partial

import networkx as nx
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import global_mean_pool

from gnnlab.errors import ConfigError
from gnnlab.nn import (
    GNN,
    AtomEncoder,
    BatchNorm,
    BondEncoder,
    DRew,
    FeatureEncoder,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
)
from gnnlab.ops import CSR
from gnnlab.rewiring import DRewShells

PAPER = partial(GCNConv, add_self_loops=False)
MOLECULE = partial(FeatureEncoder, node=AtomEncoder, edge=BondEncoder)


def shells(graph: nx.Graph, channels: int, cutoff: int | None = None) -> Data:
    """Every pair of nodes as an edge of type distance - 1, in no particular order."""
    pairs = [
        (u, v, distance - 1)
        for u, row in nx.all_pairs_shortest_path_length(graph, cutoff)
        for v, distance in row.items()
        if u != v
    ]
    table = torch.tensor(pairs, dtype=torch.long).reshape(-1, 3)
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(2))].t().contiguous()
    x = torch.randn(len(graph), channels, generator=torch.Generator().manual_seed(4), dtype=torch.double)
    return Data(x=x, edge_index=table[:2], edge_type=table[2])


@pytest.mark.parametrize("nu", [1, 2, None])
@pytest.mark.parametrize("max_hops", [None, 2])
@pytest.mark.parametrize("hop_weights", ["equal", "softmax"])
def test_recurrence_of_the_paper(nu, max_hops, hop_weights):
    data = shells(nx.path_graph(9), 6)
    model = DRew(3, 6, 4, max_hops, nu, hop_weights, in_channels=6, level="node").double().eval()
    for layer in model.layers:
        for conv in layer.conv.convs:
            nn.init.normal_(conv.bias)
        if hop_weights == "softmax":
            nn.init.normal_(layer.conv.logits)
    distance = torch.zeros(9, 9).index_put_((data.edge_index[1], data.edge_index[0]), data.edge_type + 1.0)
    x = [data.x]
    for t, layer in enumerate(model.layers):
        hops = min(t + 1, max_hops or 4)
        alpha = torch.ones(hops)
        if hop_weights == "softmax":
            alpha = hops * layer.conv.logits.exp() / layer.conv.logits.exp().sum()
        total = 0
        for k in range(1, hops + 1):
            a = (distance == k).double()
            degree = a.sum(1).clamp(min=1)
            conv = layer.conv.convs[k - 1]
            delay = 0 if nu is None else max(k - nu, 0)
            aggregated = (a / (degree[:, None] * degree).sqrt()) @ conv.lin(x[t - delay]) + conv.bias
            total = total + alpha[k - 1] * aggregated
        x.append(x[t] + total.relu())
    for actual, expected in zip(model.states(data), x, strict=True):
        torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(model(data), model.readout.head(x[-1]))


def test_one_hop_is_a_residual_gcn():
    data = shells(nx.cycle_graph(7), 6)
    drew = DRew(3, 6, 3, max_hops=1, in_channels=6).double().eval()
    plain = GNN(3, 6, 3, PAPER, in_channels=6, relations=[[0]]).double().eval()
    assert drew.num_parameters == plain.num_parameters
    for theirs, ours in zip(plain.layers, drew.layers, strict=True):
        theirs.conv.load_state_dict(ours.conv.convs[0].state_dict())
    plain.readout.load_state_dict(drew.readout.state_dict())
    torch.testing.assert_close(drew(data), plain(data))
    short = shells(nx.cycle_graph(7), 6, cutoff=1)
    torch.testing.assert_close(drew(short), drew(data))
    del short.edge_type
    torch.testing.assert_close(drew(short), drew(data))


@pytest.mark.parametrize(
    ("nu", "reach"),
    [(1, lambda layers: layers), (None, lambda layers: layers * (layers + 1) // 2)],
    ids=["full-delay", "no-delay"],
)
@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_reach_on_a_path(nu, reach, num_layers):
    data = shells(nx.path_graph(14), 5)
    model = DRew(5, 5, num_layers, nu=nu, in_channels=5, activation=None, level="node").double()
    x = data.x.requires_grad_()
    out = model.states(data)[-1]
    gradient = torch.autograd.grad(out[0].square().sum(), x)[0]
    reached = gradient.abs().sum(1) > 0
    assert reached.tolist() == [r <= reach(num_layers) for r in range(14)]


CONVS = {
    "gcn": {},
    "gcn-released": {"conv": GCNConv},
    "gin": {"conv": GINConv, "nu": None, "hop_weights": "softmax"},
    "gine": {"conv": GINEConv, "nu": 2, "norm": BatchNorm, "dropout": 0.1},
    "gated": {"conv": partial(GatedGCNConv, norm=None, activation=nn.Identity), "jumping_knowledge": "cat"},
    "node": {"level": "node", "max_hops": 2, "input_dropout": 0.1, "activation": nn.GELU},
}


def with_shells(batch: Batch) -> Batch:
    """Molecules with edges of up to three hops; those of later hops have features of category 0."""
    graphs = []
    for data in batch.to_data_list():
        graph = nx.Graph(data.edge_index.t().tolist())
        graph.add_nodes_from(range(data.num_nodes))
        hops = shells(graph, 1, cutoff=3)
        order = hops.edge_type.argsort(stable=True)
        data.edge_index, data.edge_type = hops.edge_index[:, order], hops.edge_type[order]
        added = data.edge_index.size(1) - data.edge_attr.size(0)
        data.edge_attr = torch.cat([data.edge_attr, data.edge_attr.new_zeros(added, 3)])
        graphs.append(data)
    return Batch.from_data_list(graphs)


@pytest.mark.parametrize("name", CONVS)
def test_batch_equals_single_and_everything_trains(name, molecules):
    model, batch = DRew(3, 16, 3, encoder=MOLECULE, **CONVS[name]), with_shells(molecules((6, 1, 4, 9)))
    model.eval().double()
    graphs = batch.to_data_list()
    out = model(batch)
    assert out.shape == (batch.num_nodes if CONVS[name].get("level") else len(graphs), 3)
    torch.testing.assert_close(torch.cat([model(graph) for graph in graphs]), out)
    batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    torch.testing.assert_close(model(batch), out)
    model.train()
    model(batch).square().sum().backward()
    idle = {key for key, p in model.named_parameters() if p.grad is None}
    # Edge states go no further, and (but for GINE and GatedGCN) edge features are not read.
    assert all(".edge_output." in key or "edge" in key for key in idle)
    pickle.loads(pickle.dumps(model))
    model.reset_parameters()


def test_readout_is_that_of_the_plain_model(molecules):
    model, batch = DRew(3, 16, 3, encoder=MOLECULE, jumping_knowledge="score").eval(), with_shells(molecules())
    scores = [
        head(global_mean_pool(x, batch.batch)) for head, x in zip(model.readout.heads, model.states(batch), strict=True)
    ]
    torch.testing.assert_close(model(batch), torch.stack(scores).sum(0))


@pytest.mark.parametrize("nu", [1, None])
def test_finds_the_hops_that_the_rewiring_writes(molecules, nu):
    """Same prediction from the shells of the transform and from networkx; longer hops are not seen."""
    batch = molecules((9, 1, 6))
    model = DRew(3, 16, 3, nu=nu, encoder=partial(FeatureEncoder, node=AtomEncoder)).eval()
    expected = model(with_shells(batch))
    for num_hops in (3, 6):
        torch.testing.assert_close(model(DRewShells(num_hops=num_hops)(batch)), expected)
    assert not torch.allclose(model(batch), expected)


def test_degenerate_graphs():
    model = DRew(2, 4, 3, in_channels=4, nu=None).eval()
    for size in (0, 1, 3):
        none = torch.zeros(2, 0, dtype=torch.long)
        data = Data(x=torch.randn(size, 4), edge_index=none, edge_type=none[0])
        assert model(data).isfinite().all()


def test_settings_that_do_not_fit_are_named():
    for name in ("num_layers", "max_hops", "nu"):
        with pytest.raises(ConfigError, match=f"DRew: {name} must be at least 1, got 0"):
            DRew(2, 4, in_channels=4, **{name: 0})
    with pytest.raises(ConfigError, match=r"in_channels \(None\) must be hidden_channels \(4\)"):
        DRew(2, 4)
