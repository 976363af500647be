"""Every operation against its formula, evaluated by Python loops in float64, on random graphs."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnlab.ops import (
    CSR,
    aggregate,
    attention_aggregate,
    batch_norm,
    edge_softmax,
    gated_aggregate,
    gated_gcn_aggregate,
    gine_aggregate,
    scatter_reduce,
    sddmm,
    segment_reduce,
    use_backend,
)

_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
_REDUCE = {
    "sum": lambda rows: rows.sum(0),
    "mean": lambda rows: rows.mean(0),
    "max": lambda rows: rows.amax(0),
    "min": lambda rows: rows.amin(0),
}

dtypes = pytest.mark.parametrize("dtype", _TOLERANCE, ids=str)
reduces = pytest.mark.parametrize("reduce", _REDUCE)


class Case(NamedTuple):
    edge_index: Tensor
    num_nodes: int
    channels: int
    seed: int

    def draw(self, dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]

    def by_target(self, messages: Tensor, reduce: str) -> Tensor:
        out = torch.zeros(self.num_nodes, *messages.shape[1:], dtype=torch.float64)
        for node in range(self.num_nodes):
            rows = messages[self.edge_index[1] == node]
            if len(rows):
                out[node] = _REDUCE[reduce](rows)
        return out


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Self-loops, duplicates, empty rows, sometimes a hub, no edges or no nodes."""
    num_nodes = draw(st.integers(0, 10))
    num_edges = draw(st.integers(0, 30)) if num_nodes else 0
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    edge_index = torch.randint(max(num_nodes, 1), (2, num_edges), generator=generator)
    if draw(st.booleans()):
        edge_index[1, num_edges // 3 :] = num_nodes // 2
    return Case(edge_index, num_nodes, draw(st.sampled_from([1, 2, 7, 16, 33])), draw(st.integers(0, 2**20)))


def close(out: Tensor, expected: Tensor, dtype: torch.dtype, size: Tensor | None = None) -> None:
    """Equal up to rounding, which is relative to ``size``: sums of magnitudes, where terms of a sum cancel."""
    assert out.dtype == dtype
    assert out.is_contiguous()
    size = expected.abs() if size is None else size
    scale = max(1.0, float(size.max())) if size.numel() else 1.0
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=_TOLERANCE[dtype] * scale)


@dtypes
@reduces
@settings(max_examples=12, deadline=None)
@given(case=cases())
def test_aggregate(case, dtype, reduce, backend):
    edge_index, n, c, _ = case
    x, weight = case.draw(dtype, (n, c), (edge_index.size(1),))
    messages = x.double()[edge_index[0]]
    adj = CSR.from_edge_index(edge_index, n)
    with use_backend(backend):
        plain, weighted = aggregate(x, adj, reduce), aggregate(x, adj, reduce, weight)
        assert torch.equal(plain, aggregate(x, edge_index, reduce))
    close(plain, case.by_target(messages, reduce), dtype)
    messages = (x.double()[edge_index[0]] * weight.double()[:, None]).to(dtype).double()  # extremes round first
    # In half precision the messages of the formula are rounded one by one, those of the operator may not be.
    size = case.by_target(messages.abs(), reduce) if reduce in ("sum", "mean") else None
    close(weighted, case.by_target(messages, reduce), dtype, size)


@dtypes
@reduces
@settings(max_examples=6, deadline=None)
@given(case=cases(), heads=st.sampled_from([1, 3]))
def test_aggregate_with_heads(case, heads, dtype, reduce):
    edge_index, n, c, _ = case
    x, weight = case.draw(dtype, (n, heads, c), (edge_index.size(1), heads))
    messages = (x.double()[edge_index[0]] * weight.double()[..., None]).to(dtype).double()
    close(aggregate(x, edge_index, reduce, weight), case.by_target(messages, reduce), dtype)
    per_edge = aggregate(x, edge_index, reduce, weight[:, 0])
    close(per_edge, aggregate(x.flatten(1), edge_index, reduce, weight[:, 0]).view_as(x).double(), dtype)


@dtypes
@settings(max_examples=12, deadline=None)
@given(case=cases())
def test_messages_with_edge_features(case, dtype, backend):
    edge_index, n, c, _ = case
    x, edge = case.draw(dtype, (n, c), (edge_index.size(1), c))
    source, wide = x.double()[edge_index[0]], edge.double()
    with use_backend(backend):
        gine = gine_aggregate(x, edge, edge_index)
        num, den = gated_aggregate(x, edge, edge_index)
    close(gine, case.by_target((source + wide).relu(), "sum"), dtype)
    close(num, case.by_target(source * wide, "sum"), dtype)
    close(den, case.by_target(wide, "sum"), dtype)


