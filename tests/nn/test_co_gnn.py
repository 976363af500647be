"""Cooperative networks: actions and edges, gradients and temperatures, what sampling can tell apart."""

from __future__ import annotations

import copy
import math
import pickle
from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F
import yaml
from hypothesis import given
from jsonargparse import ArgumentParser
from lightning import Trainer
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GATConv as PyGGATConv
from torch_geometric.nn import GCNConv as PyGGCNConv
from torch_geometric.nn import GraphConv

from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import (
    GNN,
    MLP,
    AtomEncoder,
    BatchNorm,
    BondEncoder,
    CoGNN,
    CoGNNConv,
    FeatureEncoder,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    MLPHead,
    NodeProduct,
    RelationalConv,
    RepeatedHead,
    SAGEConv,
    SumMeanConv,
)
from gnnlab.nn._actions import ActionNetwork, Decision
from gnnlab.nn._environment import Environment
from gnnlab.nn._gumbel import gumbel, hashed_gumbel, straight_through
from gnnlab.nn._message_passing import Edges, accepted_arguments, propagate
from gnnlab.ops import CSR
from gnnlab.testing import check_conv
from gnnlab.testing._transform_views import renumber
from gnnlab.testing.strategies import graphs
from gnnlab.training import GraphTask, quiet_lightning

SUM = partial(SumMeanConv, reduce="sum")
ENVIRONMENTS = {
    "sum": SUM,
    "mean": SumMeanConv,
    "gcn": GCNConv,
    "gin": partial(GINConv, train_eps=True),
    "gat": partial(GATConv, heads=2),
    "gat-mean": partial(GATConv, heads=2, concat=False, update=MLP),
    "gat-no-loops": partial(GATConv, add_self_loops=False),
    "sage": SAGEConv,
    "gine": GINEConv,
    "gated-gcn": GatedGCNConv,
    "relational": partial(RelationalConv, conv=SAGEConv),
    "pyg-gcn": PyGGCNConv,
    "pyg-graph": GraphConv,
    "pyg-graph-mean": partial(GraphConv, aggr="mean"),
}
SETTINGS = {
    "default": {},
    "joint": {"action_form": "joint", "action": SUM, "action_layers": 3},
    "separate": {"action_form": "separate", "action": [GCNConv, SumMeanConv], "aggregate": "full"},
    "sampled": {"evaluation": "sample", "num_samples": 3},
    "expected": {"evaluation": "expected", "environment": GATConv},
    "normed": {"norm": nn.LayerNorm, "shared_norm": True, "residual": False, "environment": SUM},
}
S, L, B, I = range(4)  # noqa: E741


def build(name: str = "default", seed: int = 0, **changes) -> CoGNN:
    torch.manual_seed(seed)
    return CoGNN(2, **{"hidden_channels": 8, "num_layers": 3, "in_channels": 5, **SETTINGS[name], **changes}).double()


def random_graph(num_nodes: int, seed: int = 0) -> Data:
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(num_nodes, (2, 2 * num_nodes), generator=generator)
    return Data(x=torch.randn(num_nodes, 5, generator=generator).double(), edge_index=edge_index)


def bare(num_nodes: int, edges: list[tuple[int, int]]) -> Data:
    edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
    return Data(x=torch.randn(num_nodes, 5).double(), edge_index=edge_index)


def forced(model: CoGNN, action: int) -> CoGNN:
    """All nodes take one action, by biases of the last layer that drown everything else."""
    for network in model.action.networks:
        for parameter in network.convs[-1].parameters():
            nn.init.zeros_(parameter)
    bias = model.action.networks[0].convs[-1].lin.bias
    with torch.no_grad():
        bias.copy_(
            1e3 * torch.tensor([action in (S, L), action in (B, I), action in (S, B), action in (L, I)]).double()
        )
    return model


