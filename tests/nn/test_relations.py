"""Splitting edges by relation, and what models do with relations."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import (
    GNN,
    BatchNorm,
    FeatureEncoder,
    GatedGCNConv,
    GCNConv,
    GINEConv,
    LinearEncoder,
    RelationalConv,
    RGatedGCNConv,
    RGCNConv,
    RGINConv,
)
from gnnlab.nn._relations import one_relation, select_relations, split_relations
from gnnlab.ops import CSR
from gnnlab.rewiring import LASER

ENCODER = partial(
    FeatureEncoder, node=partial(LinearEncoder, in_channels=4), edge=partial(LinearEncoder, in_channels=3)
)


@st.composite
def typed_graphs(draw):
    num_nodes, num_edges = draw(st.integers(1, 6)), draw(st.integers(0, 14))
    node = st.integers(0, num_nodes - 1)
    rows = draw(st.lists(st.tuples(node, node, st.integers(0, 3)), min_size=num_edges, max_size=num_edges))
    table = torch.tensor(rows, dtype=torch.long).reshape(-1, 3).t().contiguous()
    return num_nodes, table[:2], table[2]


def in_destination_order(edge_index: torch.Tensor, num_nodes: int) -> CSR:
    """As the store delivers it: the caller's edges are the slots."""
    adj = CSR.from_edge_index(edge_index, num_nodes)
    assert torch.equal(adj.eid, torch.arange(adj.num_edges).int())
    return CSR(adj.ptr, adj.src, adj.ptr_t, adj.dst, adj.eid_t)


def check_part(part, edge_index, num_nodes, expected):
    """The CSR of a part is that of its edges, in both directions, and names the edges it is made of."""
    assert sorted(part.edges.tolist()) == expected
    assert part.adj.num_nodes == num_nodes
    local = edge_index[:, part.edges]
    assert torch.equal(part.adj.edge_index, local)
    again = CSR.from_edge_index(local, num_nodes)
    assert torch.equal(part.adj.ptr, again.ptr)
    assert torch.equal(part.adj.ptr_t, again.ptr_t)
    assert torch.equal(part.adj.src, again.src)
    assert torch.equal(local[0, part.adj.eid_t], again.t().rows)
    assert torch.equal(part.adj.dst.long(), local[1, part.adj.eid_t])
    assert sorted(part.adj.eid_t.tolist()) == list(range(len(expected)))


@given(typed_graphs(), st.booleans())
def test_split_is_a_partition_in_destination_order(graph, sorted_edges):
    num_nodes, edge_index, edge_type = graph
    if sorted_edges:
        order = torch.argsort(edge_index[1], stable=True)
        edge_index, edge_type = edge_index[:, order], edge_type[order]
    build = in_destination_order if sorted_edges else CSR.from_edge_index
    adj = build(edge_index, num_nodes)
    parts = split_relations(adj, edge_type, 4)
    for relation, part in enumerate(parts):
        check_part(part, edge_index, num_nodes, (edge_type == relation).nonzero().flatten().tolist())
    chosen = select_relations(adj, edge_type, (1, 3))
    expected = [i for i, kind in enumerate(edge_type.tolist()) if kind in (1, 3)]
    check_part(chosen, edge_index, num_nodes, expected)
    few = split_relations(adj, edge_type, 2, strict=False)
    for part, same in zip(few, parts[:2], strict=True):
        assert torch.equal(part.edges, same.edges)


def test_split_is_remembered_for_this_tensor_alone(edge_index):
    adj = CSR.from_edge_index(edge_index, 9)
    edge_type = torch.zeros(adj.num_edges, dtype=torch.long)
    first = split_relations(adj, edge_type, 2)
    assert split_relations(adj, edge_type, 2) is first
    assert split_relations(adj, edge_type.clone(), 2) is not first
    edge_type[3] = 1
    changed = split_relations(adj, edge_type, 2)
    assert changed[1].edges.tolist() == [3]
    assert first[1].edges.tolist() == []
    # An id may be that of a tensor that no longer exists: the memory keeps what it knows alive.
    for value in (0, 1, 0, 1):
        kinds = torch.full((adj.num_edges,), value)
        assert split_relations(adj, kinds, 2)[value].adj.num_edges == adj.num_edges
        del kinds


