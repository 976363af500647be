"""Energy GNN: gradients, batches, equivariance, and what it says when it did not find its states."""

from __future__ import annotations

import copy
import warnings
from functools import partial

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import AtomEncoder, BondEncoder, EnergyGNN, FeatureEncoder
from gnnlab.nn.implicit import ConvergenceError, ConvergenceWarning, EnergyRule, minimise
from gnnlab.nn.implicit.minimise import energy_and_gradient
from gnnlab.ops import CSR

KINDS = ("node", "edge", "attention")
TIGHT = {"tolerance": 1e-10, "adjoint_tolerance": 1e-10, "not_converged": "error"}

YAML = """
class_path: gnnlab.nn.EnergyGNN
init_args:
  out_channels: 2
  hidden_channels: 16
  state_channels: 4
  kind: edge
  edge_channels: 16
  pool: sum
  encoder:
    class_path: gnnlab.nn.FeatureEncoder
    init_args: {node: gnnlab.nn.AtomEncoder, edge: gnnlab.nn.BondEncoder}
  head:
    class_path: gnnlab.nn.MLPHead
    init_args: {num_layers: 2}
"""


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def graph(n: int, seed: int = 0, channels: int = 3) -> Data:
    """A path with a chord and, on four nodes and more, a self-loop and a duplicate edge."""
    one_way = torch.stack([torch.arange(n - 1), torch.arange(1, n)]) if n > 1 else torch.zeros(2, 0, dtype=torch.long)
    extra = torch.tensor([[0, 2, 3], [2, 0, 3]]) if n > 3 else torch.zeros(2, 0, dtype=torch.long)
    edge_index = torch.cat([one_way, one_way.flip(0), extra, extra[:, :1]], 1)
    return Data(x=random(n, channels, seed=seed), edge_index=edge_index)


def model(kind: str = "attention", seed: int = 0, **settings: object) -> EnergyGNN:
    torch.manual_seed(seed)
    settings = {"hidden_channels": 4, "in_channels": 3, "picnn_channels": 6, "message_channels": 3} | settings
    return EnergyGNN(2, kind=kind, **settings).double()


@pytest.mark.parametrize("kind", KINDS)
def test_states_minimise_the_energy(kind):
    data, net = graph(6), model(kind, tolerance=1e-10)
    x, h = net.states(data)
    energy = net.energy.bind(x, net.inputs(data)[1]).detach()
    value, gradient = energy_and_gradient(energy, h.detach(), torch.tensor([0, 6]))
    assert gradient.abs().max() < 1e-9
    for seed in range(5):
        other = h.detach() + 0.1 * random(6, 4, seed=seed)
        assert energy(other).sum() > value
        again, _ = minimise(energy, 5 * random(6, 4, seed=seed), torch.tensor([0, 6]), 1e-10)
        assert (again - h).abs().max() < 1e-5


def unrolled(net: EnergyGNN, data: Data, steps: int) -> Tensor:
    """Gradient descent with every step recorded."""
    x, edges = net.inputs(data)
    energy = net.energy.bind(x, edges)
    step = net.local_rule(data).step_size()
    h = torch.zeros(x.size(0), net.state_channels, dtype=x.dtype, requires_grad=True)
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(energy(h).sum(), h, create_graph=True)
        h = h - step * gradient
    return net.readout([h], edges.ptr)


@pytest.mark.parametrize("kind", KINDS)
def test_implicit_gradients_are_those_of_the_unrolled_search_and_of_differences(kind):
    data, net = graph(4), model(kind, beta=1.0, **TIGHT)
    data.x.requires_grad_()
    weight = random(1, 2, seed=7)
    inputs = [data.x, *net.parameters()]
    out = net(data)
    implicit = torch.autograd.grad((weight * out.square()).sum(), inputs)
    long = unrolled(net, data, 150)
    torch.testing.assert_close(long, out, rtol=1e-6, atol=1e-8)
    recorded = torch.autograd.grad((weight * long.square()).sum(), inputs, materialize_grads=True)
    for ours, theirs in zip(implicit, recorded, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
    directions, ends = [random(*value.shape, seed=number) for number, value in enumerate(inputs)], []
    with torch.no_grad():
        for sign in (1, -2, 1):
            for value, direction in zip(inputs, directions, strict=True):
                value.add_(sign * 1e-5 * direction)
            ends.append(float((weight * net(data).square()).sum()))
    slope = sum(float((gradient * direction).sum()) for gradient, direction in zip(implicit, directions, strict=True))
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4)