def decision(actions: list[int]) -> Decision:
    kinds = torch.tensor(actions)
    return Decision((kinds <= L).double(), ((kinds == S) | (kinds == B)).double())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_all_standard_is_the_base_network_and_all_isolated_the_graph_without_edges(name, training):
    model = build(environment=ENVIRONMENTS[name]).train(training)
    data = random_graph(9)
    empty = Data(x=data.x, edge_index=data.edge_index[:, :0])

    def base(graph: Data) -> Tensor:
        x, _ = model.encoder(graph)
        edges = Edges(CSR.from_edge_index(graph.edge_index, 9), graph.edge_index, ptr=torch.tensor([0, 9]))
        for layer in model.layers:
            x = x + propagate(layer.conv.conv, layer.conv.accepted, x, edges)[0].relu()
        return model.readout([x], edges.ptr)

    torch.testing.assert_close(forced(model, S)(data), base(data), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(forced(model, I)(data), base(empty), rtol=1e-12, atol=1e-12)
    for action in (L, B):
        torch.testing.assert_close(forced(model, action)(data), base(empty), rtol=1e-12, atol=1e-12)


def test_isolated_nodes_of_a_gcn_keep_themselves_with_degree_one():
    """Self-loops of the input are edges like any other: whoever is isolated does not hear itself through them."""
    data = bare(4, [(0, 0), (0, 1), (1, 0), (1, 1), (1, 1), (2, 3)])
    model = forced(build(environment=GCNConv, num_layers=1, level="node"), I).eval()
    x, _ = model.encoder(data)
    expected = x + model.layers[0].conv.conv.lin(x).relu()
    torch.testing.assert_close(model.states(data)[-1], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name", [name for name in ENVIRONMENTS if name != "pyg-gcn"]
)  # keeps a loop of weight 0 in place of a unit one
def test_edges_keep_their_weights_where_the_input_has_self_loops(name):
    """Leaving out self-loops must not shift the weights of the other edges."""
    conv = ENVIRONMENTS[name](4, 4).double().eval()
    environment, x = Environment(conv, 4), torch.randn(4, 4).double()
    index = torch.tensor([[0, 0, 1, 1, 2, 3, 0], [0, 1, 0, 1, 3, 2, 1]])
    active = torch.tensor([0, 1, 0, 1, 0, 1, 1]).double()
    weight = torch.rand(7).double()
    keep = active.bool()
    whole = Edges(CSR.from_edge_index(index, 4), index, None, weight)
    part = Edges(CSR.from_edge_index(index[:, keep], 4), index[:, keep], None, weight[keep])
    expected = propagate(conv, accepted_arguments(conv), x, part)[0]
    torch.testing.assert_close(environment(x, whole, active)[0], expected)


def test_truth_table_of_one_edge():
    adj = CSR.from_edge_index(torch.tensor([[0], [1]]), 2)
    kept = {(u, v): float(decision([u, v]).weight(adj)) for u, v in product(range(4), repeat=2)}
    assert kept == {(u, v): float(u in (S, B) and v in (S, L)) for u, v in product(range(4), repeat=2)}
    assert sum(kept.values()) == 4
    assert decision([S, L, B, I]).action.tolist() == [0, 1, 2, 3]


def test_direction():
    path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    assert decision([B, L, I]).weight(CSR.from_edge_index(path, 3)).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("form", ["independent", "joint", "separate"])
def test_values_are_hard_and_gradients_those_of_the_soft_sample(form):
    torch.manual_seed(1)
    network = ActionNetwork(5, SUM, 2, 8, form, tau0=0.3).double()
    data = random_graph(12)
    edges = Edges(CSR.from_edge_index(data.edge_index, 12), data.edge_index)
    noise = gumbel((12, 4), data.x)
    adj = edges.adj
    weight = network(data.x, edges, noise, "argmax").weight(adj)
    assert set(weight.tolist()) == {0.0, 1.0}

    logits, tau = network.logits(data.x, edges), 1 / network.sharpness(data.x)
    if form == "joint":
        soft = F.softmax((logits + noise) / tau[:, None], -1)
        hard = F.one_hot(soft.argmax(-1), 4).double()
        masks = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]]).double()
        soft, hard = soft @ masks.t(), hard @ masks.t()
    else:
        soft = F.softmax((logits + noise).view(12, 2, 2) / tau[:, None, None], -1)[..., 0]
        hard = (soft > 0.5).double()
    listen, broadcast = (hard + soft - soft.detach()).unbind(1)
    source, target = data.edge_index
    by_hand = broadcast[source] * listen[target]
    torch.testing.assert_close(weight, by_hand)

    probe = torch.randn(weight.numel()).double()
    ours, theirs = (torch.autograd.grad((w * probe).sum(), list(network.parameters())) for w in (weight, by_hand))
    for name, mine, other in zip(dict(network.named_parameters()), ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, msg=name)
        assert mine.any(), name


