"""IGNN: its fixed point, its contraction, gradients, and graphs that do not see their batch."""

from __future__ import annotations

from functools import partial

import networkx as nx
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import IGNN, AtomEncoder, FeatureEncoder
from gnnlab.nn.implicit import ConvergenceError, ConvergenceWarning, FixedPointRule

TIGHT = {"tolerance": 1e-13, "max_iterations": 2000, "not_converged": "error"}
SETTINGS = {
    "one layer": {},
    "three layers": {"implicit_layers": 3},
    "radius": {"adjacency": "radius", "phi": nn.Tanh},
    "radius, three layers": {"adjacency": "radius", "implicit_layers": 3, "phi": nn.ELU},
}
YAML = """
class_path: gnnlab.nn.IGNN
init_args:
  out_channels: 2
  hidden_channels: 8
  implicit_layers: 3
  phi: torch.nn.Tanh
  pool: sum
  encoder:
    class_path: gnnlab.nn.FeatureEncoder
    init_args: {node: gnnlab.nn.AtomEncoder}
"""


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def graph(n: int, seed: int = 0) -> Data:
    graph = nx.gnp_random_graph(n, 0.5, seed=seed)
    pairs = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    return Data(x=random(n, 3, seed=seed), edge_index=torch.cat([pairs, pairs.flip(0)], 1))


def model(name: str = "one layer", **settings: object) -> IGNN:
    torch.manual_seed(0)
    net = IGNN(2, 6, in_channels=3, **(SETTINGS[name] | settings)).double()
    net.weight.data *= 3  # well outside the ball
    return net


def test_one_edge():
    """h = relu(0.5 A h + b) with b = (1, 0) has h = (4/3, 2/3)."""
    net = IGNN(1, 1, in_channels=1, adjacency="radius", level="node", tolerance=1e-9).double()
    net.weight.data.fill_(0.5)
    net.omega[0].weight.data.fill_(1)
    data = Data(x=torch.tensor([[0.0], [1.0]], dtype=torch.double), edge_index=torch.tensor([[0, 1], [1, 0]]))
    h = net.states(data)[-1].flatten()
    torch.testing.assert_close(h, torch.tensor([4 / 3, 2 / 3], dtype=torch.double))


@pytest.mark.parametrize("name", SETTINGS)
def test_states_are_the_fixed_point_of_dense_layers(name):
    data, net = graph(7), model(name, **TIGHT)
    x, *layers = net.states(data)
    a = torch.zeros(7, 7, dtype=torch.double).index_put_(
        (data.edge_index[1], data.edge_index[0]), torch.ones(()).double()
    )
    if net.adjacency == "radius":
        a = a / torch.linalg.eigvalsh(a)[-1]
    else:
        a = a + torch.eye(7)
        a = a / (a.sum(1)[:, None] * a.sum(1)).sqrt()
    matrix = net._matrix().detach()
    for i, h in enumerate(layers):
        w = matrix[6 * i : 6 * i + 6, 6 * i : 6 * i + 6]
        assert float(w.abs().sum(1).max()) <= 0.9 + 1e-9
        expected = net.phi(a @ h @ w.t() + a @ (x if i == 0 else layers[i - 1]) @ net.omega[i].weight.t())
        torch.testing.assert_close(h, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net(data), net.readout([layers[-1]], torch.tensor([0, 7])))