SIZES = (5, 1, 0, 9, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["graph", "node"])
def test_batch_equals_single(kind, level):
    graphs = [graph(n, seed) for seed, n in enumerate(SIZES)]
    graphs[3].x *= 4  # takes longer than the others
    batch, net = Batch.from_data_list(graphs), model(kind, level=level, tolerance=1e-7, not_converged="error")
    out = net(batch)
    record = net.convergence
    assert out.shape == ((5 if level == "graph" else 18), 2)
    assert record.converged.all()
    assert len(record.iterations.unique()) > 1
    alone = torch.cat([net(data) for data in graphs])
    torch.testing.assert_close(out, alone, rtol=1e-5, atol=1e-6)
    batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    torch.testing.assert_close(net(batch), out, rtol=1e-5, atol=1e-6)


def test_gradients_of_a_batch_are_the_sums_of_those_of_its_graphs():
    graphs = [graph(n, seed) for seed, n in enumerate((5, 1, 7))]
    net = model(**TIGHT)
    together = torch.autograd.grad(net(Batch.from_data_list(graphs)).square().sum(), list(net.parameters()))
    parts = [torch.autograd.grad(net(data).square().sum(), list(net.parameters())) for data in graphs]
    for total, *terms in zip(together, *parts, strict=True):
        torch.testing.assert_close(total, sum(terms), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_equivariance_to_renumbering(kind):
    data, net = graph(7), model(kind, level="node", tolerance=1e-10)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(3))
    place = order.argsort()
    edges = torch.randperm(data.edge_index.size(1), generator=torch.Generator().manual_seed(4))
    moved = Data(x=data.x[order], edge_index=place[data.edge_index[:, edges]])
    torch.testing.assert_close(net(moved), net(data)[order], rtol=1e-6, atol=1e-8)


def test_information_reaches_all_of_a_component_and_no_other():
    data, net = graph(9), model("edge", level="node", tolerance=1e-12)
    both = Batch.from_data_list([data, graph(4, 1)])
    both.x.requires_grad_()
    gradient = torch.autograd.grad(net(both)[0].sum(), both.x)[0].abs().sum(1)
    assert (gradient[:9] > 0).all()
    assert (gradient[9:] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 3])
def test_graphs_without_edges(kind, n):
    data = Data(x=random(n, 3), edge_index=torch.zeros(2, 0, dtype=torch.long))
    net = model(kind, not_converged="error")
    out = net(data)
    assert out.shape == (1, 2)
    assert out.isfinite().all()
    out.sum().backward()


def test_encoder_edge_features_and_training(molecules):
    encoder = partial(FeatureEncoder, node=AtomEncoder, edge=BondEncoder)
    net = EnergyGNN(2, 16, 4, "attention", edge_channels=16, encoder=encoder)
    net(molecules()).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert net.adjoint_convergence.converged.all()
    copy.deepcopy(net).reset_parameters()
    with pytest.raises(GraphError, match="edge features of width 8"):
        EnergyGNN(2, 16, 4, "edge", edge_channels=8, encoder=encoder)(molecules())


def test_evaluation_without_gradients_is_the_same(molecules):
    encoder = partial(FeatureEncoder, node=AtomEncoder)
    net = EnergyGNN(2, 8, encoder=encoder).eval()
    expected = net(molecules()).detach()
    with torch.no_grad():
        out = net(molecules())
        assert not out.requires_grad
        torch.testing.assert_close(out, expected)
    with torch.inference_mode():
        batch = molecules()
        batch.edge_weight = torch.ones(batch.edge_index.size(1))
        torch.testing.assert_close(net(batch), expected)
        batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
        torch.testing.assert_close(net(batch), expected)


def test_weights_of_edges_multiply_messages():
    data, net = graph(5), model("edge")
    data.edge_weight = torch.zeros(data.edge_index.size(1), dtype=torch.double)
    alone = Data(x=data.x, edge_index=data.edge_index[:, :0])
    torch.testing.assert_close(net(data), net(alone), rtol=1e-4, atol=1e-5)
    data.edge_weight[1] = -0.1
    with pytest.raises(GraphError, match="edge weights must be non-negative"):
        net(data)