@pytest.mark.parametrize(("tau0", "tau"), [(0.5, 0.8381), (0.1, 1.2608)])
def test_temperature_of_a_node_whose_state_is_zero(tau0, tau):
    network = ActionNetwork(5, SUM, tau0=tau0)
    sharpness = network.sharpness(torch.zeros(3, 5))
    torch.testing.assert_close(1 / sharpness, torch.full((3,), 1 / (math.log(2) + tau0)))
    assert (1 / sharpness).sub(tau).abs().max() < 1e-4


def test_constant_temperature():
    assert ActionNetwork(5, SUM, temperature=0.01).sharpness(torch.ones(2, 5)).tolist() == [100, 100]
    assert ActionNetwork(5, SUM, temperature=0.01).slope is None


def test_without_tau0_a_temperature_may_be_infinite_but_no_gradient_is_lost_to_nan():
    model = build(tau0=0.0)
    with torch.no_grad():
        model.action.slope.weight.fill_(-1e6)
    model(random_graph(6)).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("form", ["independent", "joint", "separate"])
def test_gradients_of_the_temperature_are_differentiable_again(form):
    """Nothing is written in place, so that second derivatives are right (the released code inverts in place)."""
    network, data = ActionNetwork(5, SUM, form=form, tau0=0.3).double(), random_graph(7)
    edges = Edges(CSR.from_edge_index(data.edge_index, 7), data.edge_index)
    noise, probe = gumbel((7, 4), data.x), torch.randn(14).double()

    def slope(omega: Tensor) -> Tensor:
        def weight(omega: Tensor) -> Tensor:
            return torch.func.functional_call(
                network, {"slope.weight": omega}, (data.x, edges, noise, "argmax")
            ).weight(edges.adj)

        (gradient,) = torch.autograd.grad(weight(omega) @ probe, omega, create_graph=True)
        return gradient

    omega = network.slope.weight.detach().clone().requires_grad_()
    assert slope(omega).any()
    (second,) = torch.autograd.grad(slope(omega).sum(), omega)
    assert second.isfinite().all()
    assert second.any()


def test_temperature_scales_gradients_and_nothing_else():
    """A colder choice is the same choice; in evaluation there is no temperature."""
    data, outputs, gradients = random_graph(9), [], []
    for temperature in (0.5, 2.0):
        model = build(temperature=temperature)
        torch.manual_seed(3)
        out = model(data)
        gradients.append(torch.autograd.grad(out.sum(), model.action.networks[0].convs[0].lin.weight)[0])
        outputs.append((out, model.eval()(data)))
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert torch.equal(outputs[0][1], outputs[1][1])
    assert not torch.allclose(*gradients)


def test_a_temperature_that_is_not_finite_is_an_error_in_training():
    model, data = build(), random_graph(6)
    data.x[2, 3] = torch.inf
    with pytest.raises(GraphError, match="temperature of 1 of 6 nodes is not finite"):
        model(data)


@pytest.mark.parametrize(("aggregate", "expected"), [("active", 2.0), ("full", 1.0)])
@pytest.mark.parametrize("conv", [SumMeanConv, SAGEConv, partial(GraphConv, aggr="mean")])
def test_mean_of_a_star(conv, aggregate, expected):
    """Two of four leaves broadcast 1 and 3."""
    module = conv(1, 1).double()
    environment = Environment(module, 1, aggregate)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.zero_()
            if name in ("lin.weight", "lin_rel.weight"):
                parameter[0, -1] = 1.0
    star = torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0]])
    edges = Edges(CSR.from_edge_index(star, 5), star)
    active = decision([S, B, B, L, I]).weight(edges.adj)
    x = torch.tensor([[9.0], [1.0], [3.0], [100.0], [-7.0]]).double()
    assert environment(x, edges, active)[0][0].tolist() == [expected]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_edges_that_are_not_active_are_no_edges(name):
    conv = ENVIRONMENTS[name](6, 6).double().eval()
    environment, data = Environment(conv, 6), random_graph(15, seed=3)
    x, index = torch.randn(15, 6).double(), data.edge_index
    weight = torch.rand(30).double()
    active = torch.rand(30).gt(0.5).double()
    keep = active.bool()
    for weights in (None, weight):
        everything = Edges(CSR.from_edge_index(index, 15), index, None, weights)
        kept = None if weights is None else weights[keep]
        part = Edges(CSR.from_edge_index(index[:, keep], 15), index[:, keep], None, kept)
        out = environment(x, everything, active)[0]
        torch.testing.assert_close(out, propagate(conv, accepted_arguments(conv), x, part)[0])