@dtypes
@settings(max_examples=12, deadline=None)
@given(case=cases())
def test_messages_with_typed_edges(case, dtype, backend):
    edge_index, n, c, _ = case
    x, table = case.draw(dtype, (n, c), (5, c))
    kind = (edge_index[0] * 3 + edge_index[1]) % 5
    with use_backend(backend):
        out = gine_aggregate(x, table, edge_index, kind)
    close(out, case.by_target((x.double()[edge_index[0]] + table.double()[kind]).relu(), "sum"), dtype)


@dtypes
@settings(max_examples=12, deadline=None)
@given(case=cases(), featured=st.booleans())
def test_gated_gcn(case, featured, dtype, backend):
    edge_index, n, c, _ = case
    value, source, target, edge = case.draw(dtype, (n, c), (n, c), (n, c), (edge_index.size(1), c))
    logits = source.double()[edge_index[0]] + target.double()[edge_index[1]] + (edge.double() if featured else 0)
    gate = logits.sigmoid()
    mixed = case.by_target(gate * value.double()[edge_index[0]], "sum") / (case.by_target(gate, "sum") + 1e-6)
    with use_backend(backend):
        out, pre = gated_gcn_aggregate(value, source, target, edge if featured else None, edge_index)
    close(out, mixed, dtype)
    close(pre, logits, dtype)


@dtypes
@settings(max_examples=12, deadline=None)
@given(case=cases(), heads=st.sampled_from([1, 3]), skip=st.booleans())
def test_attention(case, heads, skip, dtype, backend):
    edge_index, n, c, _ = case
    e = edge_index.size(1)
    x, source, target, edge, weight = case.draw(dtype, (n, heads, c), *[(n, heads)] * 2, *[(e, heads)] * 2)
    scores = source.double()[edge_index[0]] + target.double()[edge_index[1]] + edge.double()
    scores = torch.where(scores > 0, scores, 0.2 * scores)
    factor = torch.zeros_like(scores)
    expected_lse = torch.full((n, heads), -math.inf, dtype=torch.float64)
    for node in range(n):
        into = (edge_index[1] == node) & ~(skip & (edge_index[0] == node))
        factor[into] = scores[into].softmax(0)
        if into.any():
            expected_lse[node] = scores[into].logsumexp(0)
    messages = (factor * weight.double()).unsqueeze(-1) * x.double()[edge_index[0]]
    with use_backend(backend):
        out, lse = attention_aggregate(x, edge_index, source, target, edge, weight, 0.2, skip, return_lse=True)
    close(out, case.by_target(messages, "sum"), dtype)
    assert lse.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(lse.double(), expected_lse, rtol=0, atol=_TOLERANCE[dtype] * 10)


@dtypes
@settings(max_examples=12, deadline=None)
@given(case=cases(), heads=st.sampled_from([(), (1,), (2,)]))
def test_sddmm(case, heads, dtype, backend):
    edge_index, n, c, _ = case
    a, b = case.draw(dtype, (n, *heads, c), (n, *heads, c))
    with use_backend(backend):
        out = sddmm(a, b, edge_index)
    close(out, (a.double()[edge_index[1]] * b.double()[edge_index[0]]).sum(-1), dtype)