def test_split_in_inference_mode_serves_training(edge_index):
    x, adj = torch.randn(9, 4, requires_grad=True), CSR.from_edge_index(edge_index, 9)
    conv, edge_type = RGCNConv(4, 3), torch.arange(adj.num_edges) % 2
    with torch.inference_mode():
        expected = conv(x, adj, edge_type=edge_type)
        inferred = conv(x, adj, edge_type=torch.arange(adj.num_edges) % 2)
    out = conv(x, adj, edge_type=edge_type)
    out.sum().backward()
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(inferred, expected)


@pytest.mark.parametrize("factory", [RelationalConv, RGCNConv, RGINConv, RGatedGCNConv])
def test_types_outside_of_the_relations_are_named(factory, edge_index):
    conv, x = factory(4, 3, num_relations=2), torch.randn(9, 4)
    edge_type = torch.zeros(edge_index.size(1), dtype=torch.long)
    for wrong in (2, -1):
        edge_type[5] = wrong
        with pytest.raises(GraphError, match=rf"relation {wrong}, but the layer has 2 relations \(0 to 1\)"):
            conv(x, edge_index, edge_type=edge_type)
    for shape in (edge_type[:-1], edge_type.float(), edge_type[:, None]):
        with pytest.raises(GraphError, match="one integer per edge"):
            conv(x, edge_index, edge_type=shape)
    with pytest.raises(ConfigError, match="num_relations must be at least 1, got 0"):
        factory(4, 3, num_relations=0)


def test_a_recorded_step_is_refused(edge_index, monkeypatch):
    class OnDevice(torch.Tensor):
        is_cuda = True

    search = torch.searchsorted
    monkeypatch.setattr(torch, "searchsorted", lambda *a, **k: search(*a, **k).as_subclass(OnDevice))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(ConfigError, match=r"model\.capture: .*relation-aware model cannot be recorded"):
        split_relations(CSR.from_edge_index(edge_index, 9), torch.zeros(edge_index.size(1)).long(), 2)


def rewired(num_added: int = 6) -> Data:
    """Eight nodes, edges both ways, the last ones added by a rewiring; with features of nodes and edges."""
    generator = torch.Generator().manual_seed(3)
    one_way = torch.combinations(torch.arange(8), 2).t()
    pairs = one_way[:, torch.randperm(28, generator=generator)[:14]]
    edge_type = torch.zeros(14, dtype=torch.long)
    edge_type[14 - num_added :] = 1
    return Data(
        x=torch.randn(8, 4, generator=generator),
        edge_index=torch.cat([pairs, pairs.flip(0)], 1),
        edge_attr=torch.randn(28, 3, generator=generator),
        edge_weight=torch.rand(28, generator=generator) + 0.5,
        edge_type=torch.cat([edge_type, edge_type]),
    )


def without(data: Data, relation: int) -> Data:
    """The graph without the edges of a relation."""
    keep, out = data.edge_type != relation, data.clone()
    out.edge_index = data.edge_index[:, keep]
    for key in ("edge_attr", "edge_weight", "edge_type"):
        out[key] = data[key][keep]
    return out


def test_relations_of_layers_repeat_cyclically():
    seen = [layer.relations for layer in GNN(2, in_channels=4, num_layers=5, relations=[[0], [1]]).layers]
    assert seen == [(0,), (1,), (0,), (1,), (0,)]
    seen = [layer.relations for layer in GNN(2, in_channels=4, relations=[[0], [0], [0], [0, 1]]).layers]
    assert seen == [(0,), (0,), (0,), (0, 1)]
    assert [layer.relations for layer in GNN(2, in_channels=4).layers] == [None] * 4
    last = GNN(2, in_channels=4, relations=[[0]], fully_adjacent_last=True).layers[-1]
    assert last.relations is None
    for wrong in ([], [[0], []]):
        with pytest.raises(ConfigError, match="at least one edge type per layer"):
            GNN(2, in_channels=4, relations=wrong)