FACTORED = [SUM, SumMeanConv, GCNConv, partial(GCNConv, add_self_loops=False), GINConv, SAGEConv,
            partial(SAGEConv, reduce="sum"), partial(GCNConv, update=MLP)]  # fmt: skip


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("aggregate", ["active", "full"])
@pytest.mark.parametrize("conv", [*FACTORED, partial(SAGEConv, reduce="max"), GINEConv, GATConv, GraphConv])
def test_factors_of_nodes_are_weights_of_edges(conv, aggregate, hard):
    """Values and all gradients, on a graph with loops and double edges."""
    torch.manual_seed(4)
    if aggregate == "active" and getattr(conv, "keywords", {}).get("reduce") == "max":
        aggregate = "full"
    environment, data = Environment(conv(6, 6).double(), 6, aggregate), random_graph(15, seed=3)
    index = torch.cat([data.edge_index, torch.tensor([[2, 3, 3, 4], [2, 3, 3, 5]]), data.edge_index[:, :3]], 1)
    edges = Edges(CSR.from_edge_index(index, 15), index)
    x = torch.randn(15, 6).double().requires_grad_()
    factors = [torch.rand(15).double() for _ in range(2)]
    product = NodeProduct(*((f.gt(0.4).double() if hard else f).requires_grad_() for f in factors))
    inputs, probe = [x, *product, *environment.parameters()], torch.randn(15, 6).double()
    found = environment(x, edges, product)[0]
    expected = environment(x, edges, product.dense(edges.adj))[0]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad((out * probe).sum(), inputs) for out in (found, expected)]
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("conv", FACTORED)
def test_plain_sums_never_see_an_edge_weight(conv, monkeypatch):
    environment, data = Environment(conv(6, 6), 6), random_graph(9)
    monkeypatch.setattr(NodeProduct, "dense", None)
    edges = Edges(CSR.from_edge_index(data.edge_index, 9), data.edge_index)
    assert environment(torch.randn(9, 6), edges, decision([S, L, B] * 3).product)[0].isfinite().all()


def test_gradient_of_active_edges():
    """Where nothing is active, an edge is worth what it alone would bring."""
    for name in ("mean", "gat", "gcn", "gat-no-loops"):
        environment = Environment(ENVIRONMENTS[name](4, 4).double(), 4)
        edges = Edges(CSR.from_edge_index(torch.tensor([[0, 1, 2], [3, 3, 4]]), 5))
        x = torch.randn(5, 4).double()
        positive = torch.tensor([0.3, 0.9, 0.5]).double().requires_grad_()
        torch.autograd.gradcheck(lambda a, e=environment, x=x, g=edges: e(x, g, a)[0], positive)
        none = torch.zeros(3).double().requires_grad_()
        (grad,) = torch.autograd.grad(
            environment(x, edges, none)[0] @ torch.randn(4).double(), none, torch.ones(5).double()
        )
        assert grad.isfinite().all()
        assert grad.any()


