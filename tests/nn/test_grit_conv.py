"""GRIT layers: against the formula written with dense tensors, on pairs and on edges."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.encodings import RRWP
from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import GNN, FeatureEncoder, GRITConv, LinearEncoder, LinearPEEncoder, PairEncoder
from gnnlab.ops import CSR
from gnnlab.testing import check_conv

CASES = {
    "plain": (partial(GRITConv, heads=2, dropout=0.1, attention_dropout=0.2), 4),
    "equal-widths": (partial(GRITConv, heads=3), 6),
    "released-sparse": (partial(GRITConv, heads=3, edge_value="vector", use_bias=True), 6),
    "graph-norm": (partial(GRITConv, heads=2, norm=pyg.GraphNorm), 6),
    "bare": (
        partial(GRITConv, heads=1, edge_value=None, degree_scaler=False, norm=None, update_edges=False, clamp=None),
        6,
    ),
}
ENCODER = partial(
    FeatureEncoder,
    node=partial(LinearEncoder, in_channels=5),
    encodings=[partial(LinearPEEncoder, "pe_rrwp", 4, out_channels=6)],
)
STYLE = {"norm": None, "residual": False, "activation": None, "pool": "sum"}
DENSE = {"encoder": partial(ENCODER, pair=partial(PairEncoder, in_channels=4)), "edges": "pair", **STYLE}
SPARSE = {"encoder": partial(ENCODER, edge_encodings=[partial(LinearPEEncoder, "edge_pe_rrwp", 4, 16)]), **STYLE}


@pytest.mark.parametrize("name", CASES)
def test_check_conv(name):
    factory, channels = CASES[name]
    check_conv(factory, edge_dim=channels, in_channels=channels)


def dense(conv: GRITConv, x: Tensor, present: Tensor, edges: Tensor, degree: Tensor) -> tuple[Tensor, Tensor]:
    """The layer on one graph: ``present`` [n, n] and ``edges`` [n, n, C] by target and source. No dropout."""
    n, heads = x.size(0), conv.heads
    factor = edges @ conv.edge.weight.t() + conv.edge.bias
    scale, shift = factor[..., : x.size(1)], factor[..., x.size(1) :]
    mixed = (conv.query(x)[:, None] + conv.key(x)[None]) * scale
    root = torch.where(mixed > 0, 1, -1) * mixed.abs().sqrt()
    states = torch.clamp(root + shift, min=0)
    out = []
    for head in range(heads):
        part = slice(head * x.size(1) // heads, (head + 1) * x.size(1) // heads)
        score = (states[..., part] @ conv.score[head]).clamp(-5, 5)
        share = torch.softmax(score.masked_fill(~present, -torch.inf), 1).nan_to_num(0)
        values = conv.value(x)[None, :, part] + states[..., part] @ conv.edge_value[head]
        out.append((share[..., None] * values).sum(1))
    out = torch.cat(out, 1)
    out = out * conv.degree_weight[0, :, 0] + out * degree.add(1).log()[:, None] * conv.degree_weight[0, :, 1]
    h = conv.residual.norm(x + conv.output(out))
    h = conv.feed_forward.residual.norm(h + conv.feed_forward.output(conv.feed_forward.hidden(h)))
    flat = conv.edge_residual.norm((edges + conv.edge_output(states)).view(n * n, -1))
    return h, flat.view(n, n, -1)


@pytest.mark.parametrize("edge_value", ["matrix", "vector"])
def test_equals_the_formula_with_dense_tensors(edge_value):
    torch.manual_seed(0)
    conv = GRITConv(8, 8, heads=2, edge_value=edge_value).double().eval()
    assert conv.edge_value.shape == (2, 4, 4 if edge_value == "matrix" else 1)
    present = torch.rand(7, 7) < 0.5
    present[2] = False  # node 2 receives nothing
    edges, x = torch.randn(7, 7, 8, dtype=torch.double), torch.randn(7, 8, dtype=torch.double)
    target, source = present.nonzero().t()
    order = torch.randperm(target.numel())
    index = torch.stack([source, target])[:, order]
    degree = torch.randint(5, (7,))
    out, states = conv(x, index, edges[target, source][order], degree=degree)
    expected, expected_states = dense(conv, x, present, edges, degree.double())
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(states, expected_states[target, source][order])


def test_the_default_degree_is_that_of_the_edges():
    conv, index = GRITConv(4, 4, heads=2).eval(), torch.tensor([[0, 1, 2, 2], [1, 0, 1, 1]])
    x, states = torch.randn(3, 4), torch.randn(4, 4)
    same = conv(x, index, states, degree=torch.tensor([1, 3, 0]))
    assert all(torch.equal(a, b) for a, b in zip(conv(x, index, states), same, strict=True))
    assert not torch.equal(conv(x, index, states)[0], conv(x, index, states, degree=torch.tensor([1, 2, 0]))[0])


def graphs(sizes: tuple[int, ...] = (6, 1, 4), **options) -> Batch:
    encode = RRWP(walk_length=4, **options)
    generator, items = torch.Generator().manual_seed(3), []
    for n in sizes:
        pairs = torch.combinations(torch.arange(n), 2).t()
        pairs = pairs[:, torch.rand(pairs.size(1), generator=generator) < 0.6]
        index = torch.cat([pairs, pairs.flip(0)], 1)
        items.append(encode(Data(x=torch.randn(n, 5, generator=generator), edge_index=index)))
    return Batch.from_data_list(items)


@pytest.mark.parametrize(("style", "pairs"), [(DENSE, "all"), (DENSE, "hops"), (SPARSE, "edges")])
def test_models_treat_every_graph_alone(style, pairs):
    batch = graphs(pairs=pairs)
    model = GNN(3, 16, 3, partial(GRITConv, heads=4), **style).eval()
    together = model(batch)
    alone = torch.cat([model(graph) for graph in batch.to_data_list()])
    torch.testing.assert_close(together, alone)
    changed = batch.clone()
    changed.x[:6] += 1
    torch.testing.assert_close(model(changed)[1:], together[1:])


def test_pairs_scale_by_the_degree_in_the_graph():
    batch, seen = graphs((6, 5), pairs="all"), []
    model = GNN(3, 16, 2, partial(GRITConv, heads=4), **DENSE).eval()
    for layer in model.layers:
        layer.conv.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append((args[1].num_edges, kwargs["degree"])), with_kwargs=True
        )
    model(batch)
    degree = torch.bincount(batch.edge_index[1], minlength=11)
    assert all(pairs == 36 + 25 and torch.equal(given.long(), degree) for pairs, given in seen)
    assert len(seen) == 2


def test_one_layer_of_a_model_on_pairs_equals_the_dense_formula():
    batch = graphs((6,), pairs="all")
    model = GNN(3, 16, 2, partial(GRITConv, heads=4), **DENSE).eval()
    x, states = model.encoder(batch)
    edges = torch.zeros(6, 6, 16).index_put((batch.pair_index[1], batch.pair_index[0]), states)
    degree = torch.bincount(batch.edge_index[1], minlength=6).float()
    for layer, expected in zip(model.layers, model.states(batch)[1:], strict=True):
        x, edges = dense(layer.conv, x, torch.ones(6, 6, dtype=torch.bool), edges, degree)
        torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-4)


def test_trains_and_every_parameter_takes_part():
    for style, pairs in ((DENSE, "all"), (SPARSE, "edges")):
        model = GNN(3, 16, 2, partial(GRITConv, heads=4, attention_dropout=0.2, dropout=0.1), **style)
        out = model(graphs((6, 1, 4, 7), pairs=pairs))
        (out * torch.randn_like(out)).sum().backward()
        idle = {name for name, parameter in model.named_parameters() if parameter.grad is None}
        # The edge states of the last layer have no reader.
        assert idle
        assert all(name.startswith(("layers.1.conv.edge_output", "layers.1.conv.edge_res")) for name in idle)
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        model.reset_parameters()


def test_parameter_counts():
    def count(**options) -> int:
        return sum(p.numel() for p in GRITConv(64, 64, 8, **options).parameters())

    linear, attention = 64 * 64, 64 + 64 * 8 + 2 * 64
    maps = 3 * linear + 64 + 2 * (linear + 64)
    outputs, block = 2 * (linear + 64), 2 * 64 * 128 + 128 + 64
    assert count() == maps + attention + outputs + block + 3 * 128 == 46_656
    assert count(edge_value="vector", use_bias=True) == 46_656 + 2 * 64 - 64 * 8 + 64
    assert count(edge_value=None) == 46_656 - 64 * 8
    assert count(update_edges=False) == 46_656 - linear - 64 - 128


def test_gradients_are_finite_where_the_root_is_not_smooth():
    conv, x = GRITConv(4, 4, heads=2), torch.zeros(3, 4, requires_grad=True)
    index, states = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.zeros(3, 4, requires_grad=True)
    torch.nn.init.zeros_(conv.query.bias)
    out, edges = conv(x, index, states)
    (out.square().sum() + edges.square().sum()).backward()
    assert x.grad.isfinite().all()
    assert states.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in conv.parameters())


def test_memory_is_of_the_order_of_the_pairs():
    """Nothing but [P, C] and [N, C] is held: doubling the pairs at most doubles what the backward pass keeps."""

    def kept(num_edges: int) -> int:
        sizes = []
        index = torch.randint(50, (2, num_edges), generator=torch.Generator().manual_seed(0))
        adj = CSR.from_edge_index(index, 50)
        conv, x = GRITConv(16, 16, heads=4), torch.randn(50, 16)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            conv(x, adj, torch.randn(num_edges, 16))
        return max(sizes)

    assert kept(4000) <= 2 * 16 * 4000
    assert kept(8000) <= 2 * kept(4000)


def test_errors_name_what_is_missing():
    batch = graphs(pairs="edges")
    with pytest.raises(GraphError, match="no 'pair_index'") as caught:
        GNN(3, 16, 1, GRITConv, encoder=ENCODER, edges="pair")(batch)
    assert "RRWP(pairs='all')" in str(caught.value)
    paired = graphs(pairs="all")
    paired.edge_attr = torch.randn(paired.num_edges, 16)
    with pytest.raises(GraphError, match="returned 26 rows beside the node states, but the batch has 53 pairs"):
        GNN(3, 16, 1, GRITConv, encoder=ENCODER, edges="pair")(paired)
    with pytest.raises(GraphError, match="attends by edge states, but there are none"):
        GNN(3, 16, 1, GRITConv, encoder=ENCODER)(batch)
    with pytest.raises(GraphError, match="width 16"):
        GRITConv(16, 16)(torch.randn(3, 16), torch.tensor([[0], [1]]), torch.randn(1, 5))
    with pytest.raises(ConfigError, match="unknown edge_value 'matrx'") as caught:
        GRITConv(8, 8, edge_value="matrx")
    assert "did you mean 'matrix'" in str(caught.value)
    with pytest.raises(ConfigError, match="8 heads do not divide 12"):
        GRITConv(12, 12)
    with pytest.raises(ConfigError, match="unknown edges 'pairs'"):
        GNN(3, encoder=ENCODER, edges="pairs")
    with pytest.raises(ConfigError, match="no encoder"):
        GNN(3, in_channels=5, edges="pair")
    with pytest.raises(ConfigError, match="relations, which pairs of nodes do not have"):
        GNN(3, encoder=ENCODER, edges="pair", relations=[[0]])