@pytest.mark.parametrize("conv", [GCNConv, GINEConv, pyg.GATv2Conv], ids=["gcn", "gine", "pyg"])
def test_layers_see_their_relations(conv):
    """Expander propagation: odd layers on the graph, even layers on the rest, edge data following."""
    data = rewired()
    model = GNN(3, 16, 4, conv, encoder=ENCODER, relations=[[0], [1]], level="node").eval()
    states = model.states(data)
    graphs = [without(data, 1), without(data, 0)]
    for i, layer in enumerate(model.layers):
        graph = graphs[i % 2]
        known = {"edge_attr": model.encoder(graph)[1], "edge_weight": graph.edge_weight}
        known = {name: known[name] for name in layer.accepted if name in known}
        expected = states[i] + layer.conv(states[i], graph.edge_index, **known).relu()
        torch.testing.assert_close(states[i + 1], expected)


def test_all_relations_and_the_plain_model_agree():
    data = rewired()
    plain = GNN(3, 16, 3, GINEConv, encoder=ENCODER).eval()
    both = GNN(3, 16, 3, GINEConv, encoder=ENCODER, relations=[[0, 1]]).eval()
    both.load_state_dict(plain.state_dict())
    torch.testing.assert_close(both(data), plain(data))


def test_edge_states_of_other_relations_wait():
    """A layer that sees relation 1 renews the states of its edges and leaves those of relation 0."""
    data, seen = rewired(), []
    conv = partial(GatedGCNConv, norm=None)
    model = GNN(3, 16, 3, conv, encoder=ENCODER, relations=[[0], [1], [0, 1]], level="node").eval()
    for layer in model.layers:
        layer.register_forward_hook(lambda module, args, out: seen.append((args[1], out[1].attr)))
    states = model.states(data)
    for i, (before, after) in enumerate(seen):
        hidden = torch.isin(data.edge_type, torch.tensor([[1], [0], [2]][i]))
        assert torch.equal(after[hidden], before.attr[hidden])
        part = data.edge_index[:, ~hidden]
        known = {"edge_attr": before.attr[~hidden], "edge_weight": data.edge_weight[~hidden]}
        nodes, edges = model.layers[i].conv(states[i], part, **known)
        torch.testing.assert_close(after[~hidden], edges)
        torch.testing.assert_close(states[i + 1], states[i] + nodes.relu())


def test_edge_states_of_two_widths_are_refused():
    data = rewired()
    data.edge_attr = torch.randn(28, 4)
    model = GNN(3, 16, 2, GatedGCNConv, in_channels=4, relations=[[0], [1]])
    with pytest.raises(ConfigError, match="edge states of width 16, but the other edges have 4"):
        model(data)


def test_a_batch_without_types_is_relation_0():
    data = rewired(num_added=0)
    for conv in (RGCNConv, partial(RelationalConv, conv=GINEConv), partial(pyg.RGCNConv, num_relations=2)):
        model = GNN(3, 16, 2, conv, encoder=ENCODER, relations=[[0], [0, 1]]).eval()
        untyped = data.clone()
        del untyped.edge_type
        torch.testing.assert_close(model(untyped), model(data))
    adj = CSR.from_edge_index(data.edge_index, 8)
    assert one_relation(adj) is one_relation(adj)


def test_rewired_edges_make_a_difference_to_relational_convs_alone():
    data, blind = rewired(), rewired()
    blind.edge_type = torch.zeros_like(blind.edge_type)
    plain = GNN(3, 16, 2, GCNConv, encoder=ENCODER).eval()
    assert torch.equal(plain(data), plain(blind))
    for conv in (RGCNConv, RGINConv, RGatedGCNConv, RelationalConv, partial(pyg.RGCNConv, num_relations=2)):
        model = GNN(3, 16, 2, conv, encoder=ENCODER).eval()
        assert not torch.allclose(model(data), model(blind))