@pytest.mark.parametrize("name", SETTINGS)
def test_implicit_gradients_are_those_of_the_unrolled_iteration_and_of_differences(name):
    data, net = graph(5), model(name, **TIGHT)
    data.x.requires_grad_()
    inputs = [data.x, *net.parameters()]
    implicit = torch.autograd.grad(net(data).square().sum(), inputs)
    x, edges = net.inputs(data)
    update, h = net._bind(x, edges), torch.zeros(5, 6 * net.implicit_layers, dtype=torch.double)
    for _ in range(500):
        h = update(h)
    recorded = torch.autograd.grad(net.readout([h[:, -6:]], edges.ptr).square().sum(), inputs)
    for number, (value, ours, theirs) in enumerate(zip(inputs, implicit, recorded, strict=True)):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-8)
        direction, ends = random(*value.shape, seed=number), []
        with torch.no_grad():
            for sign in (1, -1):
                value.add_(sign * 1e-6 * direction)
                ends.append(float(net(data).square().sum()))
                value.sub_(sign * 1e-6 * direction)
        slope = (ends[0] - ends[1]) / 2e-6
        assert float((ours * direction).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_update_contracts_in_a_weighted_norm(name):
    """Two orbits approach each other like kappa^t, times a polynomial with several layers."""
    data, net = graph(8), model(name)
    update = net._bind(*net.inputs(data)).detach()
    a, b = (10 * random(8, 6 * net.implicit_layers, seed=seed) for seed in (1, 2))
    apart = (a - b).abs().max()
    for _ in range(200):
        a, b = update(a), update(b)
    assert (a - b).abs().max() <= 1e4 * 0.9**200 * apart


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("level", ["graph", "node"])
def test_batch_equals_single(name, level):
    graphs = [graph(n, seed) for seed, n in enumerate((6, 1, 0, 9, 3))]
    graphs[3].x *= 50
    batch, net = Batch.from_data_list(graphs), model(name, level=level, tolerance=1e-9, not_converged="error")
    out = net(batch)
    assert len(net.convergence.iterations.unique()) > 1
    torch.testing.assert_close(torch.cat([net(data) for data in graphs]), out, rtol=1e-6, atol=1e-6)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", SETTINGS)
def test_equivariance_and_local_rule(name):
    data, net = graph(7), model(name, level="node", tolerance=1e-11)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(3))
    moved = Data(x=data.x[order], edge_index=order.argsort()[data.edge_index])
    torch.testing.assert_close(net(moved), net(data)[order], rtol=1e-6, atol=1e-8)
    rule = net.local_rule(data)
    assert isinstance(rule, FixedPointRule)
    source, h = rule.graph.edge_index[0], rule.initial()
    for _ in range(600):
        h = rule.update(h[source], h)
    torch.testing.assert_close(rule.readout(h), net(data), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("adjacency", ["symmetric", "radius"])
def test_degenerate_and_directed_graphs(adjacency):
    net = IGNN(2, 4, in_channels=3, adjacency=adjacency, not_converged="error")
    cases = [Data(x=torch.randn(n, 3), edge_index=torch.zeros(2, 0, dtype=torch.long)) for n in (0, 1, 4)]
    cases.append(Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 2, 2, 2], [1, 2, 3, 2, 2]])))
    cases.append(Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]])))
    for data in cases:
        assert net(data).isfinite().all()
    weighted = graph(5).apply(lambda t: t.float() if t.is_floating_point() else t)
    weighted.edge_weight = torch.full((weighted.edge_index.size(1),), 3.0)
    plain = Data(x=weighted.x, edge_index=weighted.edge_index)
    if adjacency == "radius":
        torch.testing.assert_close(net(weighted), net(plain), rtol=1e-4, atol=1e-5)
    weighted.edge_weight[0] = -1
    with pytest.raises(GraphError, match="edge weights must be non-negative"):
        net(weighted)


def test_states_that_were_not_found_are_reported():
    with pytest.warns(ConvergenceWarning, match="the fixed point did not converge on 1 of 1 graphs"):
        model(max_iterations=2)(graph(6))
    with pytest.raises(ConvergenceError, match="the fixed point did not converge"):
        model(max_iterations=2, not_converged="error")(graph(6))
    net = model()
    out = net(graph(6)).square().sum()
    net.max_iterations = 1
    with pytest.warns(ConvergenceWarning, match="the gradient of the fixed point did not converge"):
        out.backward()


def test_gradients_that_were_not_found_may_be_errors():
    net = model(not_converged="error")
    loss = net(graph(6)).square().sum()
    net.max_iterations = 1
    with pytest.raises(ConvergenceError, match="the gradient of the fixed point did not converge on 1 of 1 graphs"):
        loss.backward()


def test_features_that_are_no_numbers_are_reported_and_spoil_no_other_graph():
    data, net = [graph(5), graph(6, 1)], model()
    expected = net(data[0]).detach()
    data[1].x[2, 1] = torch.nan
    with pytest.warns(ConvergenceWarning, match="fixed point did not converge on 1 of 2 graphs: residual up to nan"):
        out = net(Batch.from_data_list(data))
    torch.testing.assert_close(out[:1], expected)


def test_two_starts_one_fixed_point():
    data, net = graph(7), model("three layers")
    x, edges = net.inputs(data)
    update = net._bind(x, edges).detach()
    ends = []
    for seed in (1, 2):
        h = 10 * random(7, 18, seed=seed)
        for _ in range(1000):
            h = update(h)
        ends.append(h)
    assert (ends[0] - ends[1]).abs().max() < 1e-5
    torch.testing.assert_close(ends[0][:, -6:], net.states(data)[-1], rtol=0, atol=1e-4)


def test_validation_and_yaml(molecules):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    net = instantiate(parser.parse_object({"model": yaml.safe_load(YAML)})).model.eval()
    assert isinstance(net.phi, nn.Tanh)
    expected = net(molecules()).detach()
    with torch.inference_mode():
        torch.testing.assert_close(net(molecules()), expected)


def test_settings_that_do_not_fit_are_named():
    for phi in (nn.GELU, nn.SiLU, partial(nn.LeakyReLU, 1.5)):
        with pytest.raises(ConfigError, match="need not contract"):
            IGNN(2, in_channels=3, phi=phi)
    for kappa in (1.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match="kappa in"):
            IGNN(2, in_channels=3, kappa=kappa)
    with pytest.raises(ConfigError, match="did you mean 'radius'"):
        IGNN(2, in_channels=3, adjacency="radious")
    with pytest.raises(ConfigError, match="neither an encoder nor in_channels"):
        IGNN(2)
    assert IGNN(2, 8, encoder=partial(FeatureEncoder, node=AtomEncoder)).num_parameters > 0
