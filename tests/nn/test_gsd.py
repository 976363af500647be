"""Graph-signal denoising: its closed form, gradients, and the rule of its nodes."""

from __future__ import annotations

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import GSDGNN, MLPHead
from gnnlab.nn.implicit import ConvergenceError, ConvergenceWarning, EnergyRule

EDGES = torch.tensor([[0, 1, 1, 2, 2, 3, 0, 4, 4, 1, 0], [1, 0, 2, 1, 3, 2, 0, 1, 1, 4, 3]])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def identity(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Identity()


def path(n: int, x: Tensor | None = None) -> Data:
    one_way = torch.stack([torch.arange(n - 1), torch.arange(1, n)]) if n > 1 else torch.zeros(2, 0, dtype=torch.long)
    return Data(x=random(n, 3, seed=n) if x is None else x, edge_index=torch.cat([one_way, one_way.flip(0)], 1))


def weighted() -> Data:
    """A self-loop, a duplicate edge, an edge in one direction, weights."""
    return Data(x=random(5, 3), edge_index=EDGES, edge_weight=random(EDGES.size(1), seed=5).abs())


def dense_laplacian(data: Data, normalise: bool) -> Tensor:
    n = data.num_nodes
    a = torch.zeros(n, n, dtype=torch.double)
    a = a.index_put_((data.edge_index[0], data.edge_index[1]), data.edge_weight, accumulate=True)
    a = (a + a.t()) / 2
    degree = a.sum(1)
    laplacian = torch.diag(degree) - a
    scale = degree.rsqrt()
    return scale[:, None] * laplacian * scale if normalise else laplacian


def test_closed_form_on_a_path():
    net = GSDGNN(1, 1, gamma=1.0, f=identity, in_channels=1, tolerance=1e-10)
    h = net.states(path(3, torch.tensor([[1.0], [0.0], [0.0]])))[-1].flatten()
    assert (h - torch.tensor([0.625, 0.25, 0.125])).abs().max() < 1e-6


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("gamma", [0.0, 0.7, 30.0])
def test_closed_form_of_weighted_graphs(gamma, normalise):
    data = weighted()
    net = GSDGNN(1, 3, gamma=gamma, normalise=normalise, f=identity, in_channels=3, tolerance=1e-12)
    matrix = torch.eye(5) + gamma * dense_laplacian(data, normalise)
    torch.testing.assert_close(net.states(data)[-1], torch.linalg.solve(matrix, data.x))


@pytest.mark.parametrize("normalise", [False, True])
def test_gradients_are_those_of_the_dense_solution(normalise):
    data = weighted()
    torch.manual_seed(0)
    net = GSDGNN(2, 4, 0.7, normalise, in_channels=3, level="node", tolerance=1e-13).double()
    data.x.requires_grad_()
    data.edge_weight.requires_grad_()
    inputs = [data.x, data.edge_weight, *net.parameters()]
    implicit = torch.autograd.grad(net(data).square().sum(), inputs)
    matrix = torch.eye(5) + 0.7 * dense_laplacian(data, normalise)
    dense = net.readout([torch.linalg.solve(matrix, net.f(data.x))], torch.tensor([0, 5]))
    for ours, theirs in zip(implicit, torch.autograd.grad(dense.square().sum(), inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("level", ["graph", "node"])
def test_batch_equals_single(level):
    graphs = [path(n) for n in (5, 1, 0, 9, 3)]
    batch = Batch.from_data_list(graphs)
    net = GSDGNN(2, 4, 3.0, in_channels=3, pool="max", level=level, tolerance=1e-10, not_converged="error").double()
    out = net(batch)
    assert len(net.convergence.iterations.unique()) > 2
    torch.testing.assert_close(torch.cat([net(data) for data in graphs]), out)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    net.eval()
    with torch.inference_mode():
        torch.testing.assert_close(net(Batch.from_data_list(graphs)), out.detach())


def test_equivariance_to_renumbering():
    data, net = path(6), GSDGNN(2, 4, in_channels=3, level="node", tolerance=1e-12).double()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    moved = Data(x=data.x[order], edge_index=order.argsort()[data.edge_index])
    torch.testing.assert_close(net(moved), net(data)[order])


def test_sums_and_means_see_no_edges():
    data = path(6)
    for pool in ("sum", "mean"):
        net = GSDGNN(2, 4, 5.0, in_channels=3, pool=pool, tolerance=1e-12).double()
        torch.testing.assert_close(net(data), net(Data(x=data.x, edge_index=data.edge_index[:, :0])))
        net.normalise = True
        assert not torch.allclose(net(data), net(Data(x=data.x, edge_index=data.edge_index[:, :0])))


@pytest.mark.parametrize("normalise", [False, True])
def test_local_rule(normalise):
    data = weighted()
    net = GSDGNN(2, 4, 0.7, normalise, in_channels=3, level="node", tolerance=1e-12).double()
    rule = net.local_rule(data)
    assert isinstance(rule, EnergyRule)
    source, h = rule.graph.edge_index[0], random(5, 4, seed=3)
    laplacian = dense_laplacian(data, normalise)
    energy = (h - net.f(data.x)).square().sum() + 0.7 * (h.t() @ laplacian @ h).trace()
    torch.testing.assert_close(rule.local_energy(h[source], h).sum(), energy.detach())
    curvature = 2 * (1 + 0.7 * torch.linalg.eigvalsh(laplacian)[-1])
    assert 0 < float(rule.step_size()) <= 1 / float(curvature)
    h = rule.initial()
    for _ in range(600):
        leaf = h.requires_grad_()
        (gradient,) = torch.autograd.grad(rule.local_energy(leaf[source], leaf).sum(), leaf)
        h = (leaf - rule.step_size() * gradient).detach()
    torch.testing.assert_close(rule.readout(h), net(data))


@pytest.mark.parametrize("normalise", [False, True])
def test_gradients_of_the_rule_in_closed_form(normalise):
    rule = GSDGNN(2, 4, 0.7, normalise, in_channels=3, level="node").double().local_rule(weighted())
    views, own = (random(rows, 4, seed=rows).requires_grad_() for rows in (EDGES.size(1), 5))
    expected = torch.autograd.grad(rule.local_energy(views, own).sum(), (views, own))
    for ours, theirs in zip(rule.local_gradients(views.detach(), own.detach()), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_does_not_fit_is_named():
    with pytest.raises(ConfigError, match="gamma must be a number that is not negative"):
        GSDGNN(2, in_channels=3, gamma=-1)
    with pytest.raises(ConfigError, match="neither an encoder nor in_channels"):
        GSDGNN(2)
    data = weighted()
    data.edge_weight[0] = -0.1
    with pytest.raises(GraphError, match="edge weights must be non-negative"):
        GSDGNN(2, 4, in_channels=3).double()(data)
    with pytest.warns(ConvergenceWarning, match="denoising of the signal did not converge on 1 of 1 graphs"):
        GSDGNN(2, 4, 50.0, in_channels=3, max_iterations=2).double()(path(9))
    with pytest.raises(ConvergenceError, match="denoising of the signal did not converge"):
        GSDGNN(2, 4, 50.0, in_channels=3, max_iterations=2, not_converged="error").double()(path(9))


def test_gradients_that_were_not_found_are_reported():
    for option, context in (
        ("warn", pytest.warns(ConvergenceWarning, match="gradient of the denoised signal did not converge on 1 of 1")),
        ("error", pytest.raises(ConvergenceError, match="gradient of the denoised signal did not converge on 1 of 1")),
    ):
        net = GSDGNN(2, 4, 50.0, in_channels=3, pool="max", not_converged=option).double()
        loss = net(path(9)).square().sum()
        net.max_iterations = 2
        with context:
            loss.backward()


def test_features_that_are_no_numbers_are_reported_and_spoil_no_other_graph():
    data, net = [path(5), path(6)], GSDGNN(2, 4, in_channels=3, pool="max").double()
    expected = net(data[0]).detach()
    data[1].x[2, 1] = torch.nan
    with pytest.warns(ConvergenceWarning, match="signal did not converge on 1 of 2 graphs: residual up to nan"):
        out = net(Batch.from_data_list(data))
    torch.testing.assert_close(out[:1], expected)


def test_yaml():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    text = """
    class_path: gnnlab.nn.GSDGNN
    init_args:
      out_channels: 2
      in_channels: 3
      gamma: 2.5
      f: {class_path: gnnlab.nn.MLP, init_args: {num_layers: 3}}
      head: {class_path: gnnlab.nn.MLPHead, init_args: {num_layers: 2}}
    """
    net = instantiate(parser.parse_object({"model": yaml.safe_load(text)})).model
    assert net.gamma == 2.5
    assert isinstance(net.readout.head, MLPHead)
    assert net.double()(path(4)).shape == (1, 2)