def test_pyg_conv_gets_the_types_in_edge_order():
    data = rewired()
    model = GNN(3, 16, 2, partial(pyg.RGCNConv, num_relations=2), encoder=ENCODER, level="node").eval()
    states = model.states(data)
    expected = states[0] + model.layers[0].conv(states[0], data.edge_index, data.edge_type).relu()
    torch.testing.assert_close(states[1], expected)
    alone = GNN(3, 16, 2, partial(pyg.RGCNConv, num_relations=2), encoder=ENCODER, relations=[[1]]).eval()
    part = without(data, 0)
    states = alone.states(data)
    expected = states[0] + alone.layers[0].conv(states[0], part.edge_index, part.edge_type).relu()
    torch.testing.assert_close(states[1], expected)


def test_edges_are_split_once_for_all_layers(monkeypatch):
    from gnnlab.nn import _relations

    counted, partition = [], _relations._partition
    monkeypatch.setattr(_relations, "_partition", lambda *a: counted.append(a[2]) or partition(*a))
    data = rewired()
    data.adj = CSR.from_edge_index(data.edge_index, 8)
    GNN(3, 16, 6, RGCNConv, encoder=ENCODER)(data)
    assert counted == [2]
    GNN(3, 16, 6, RGCNConv, encoder=ENCODER, relations=[[0], [0, 1]])(data)
    # The two selections, and the relations within each.
    assert counted == [2, 1, 2, 1, 2]


def test_fosr_r_gcn():
    """The network of FoSR's experiments, layer by layer."""
    data = rewired()
    conv = partial(RGCNConv, num_relations=2)
    model = GNN(2, 16, 4, conv, in_channels=4, residual=False, dropout=0.5, head=None).eval()
    x = data.x
    for i, layer in enumerate(model.layers):
        theirs = pyg.RGCNConv(layer.conv.in_channels, layer.conv.out_channels, 2)
        theirs.weight.data = layer.conv.weight.transpose(1, 2)
        theirs.root.data, theirs.bias.data = layer.conv.root.weight.t(), layer.conv.bias
        x = theirs(x, data.edge_index, data.edge_type)
        x = x.relu() if i < 3 else x
    del data.edge_weight
    torch.testing.assert_close(model(data), x.mean(0, keepdim=True))


def test_every_snapshot_of_laser_has_weights_of_its_own():
    steps = torch.stack([torch.arange(7), torch.arange(1, 8)])
    path = Data(x=torch.randn(8, 9), edge_index=torch.cat([steps, steps.flip(0)], 1))
    batch = LASER(num_snapshots=4, density=1)(path)
    assert batch.edge_type.unique().tolist() == [0, 1, 2, 3]
    conv = RelationalConv(9, 5, GCNConv, num_relations=4).double()
    x = batch.x.double()
    expected = conv.root(x)
    for snapshot, part in enumerate(conv.convs):
        expected = expected + part(x, batch.edge_index[:, batch.edge_type == snapshot])
    torch.testing.assert_close(conv(x, batch.edge_index, edge_type=batch.edge_type), expected)
    with pytest.raises(GraphError, match="relation 3, but the layer has 3 relations"):
        RelationalConv(9, 5, num_relations=3).double()(x, batch.edge_index, edge_type=batch.edge_type)


def test_models_with_relations_train():
    data = rewired()
    for conv in (RGCNConv, RGINConv, partial(RGatedGCNConv, norm=BatchNorm), RelationalConv):
        model = GNN(3, 16, 2, conv, encoder=ENCODER, norm=nn.LayerNorm, relations=[[0, 1], [1]])
        model(data).sum().backward()
        model.reset_parameters()
