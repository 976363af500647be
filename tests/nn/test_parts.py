"""MLP, head, BatchNorm, pooling and virtual node."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from gnnlab.nn import MLP, BatchNorm, Dropout, Linear, MLPHead, VirtualNode, global_pool


@pytest.mark.parametrize("num_layers", [1, 2, 4])
def test_mlp_widths(num_layers):
    mlp = MLP(3, 4, num_layers, expansion=2.5, norm=nn.BatchNorm1d, dropout=0.1)
    linear = [(layer.in_features, layer.out_features) for layer in mlp if isinstance(layer, nn.Linear)]
    widths = [3] + [10] * (num_layers - 1) + [4]
    assert linear == list(pairwise(widths))
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in mlp) == num_layers - 1
    assert isinstance(mlp[-1], nn.Dropout)
    assert mlp(torch.randn(5, 3)).shape == (5, 4)


def test_head_is_the_lrgb_head():
    head = MLPHead(6, 2, num_layers=3, dropout=0.1)
    kinds = [Dropout, Linear, nn.GELU] * 2 + [Linear]
    assert [type(layer) for layer in head] == kinds
    assert [type(layer) for layer in MLPHead(6, 2)] == [Linear]
    assert [type(layer) for layer in MLPHead(6, 2, output_dropout=0.5)] == [Linear, Dropout]


@pytest.mark.parametrize("module", [MLP(3, 4, norm=BatchNorm), MLPHead(3, 4, 2), VirtualNode(3, 2)])
def test_reset_draws_new_weights(module):
    before = [weight.clone() for weight in module.parameters()]
    module.reset_parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True))


def test_batch_norm_is_torchs_above_one_row():
    ours, theirs = BatchNorm(3), nn.BatchNorm1d(3)
    for n in (4, 2, 7):
        x = torch.randn(n, 3) * 4 + 1
        torch.testing.assert_close(ours(x), theirs(x))
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values()))
    x = torch.randn(1, 3)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("rows", [0, 1])
def test_batch_norm_uses_running_statistics_for_a_batch_without_variance(rows):
    norm = BatchNorm(3)
    norm(torch.randn(20, 3) * 2 + 5)
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    x = torch.randn(rows, 3)
    torch.testing.assert_close(norm(x), (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt())
    assert all(torch.equal(value, state[name]) for name, value in norm.state_dict().items())


@pytest.mark.parametrize(("reduce", "expected"), [("mean", [1.5, 0, 6]), ("sum", [3, 0, 6]), ("max", [2, 0, 6])])
def test_pooling_of_a_graph_without_nodes_is_zero(reduce, expected):
    x, ptr = torch.tensor([[1.0], [2.0], [6.0]]), torch.tensor([0, 2, 2, 3])
    assert global_pool(x, ptr, reduce).flatten().tolist() == expected


@pytest.mark.parametrize("residual", [False, True])
def test_virtual_node_follows_its_formula(residual):
    node = VirtualNode(4, num_updates=2, residual=residual).double()
    x, ptr = torch.randn(7, 4, dtype=torch.double), torch.tensor([0, 3, 3, 7])
    state = torch.randn(3, 4, dtype=torch.double)
    pooled = torch.stack([state[0] + x[:3].sum(0), state[1], state[2] + x[3:].sum(0)])
    new = node.updates[1](pooled)
    torch.testing.assert_close(node(x, state, ptr, 1), state + new if residual else new)
    assert not node.initial(5).any()


def test_virtual_node_trains_on_a_batch_of_one_graph():
    node = VirtualNode(4, num_updates=1)
    assert node(torch.randn(3, 4), node.initial(1), torch.tensor([0, 3]), 0).isfinite().all()