@pytest.mark.parametrize("name", SETTINGS)
def test_equivariance_with_noise_that_follows_the_nodes(name, monkeypatch):
    model, data = build(name, level="node"), random_graph(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    moved = renumber(data, order)
    noise = gumbel((3, 9, 4), data.x)
    monkeypatch.setattr(model, "_noise", lambda x, edges, draw: noise)
    out = model(data)
    model._noise = lambda x, edges, draw: noise[:, order]
    torch.testing.assert_close(model(moved), out[order])


@pytest.mark.parametrize("evaluation", ["argmax", "expected"])
def test_evaluation_does_not_depend_on_the_numbering(evaluation):
    model, data = build(evaluation=evaluation, level="node").eval(), random_graph(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(renumber(data, order)), model(data)[order])


def test_samples_do_not_depend_on_the_numbering_in_distribution():
    """Draws of a renumbered graph differ, their mean does not."""
    model, data = build("sampled", num_samples=1).eval(), random_graph(6)
    moved = renumber(data, torch.tensor([3, 1, 5, 0, 4, 2]))
    assert not torch.allclose(model(moved), model(data))
    draws = []
    for graph in (data, moved):
        many = Batch.from_data_list([graph] * 1500)
        # Hashed numbers would be the same for all copies.
        numbers = gumbel((3, many.num_nodes, 4), many.x)
        model._noise = lambda x, edges, draw, numbers=numbers: numbers
        draws.append(model(many).detach())
        del model._noise
    error = torch.stack([d.std(0) for d in draws]).norm(dim=0) / 1500**0.5
    assert ((draws[0].mean(0) - draws[1].mean(0)).abs() < 4 * error).all()


@pytest.mark.parametrize("environment", [SUM, SumMeanConv])
def test_a_hexagon_and_two_triangles(environment):
    """Regular graphs: deterministic actions cannot tell them apart, sampled ones can."""
    hexagon = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
    triangles = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]])
    pair = [Data(x=torch.ones(6, 5).double(), edge_index=torch.cat([e, e.flip(0)], 1)) for e in (hexagon, triangles)]
    model = build(environment=environment, action=SUM).eval()
    for evaluation in ("argmax", "expected"):
        model.evaluation = evaluation
        torch.testing.assert_close(model.states(pair[0]), model.states(pair[1]))
    model.evaluation, differ = "sample", 0
    noise = torch.Generator().manual_seed(0)
    for _ in range(20):
        # The same numbers for both, so that only the graphs can make a difference.
        numbers = -torch.rand(3, 6, 4, generator=noise).double().log().neg().log()
        model._noise = lambda x, edges, draw, numbers=numbers: numbers
        one, other = (model(data) for data in pair)
        differ += not torch.allclose(one, other)
    assert differ > 0
    del model._noise
    assert not torch.allclose(model(pair[0]), model(pair[1]))


@pytest.mark.parametrize("level", ["graph", "node"])
@pytest.mark.parametrize("name", SETTINGS)
def test_batch_equals_single(name, level):
    model, several = build(name, level=level).eval(), [random_graph(n, seed=n) for n in (7, 9, 3)]
    several += [bare(1, []), bare(3, [])]
    state = torch.get_rng_state()
    out = model(Batch.from_data_list(several))
    torch.testing.assert_close(torch.cat([model(data) for data in several]), out)
    assert torch.equal(model(Batch.from_data_list(several)), out)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", SETTINGS)
def test_degenerate_graphs(name):
    model = build(name)
    cases = [bare(0, []), bare(1, []), bare(4, []), bare(1, [(0, 0)]), bare(3, [(0, 1), (0, 1), (2, 2)])]
    for training in (True, False):
        model.train(training)
        assert model(Batch.from_data_list(cases)).isfinite().all()
        for data in cases:
            assert model(data).isfinite().all()
            for layer in model.actions(data):
                assert layer.kept_ratio.isfinite()


@given(graphs(min_nodes=1))
def test_what_is_recorded_fits_together(data):
    data.x = torch.linspace(-1, 1, 5 * data.num_nodes).view(-1, 5).double()
    model = build().eval()
    for layer in model.actions(data):
        source, target = layer.action[data.edge_index]
        kept = ((source == S) | (source == B)) & (target <= L)
        assert torch.equal(layer.weight, kept.double())
        assert layer.kept_ratio == kept.double().sum() / max(kept.numel(), 1)
    assert len(model.states(data)) == 4


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_reach_every_parameter(name):
    model = build(name)
    out = model(Batch.from_data_list([random_graph(n, seed=n) for n in (12, 15)]))
    (out * torch.randn_like(out)).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert all(p.grad.any() for p in model.action.parameters())