@dtypes
@settings(max_examples=12, deadline=None)
@given(case=cases(), heads=st.sampled_from([(), (1,), (4,)]))
def test_edge_softmax(case, heads, dtype, backend):
    edge_index, n, _, _ = case
    (logits,) = case.draw(dtype, (edge_index.size(1), *heads))
    expected = torch.zeros_like(logits, dtype=torch.float64)
    for node in range(n):
        into = edge_index[1] == node
        expected[into] = logits.double()[into].softmax(0)
    with use_backend(backend):
        out = edge_softmax(logits, edge_index, n)
    close(out, expected, dtype)
    close(edge_softmax(logits, edge_index), expected, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("relu", [False, True])
@settings(max_examples=8, deadline=None)
@given(rows=st.sampled_from([2, 9, 3000]), width=st.sampled_from([1, 7, 32]), shift=st.sampled_from([0, 100]))
def test_batch_norm(rows, width, shift, relu, dtype, backend):
    torch.manual_seed(rows + width)
    x = (torch.randn(rows, width, dtype=torch.float64) + shift).to(dtype)
    weight, bias = torch.randn(width, dtype=dtype), torch.randn(width, dtype=dtype)
    with use_backend(backend):
        out, mean, variance = batch_norm(x, weight, bias, 1e-3, relu)
    wide = torch.nn.functional.batch_norm(
        x.double(), None, None, weight.double(), bias.double(), training=True, eps=1e-3
    )
    tolerance = {torch.float32: 1e-3, torch.float64: 1e-10}[dtype]
    torch.testing.assert_close(out.double(), wide.relu() if relu else wide, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(mean.double(), x.double().mean(0), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(variance.double(), x.double().var(0, correction=0), rtol=tolerance, atol=tolerance)


@dtypes
@reduces
@settings(max_examples=12, deadline=None)
@given(case=cases())
def test_segments_and_scatter(case, dtype, reduce):
    edge_index, n, c, _ = case
    (src,) = case.draw(dtype, (edge_index.size(1), c))
    close(scatter_reduce(src, edge_index[1], n, reduce), case.by_target(src.double(), reduce), dtype)
    ordered = edge_index[1].sort(stable=True)
    ptr = torch.searchsorted(ordered.values, torch.arange(n + 1))
    close(segment_reduce(src[ordered.indices], ptr, reduce), case.by_target(src.double(), reduce), dtype)


@settings(max_examples=20, deadline=None)
@given(case=cases())
def test_the_callers_edge_order_does_not_matter(case):
    edge_index, n, c, seed = case
    num_edges = edge_index.size(1)
    x, weight, edge, logits = case.draw(torch.float64, (n, c), (num_edges,), (num_edges, c), (num_edges,))
    order = torch.randperm(num_edges, generator=torch.Generator().manual_seed(seed))
    moved = edge_index[:, order]
    for reduce in _REDUCE:
        close(aggregate(x, moved, reduce, weight[order]), aggregate(x, edge_index, reduce, weight), torch.float64)
    close(gine_aggregate(x, edge[order], moved), gine_aggregate(x, edge, edge_index), torch.float64)
    close(edge_softmax(logits[order], moved, n), edge_softmax(logits, edge_index, n)[order], torch.float64)
    close(sddmm(x, x, moved), sddmm(x, x, edge_index)[order], torch.float64)


def test_single_column_and_vector_agree(graph):
    edge_index, n = graph
    x, weight = torch.randn(n), torch.rand(edge_index.size(1))
    for reduce in _REDUCE:
        column = aggregate(x[:, None], edge_index, reduce, weight)
        assert torch.equal(aggregate(x, edge_index, reduce, weight), column[:, 0])


def test_layout_in_memory_does_not_matter(graph):
    edge_index, n = graph
    x, edge = torch.randn(6, n).t(), torch.randn(6, edge_index.size(1)).t()
    weight = torch.rand(edge_index.size(1), 2)[:, 1]
    for reduce in _REDUCE:
        straight = aggregate(x.contiguous(), edge_index, reduce, weight.contiguous())
        assert torch.equal(aggregate(x, edge_index, reduce, weight), straight)
    assert torch.equal(
        gine_aggregate(x, edge, edge_index), gine_aggregate(x.contiguous(), edge.contiguous(), edge_index)
    )
    assert torch.equal(edge_softmax(edge, edge_index, n), edge_softmax(edge.contiguous(), edge_index, n))


def test_softmax_of_extreme_and_masked_logits():
    edge_index = torch.tensor([[0, 1, 2, 0, 1], [0, 0, 0, 1, 1]])
    huge = edge_softmax(torch.tensor([1e4, 1e4, -1e4, 3e38, 0.0]), edge_index)
    assert huge.tolist() == [0.5, 0.5, 0.0, 1.0, 0.0]
    masked = edge_softmax(torch.tensor([0.0, -math.inf, 0.0, -math.inf, -math.inf]), edge_index)
    assert masked.tolist() == [0.5, 0.0, 0.5, 0.0, 0.0]


def test_half_precision_mean_does_not_overflow():
    hub = torch.stack([torch.arange(1, 3000), torch.zeros(2999, dtype=torch.long)])
    assert aggregate(torch.full((3000, 1), 100.0, dtype=torch.float16), hub, "mean")[0].item() == 100.0


@reduces
def test_nan_is_never_hidden(reduce, backend):
    x = torch.tensor([[1.0], [math.nan], [2.0]])
    edge_index = torch.tensor([[0, 1, 2, 0, 2], [0, 0, 0, 1, 1]])
    with use_backend(backend):
        out = aggregate(x, edge_index, reduce)
    assert out.isnan().squeeze().tolist() == [True, False, False]