def test_states_that_were_not_found_are_reported():
    data = graph(6)
    with pytest.warns(ConvergenceWarning, match="minimisation of the energy did not converge on 1 of 1 graphs"):
        model(max_iterations=2)(data)
    strict = model(max_iterations=2, not_converged="error")
    with pytest.raises(ConvergenceError, match="residual up to"):
        strict(data)
    assert strict.convergence is None
    net = model()
    loss = net(data).square().sum()
    net.max_iterations = 1
    with pytest.warns(ConvergenceWarning, match="the gradient of the minimiser did not converge"):
        loss.backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model()(data).sum().backward()


def test_gradients_that_were_not_found_may_be_errors():
    net = model(not_converged="error")
    loss = net(graph(6)).square().sum()
    net.max_iterations = 1
    with pytest.raises(ConvergenceError, match="the gradient of the minimiser did not converge on 1 of 1 graphs"):
        loss.backward()


@pytest.mark.parametrize("context", [torch.enable_grad, torch.inference_mode])
def test_features_that_are_no_numbers_are_reported_and_spoil_no_other_graph(context):
    data, net = [graph(5), graph(6, 1)], model("edge", max_iterations=12, tolerance=0.1)
    expected = net(data[0]).detach()
    data[1].x[2, 1] = torch.nan
    with (
        context(),
        pytest.warns(ConvergenceWarning, match="did not converge on 1 of 2 graphs: residual up to nan"),
    ):
        out = net(Batch.from_data_list(data))
    torch.testing.assert_close(out[:1], expected)
    with pytest.raises(GraphError, match="attention weights must be non-negative numbers, the smallest is nan"):
        model("attention")(data[1])


@pytest.mark.parametrize("kind", KINDS)
def test_local_rule(kind):
    """Where all views are fresh, the nodes' own parts and what they are told add up to the gradient."""
    data, net = Batch.from_data_list([graph(5), graph(4, 1)]), model(kind, level="node", tolerance=1e-10, beta=1.0)
    rule = net.local_rule(data)
    assert isinstance(rule, EnergyRule)
    edge_index = rule.graph.edge_index
    assert torch.equal(edge_index, data.edge_index)
    h = net.states(data)[-1]
    torch.testing.assert_close(rule.readout(h), net(data))
    h = h.detach()
    own, views = h.clone().requires_grad_(), h[edge_index[0]].clone().requires_grad_()
    mine, told = torch.autograd.grad(rule.local_energy(views, own).sum(), [own, views])
    assert (mine + torch.zeros_like(h).index_add_(0, edge_index[0], told)).abs().max() < 1e-8
    # Descent with the step it states comes to the minimiser, from its own start.
    step, h = rule.step_size()[data.batch, None], rule.initial()
    assert h.shape == (9, 4)
    for _ in range(150):
        leaf = h.requires_grad_()
        (gradient,) = torch.autograd.grad(rule.local_energy(leaf[edge_index[0]], leaf).sum(), leaf)
        h = (leaf - step * gradient).detach()
    torch.testing.assert_close(rule.readout(h), net(data), rtol=1e-4, atol=1e-5)


def test_yaml(molecules):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    config = parser.parse_object({"model": yaml.safe_load(YAML)})
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    net = instantiate(config).model
    assert isinstance(net, EnergyGNN)
    assert net.energy.kind == "edge"
    assert net(molecules()).shape == (3, 2)


def test_settings_that_do_not_fit_are_named():
    with pytest.raises(ConfigError, match="neither an encoder nor in_channels"):
        EnergyGNN(2)
    with pytest.raises(ConfigError, match="did you mean 'lbfgs'"):
        EnergyGNN(2, in_channels=3, method="lbgfs")
    with pytest.raises(ConfigError, match="unknown not_converged 'silent'"):
        EnergyGNN(2, in_channels=3, not_converged="silent")
    for tolerance in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="EnergyGNN: tolerance must be positive"):
            EnergyGNN(2, in_channels=3, tolerance=tolerance)
        with pytest.raises(ConfigError, match="adjoint_tolerance must be positive"):
            EnergyGNN(2, in_channels=3, adjoint_tolerance=tolerance)
    with pytest.raises(ConfigError, match="max_iterations at least 1"):
        EnergyGNN(2, in_channels=3, max_iterations=0)