def test_samples_are_averaged_and_follow_the_seed():
    model, data = build("sampled").eval(), random_graph(9)
    three = model(data)
    single = []
    hashed = model._noise
    for draw in range(3):
        model._noise = lambda x, edges, _, draw=draw: hashed(x, edges, draw)
        model.num_samples = 1
        single.append(model(data))
    assert not torch.allclose(single[0], single[1])
    torch.testing.assert_close(three, torch.stack(single).mean(0))
    del model._noise
    model.seed = 1
    assert not torch.allclose(model(data), single[0])


def test_sampled_actions_have_the_probabilities_of_the_logits():
    edge_index, ptr = torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 20_000])
    logits = torch.tensor([1.0, -0.5, 0.2, 0.0]).double().expand(20_000, 4)
    for noise in (hashed_gumbel(4, edge_index, ptr, 0), gumbel((20_000, 4), logits)):
        assert noise.isfinite().all()
        share = straight_through(logits, noise, 1.0).mean(0)
        assert (share - logits[0].softmax(-1)).abs().max() < 0.015


def test_layers_share_one_action_network_and_may_share_a_norm():
    def count(**options) -> int:
        return build("default", **options).num_parameters

    assert count(num_layers=4) - count(num_layers=3) == 16 * 8 + 8
    normed = {"norm": nn.LayerNorm}
    assert count(**normed) - count() == 4 * 16
    assert count(**normed, shared_norm=True) - count() == 16
    model = build("normed")
    assert all(layer.post_norm is model.norm for layer in model.layers)
    assert build(action_form="separate", action_layers=2).action.networks[1] is not None


def test_repeated_head():
    head = RepeatedHead(4, 2, num_layers=4)
    assert sum(p.numel() for p in head.parameters()) == 20 + 10
    x = torch.randn(3, 4)
    expected = x
    for _ in range(3):
        expected = F.gelu(head.hidden(expected))
    torch.testing.assert_close(head(x), head.last(expected))
    assert [type(layer).__name__ for layer in RepeatedHead(4, 2, num_layers=1).children()][-1] == "Linear"
    with pytest.raises(ConfigError, match="num_layers"):
        RepeatedHead(4, 2, num_layers=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"environment": PyGGATConv}, "GATConv takes no edge_weight"),
        ({"environment": partial(SAGEConv, reduce="max")}, "edge_weight 0 is still an edge"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"temperature": "cold"}, "temperature must be positive"),
        ({"temperature": math.inf}, "temperature must be positive"),
        ({"temperature": math.nan}, "temperature must be positive"),
        ({"tau0": -1.0}, "tau0 must be at least 0"),
        ({"tau0": math.inf}, "tau0 must be at least 0"),
        ({"tau0": math.nan}, "tau0 must be at least 0"),
        ({"evaluation": "sampel"}, "did you mean 'sample'"),
        ({"action_form": "joined"}, "unknown action_form"),
        ({"aggregate": "activ"}, "did you mean 'active'"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"num_samples": 0}, "num_samples must be at least 1"),
        ({"action_layers": 0}, "at least one layer"),
        ({"in_channels": None}, "neither an encoder nor in_channels"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        build(**options)


def test_weak_edges_are_allowed_on_request():
    model = build(environment=GATConv, aggregate="full").eval()
    assert model(random_graph(6)).isfinite().all()
    build(environment=partial(SAGEConv, reduce="max"), aggregate="full")


def test_edge_features_reach_both_networks(molecules):
    encoder = partial(FeatureEncoder, node=AtomEncoder, edge=BondEncoder)
    batch = molecules()
    for conv in (GINEConv, SumMeanConv, GatedGCNConv):
        model = CoGNN(2, 8, 2, GINEConv, conv, action_layers=2, encoder=encoder, evaluation="expected").eval()
        out = model(batch)
        other = batch.clone()
        other.edge_attr = 1 - other.edge_attr
        assert not torch.equal(model(other), out)
        model.encoder.edge_tables = False
        torch.testing.assert_close(model(batch), out)


@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(4, 6), (6, 3)])
@pytest.mark.parametrize("edge_dim", [None, "in"])
def test_sum_mean_conv(reduce, in_channels, out_channels, edge_dim):
    width = in_channels if edge_dim else None
    check_conv(partial(SumMeanConv, reduce=reduce), edge_dim=width, in_channels=in_channels, out_channels=out_channels)
    conv = SumMeanConv(in_channels, out_channels, reduce).double()
    data, weight = random_graph(8, seed=5), torch.rand(16).double()
    x, attr = torch.randn(8, in_channels).double(), torch.randn(16, in_channels).double()
    rows = []
    for v in range(8):
        into = (data.edge_index[1] == v).nonzero().flatten().tolist()
        parts = [weight[e] * (x[data.edge_index[0, e]] + (attr[e] if width else 0)) for e in into]
        total = torch.stack(parts).sum(0) if parts else torch.zeros(in_channels).double()
        rows.append(total / max(len(into), 1) if reduce == "mean" else total)
    expected = conv.lin(torch.cat([x, torch.stack(rows)], -1))
    torch.testing.assert_close(conv(x, data.edge_index, attr if width else None, weight), expected)
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        SumMeanConv(2, 2, "meann")


