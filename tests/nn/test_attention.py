"""Attention within graphs: against a loop over graphs, and by what must never get from one graph to another."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gnnlab.errors import BudgetError, ConfigError
from gnnlab.nn import SelfAttention, _padded, attention
from gnnlab.nn._padded import padded_layout
from gnnlab.ops import CSR
from gnnlab.testing import check_conv


def pointer(sizes: list[int]) -> Tensor:
    return torch.tensor([0, *sizes]).cumsum(0)


def loop(layer: SelfAttention, x: Tensor, ptr: Tensor) -> Tensor:
    """One call of torch's own attention per graph."""
    other = nn.MultiheadAttention(layer.in_channels, layer.heads, batch_first=True).to(x.dtype)
    other.in_proj_weight, other.in_proj_bias = layer.query_key_value.weight, layer.query_key_value.bias
    other.out_proj.weight, other.out_proj.bias = layer.output.weight, layer.output.bias
    parts = [x[start:stop][None] for start, stop in itertools.pairwise(ptr) if stop > start]
    return torch.cat([x[:0], *(other(part, part, part, need_weights=False)[0][0] for part in parts)])


def layer_of(channels: int = 6, heads: int = 2, dropout: float = 0.0) -> SelfAttention:
    layer = SelfAttention(channels, channels, heads, dropout).double()
    nn.init.normal_(layer.query_key_value.bias)
    return layer


@given(st.lists(st.integers(0, 12), max_size=9), st.sampled_from([0, 30, 2**17]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_equals_a_loop_over_the_graphs(sizes, few, with_csr):
    ptr, layer = pointer(sizes), layer_of()
    x = torch.randn(int(ptr[-1]), 6, dtype=torch.double, requires_grad=True)
    adj = CSR.from_edge_index(torch.zeros(2, 0, dtype=torch.long), x.size(0)) if with_csr else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_padded, "_FEW", few)
        out = layer(x, adj, ptr)
        expected = loop(layer, x, ptr)
        torch.testing.assert_close(out, expected)
        if not x.size(0):
            return
        weight = torch.randn_like(out)
        grads = [torch.autograd.grad((y * weight).sum(), (x, *layer.parameters())) for y in (out, expected)]
    for actual, wanted in zip(*grads, strict=True):
        torch.testing.assert_close(actual, wanted)


def test_the_path_with_dropout_is_the_same_attention(monkeypatch):
    ptr, layer = pointer([3, 0, 7, 1, 7]), layer_of(dropout=1e-12).train()
    x = torch.randn(18, 6, dtype=torch.double)
    torch.testing.assert_close(layer(x, None, ptr), loop(layer, x, ptr))
    monkeypatch.setattr(_padded, "_FEW", 0)
    torch.testing.assert_close(layer(x, None, ptr), loop(layer, x, ptr))


def test_dropout_acts_in_training_only():
    layer, x = layer_of(dropout=0.5), torch.randn(9, 6, dtype=torch.double)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    torch.testing.assert_close(layer(x), loop(layer, x, pointer([9])))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_not_even_a_nan_leaves_its_graph(dropout):
    ptr, layer = pointer([3, 4, 5, 4]), layer_of(dropout=dropout)
    x = torch.randn(16, 6, dtype=torch.double)
    x[0], x[7] = torch.nan, torch.inf
    bad = layer(x, None, ptr).isnan().any(1)
    assert bad.tolist() == [True] * 3 + [False] * 4 + [True] * 5 + [False] * 4


def test_gradients_stay_within_the_graph():
    ptr, layer = pointer([3, 4, 1]), layer_of()
    x = torch.randn(8, 6, dtype=torch.double, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(x, None, ptr)[3:7].sum(), x)
    assert grad[3:7].any(1).all()
    assert not grad[:3].any()
    assert not grad[7:].any()


def test_without_ptr_all_nodes_are_one_graph():
    layer, x = layer_of(), torch.randn(5, 6, dtype=torch.double)
    assert torch.equal(layer(x), layer(x, ptr=pointer([5])))
    assert layer(x[:0]).shape == (0, 6)
    assert layer(x[:0], ptr=pointer([0, 0])).shape == (0, 6)


def test_groups_hold_similar_graphs_and_are_made_once_per_batch(monkeypatch):
    monkeypatch.setattr(_padded, "_FEW", 0)
    ptr = pointer([10, 400, 11, 380, 12, 0])
    adj = CSR.from_edge_index(torch.zeros(2, 0, dtype=torch.long), 813)
    layout = padded_layout(813, ptr.device, adj, ptr)
    assert [group.shape for group in layout.groups] == [(3, 12), (2, 400)]
    assert layout.source.numel() == 3 * 12 + 2 * 400
    assert torch.equal(layout.source[layout.place], torch.arange(813))
    assert padded_layout(813, ptr.device, adj, ptr) is layout
    other = padded_layout(813, ptr.device, adj, pointer([800, 13]))
    assert [group.shape for group in other.groups] == [(1, 13), (1, 800)]
    monkeypatch.setattr(_padded, "_FEW", 10**9)
    assert [group.shape for group in padded_layout(813, ptr.device, None, ptr).groups] == [(5, 400)]
    monkeypatch.setattr(_padded, "_MANY", 200_000)
    monkeypatch.setattr(_padded, "_FEW", 0)
    assert [group.shape for group in padded_layout(813, ptr.device, None, ptr).groups] == [(3, 12), (1, 380), (1, 400)]


@pytest.mark.parametrize("case", [{}, {"heads": 3, "dropout": 0.3}])
def test_check_conv(case):
    check_conv(partial(SelfAttention, **{"heads": 2, **case}))


def test_refuses_what_cannot_be(monkeypatch):
    with pytest.raises(ConfigError, match="4 heads do not divide 6 channels"):
        SelfAttention(6, 6)
    with pytest.raises(ConfigError, match="0 heads"):
        SelfAttention(6, 6, heads=0)
    monkeypatch.setattr(attention, "_MOST", 1e-6)
    with pytest.raises(BudgetError, match="1 graphs of 40 nodes"):
        layer_of(dropout=0.1)(torch.randn(40, 6, dtype=torch.double))


def test_initial_values_are_those_of_torch():
    torch.manual_seed(0)
    ours = SelfAttention(8, 8)
    torch.manual_seed(1)
    ours.reset_parameters()
    torch.manual_seed(1)
    again = torch.empty(24, 8)
    nn.init.xavier_uniform_(again)
    assert torch.equal(ours.query_key_value.weight, again)
    assert not ours.output.bias.any()
    assert not ours.query_key_value.bias.any()