@pytest.mark.parametrize("options", [{}, {"environment": GATConv}, {"action_form": "joint", "action": GCNConv}])
def test_conv_passes_the_check_where_it_is_differentiable(options):
    check_conv(partial(CoGNNConv, temperature=1.0, evaluation="expected", **options))


def test_conv_drops_into_a_model():
    model = GNN(2, 8, 3, partial(CoGNNConv, environment=GCNConv, action_layers=2), in_channels=5, level="node").double()
    data = random_graph(9)
    model(data).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    assert torch.equal(model(data), model(data))
    conv = model.layers[0].conv
    assert conv.decide(data.x, data.edge_index).action.shape == (9,)
    with pytest.raises(ConfigError, match="unknown evaluation"):
        CoGNNConv(3, 3, evaluation="sample")
    with pytest.raises(ConfigError, match=r"CoGNNConv\.environment"):
        CoGNNConv(3, 3, environment=PyGGATConv)


def test_copies_and_pickles():
    model, data = build("joint").eval(), random_graph(9)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(data), model(data))
    before = model(data)
    model.reset_parameters()
    assert not torch.equal(model(data), before)


CONFIGURATION = """
class_path: gnnlab.nn.CoGNN
init_args:
  out_channels: 2
  in_channels: 5
  hidden_channels: 16
  num_layers: 2
  action:
  - class_path: gnnlab.nn.SumMeanConv
    init_args: {reduce: sum}
  - class_path: torch_geometric.nn.GraphConv
    init_args: {aggr: mean}
  environment:
    class_path: torch_geometric.nn.GraphConv
    init_args: {aggr: mean}
  temperature: 0.5
  norm: torch.nn.LayerNorm
  shared_norm: true
  head: {class_path: gnnlab.nn.RepeatedHead, init_args: {num_layers: 3}}
"""


def from_yaml(text: str) -> CoGNN:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    return instantiate(parser.parse_object({"model": yaml.safe_load(text)})).model


def test_yaml():
    model = from_yaml(CONFIGURATION)
    assert [type(conv).__name__ for conv in model.action.networks[0].convs] == ["SumMeanConv", "GraphConv"]
    assert model.action.constant == 0.5
    assert isinstance(model.layers[1].conv.conv, GraphConv)
    assert isinstance(model.readout.head, RepeatedHead)
    assert model(single()).shape == (1, 2)
    plain = from_yaml(
        "{class_path: gnnlab.nn.CoGNN, init_args: {out_channels: 2, in_channels: 5, temperature: learned}}"
    )
    assert plain.action.slope is not None
    assert isinstance(plain.readout.head, MLPHead)


def single() -> Data:
    data = random_graph(6)
    data.x = data.x.float()
    return data


def test_a_step_of_training():
    data = [single() for _ in range(4)]
    for i, graph in enumerate(data):
        graph.y = torch.tensor([i % 2])
    model = CoGNN(2, 8, 2, in_channels=5, norm=BatchNorm)
    task = GraphTask(model, TaskSpec("graph", 2, "cross_entropy", "accuracy"))
    before = [p.detach().clone() for p in model.parameters()]
    with quiet_lightning():
        trainer = Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        trainer.fit(task, DataLoader(data, batch_size=2), DataLoader(data, batch_size=2))
    assert math.isfinite(trainer.callback_metrics["val/accuracy"])
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
