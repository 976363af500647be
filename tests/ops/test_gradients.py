"""First and second derivatives, against finite differences, the reference backend and plain torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from gnnlab.errors import BackendError
from gnnlab.ops import (
    CSR,
    aggregate,
    attention_aggregate,
    batch_norm,
    dropout,
    edge_softmax,
    gated_aggregate,
    gated_gcn_aggregate,
    gather,
    gather_source,
    gather_target,
    gine_aggregate,
    linear,
    scatter_reduce,
    sddmm,
    segment_expand,
    segment_reduce,
    use_backend,
)
from gnnlab.ops._attention import attention, attention_backward
from gnnlab.ops._batch_norm import normalise, normalise_backward
from gnnlab.ops._dropout import hashed_dropout
from gnnlab.ops._extremum import extremum, spread
from gnnlab.ops._gated import gated, gated_backward
from gnnlab.ops._gated_gcn import gated_gcn, gated_gcn_backward
from gnnlab.ops._gine import gine, gine_backward
from gnnlab.ops._layout import layout_of
from gnnlab.ops._linear import _suits
from gnnlab.ops._softmax import softmax, softmax_backward
from gnnlab.ops._spmm import sddmm as sddmm_op
from gnnlab.ops._spmm import spmm

reduces = pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min"])


def leaf(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, requires_grad=True)


def differentiable_twice(function, *inputs: Tensor) -> None:
    if sum(tensor.numel() for tensor in inputs):
        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs)
    else:
        function(*inputs)


@reduces
def test_aggregate(graph, reduce, backend):
    edge_index, n = graph
    adj, e = CSR.from_edge_index(edge_index, n), edge_index.size(1)
    with use_backend(backend):
        differentiable_twice(lambda x: aggregate(x, adj, reduce), leaf(n, 2))
        differentiable_twice(lambda x, w: aggregate(x, adj, reduce, w), leaf(n, 2), leaf(e))
        differentiable_twice(lambda x, w: aggregate(x, adj, reduce, w), leaf(n, 2, 1), leaf(e, 2))


def test_wide_heads():
    adj = CSR.from_edge_index(torch.tensor([[3, 0, 1, 1], [1, 2, 1, 0]]), 4)
    differentiable_twice(lambda x, w: aggregate(x, adj, "sum", w), leaf(4, 2, 9), leaf(4, 2))
    differentiable_twice(lambda a, b: sddmm(a, b, adj), leaf(4, 2, 9), leaf(4, 2, 9))


def test_edge_operations(graph, backend):
    edge_index, n = graph
    adj, e = CSR.from_edge_index(edge_index, n), edge_index.size(1)
    with use_backend(backend):
        differentiable_twice(lambda x, a: gine_aggregate(x, a, adj), leaf(n, 2), leaf(e, 2))
        differentiable_twice(lambda x, g: gated_aggregate(x, g, adj), leaf(n, 2), leaf(e, 2))
        differentiable_twice(lambda x, g: gated_aggregate(x, g, adj)[1], leaf(n, 2), leaf(e, 2))
        differentiable_twice(lambda a, b: sddmm(a, b, adj), leaf(n, 2), leaf(n, 2))
        differentiable_twice(lambda s: edge_softmax(s, adj), leaf(e, 2))


def test_fused_layers(graph, backend):
    edge_index, n = graph
    adj, e = CSR.from_edge_index(edge_index, n), edge_index.size(1)
    kind = torch.arange(e) % 3
    with use_backend(backend):
        differentiable_twice(lambda x, t: gine_aggregate(x, t, adj, kind), leaf(n, 2), leaf(3, 2))
        nodes = [leaf(n, 2) for _ in range(3)]
        differentiable_twice(lambda v, s, t, a: gated_gcn_aggregate(v, s, t, a, adj), *nodes, leaf(e, 2))
        differentiable_twice(lambda v, s, t: gated_gcn_aggregate(v, s, t, None, adj)[0], *nodes)
        scores = [leaf(size, 2) for size in (n, n, e, e)]
        differentiable_twice(lambda x, *s: attention_aggregate(x, adj, *s, negative_slope=0.2), leaf(n, 2, 3), *scores)
        differentiable_twice(
            lambda x, a: attention_aggregate(x, adj, edge=a, skip_loops=True), leaf(n, 2, 3), scores[2]
        )


def test_attention_passes_gradients_through_lse(backend):
    adj = CSR.from_edge_index(torch.tensor([[3, 0, 1, 1], [1, 2, 0, 3]]), 4)

    def weights(source, target, edge):
        _, lse = attention_aggregate(torch.ones(4, 2, 1).double(), adj, source, target, edge, return_lse=True)
        return lse.exp()

    with use_backend(backend):
        differentiable_twice(weights, *(leaf(size, 2) for size in (4, 4, 4)))


def test_dropout(backend):
    seed = torch.tensor([5, 2**32 - 1])
    with use_backend(backend):
        differentiable_twice(lambda x, r: dropout(x, 0.4, residual=r, seed=seed), leaf(7, 3), leaf(7, 3))


@pytest.mark.parametrize("relu", [False, True])
def test_batch_norm(backend, relu):
    with use_backend(backend):
        for rows in (1, 2, 7):
            differentiable_twice(lambda x, w, b: batch_norm(x, w, b, 1e-2, relu)[0], leaf(rows, 3), leaf(3), leaf(3))


def test_linear_through_the_fast_product():
    x, weight, bias = (
        leaf(20_000, 96, dtype=torch.float32),
        leaf(80, 96, dtype=torch.float32),
        leaf(80, dtype=torch.float32),
    )
    assert _suits(x, weight, bias)
    for parts in ((x, weight, bias), (x, weight)):
        out, expected = linear(*parts), torch.nn.functional.linear(*(part.double() for part in parts))
        torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-4)
        first = torch.autograd.grad(out.square().sum(), parts, create_graph=True)
        wanted = torch.autograd.grad(expected.square().sum(), parts, create_graph=True)
        second = torch.autograd.grad(sum(grad.square().sum() for grad in first), parts)
        wanted_second = torch.autograd.grad(sum(grad.square().sum() for grad in wanted), parts)
        for ours, theirs in zip((*first, *second), (*wanted, *wanted_second), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.detach().abs().max()))


@reduces
def test_rows(graph, reduce):
    edge_index, n = graph
    e = edge_index.size(1)
    ptr = torch.tensor([0, e // 2, e // 2, e])
    differentiable_twice(lambda s: segment_reduce(s, ptr, reduce), leaf(e, 2))
    differentiable_twice(lambda s: scatter_reduce(s, edge_index[1], n, reduce), leaf(e, 2))


def test_gather(graph):
    edge_index, n = graph
    x, adj, ptr = leaf(n, 2), CSR.from_edge_index(edge_index, n), torch.tensor([0, n, n])
    assert torch.equal(gather(x, edge_index[0]), x[edge_index[0]])
    assert torch.equal(gather_source(x, adj), x[edge_index[0]])
    assert torch.equal(gather_target(x, edge_index), x[edge_index[1]])
    assert torch.equal(
        segment_expand(torch.full((2, 2), 3.0).double(), ptr, n), torch.full((n, 2), 3.0, dtype=torch.float64)
    )
    differentiable_twice(lambda x: gather(x, edge_index[0]), x)
    differentiable_twice(lambda x: gather_source(x, adj), x)
    differentiable_twice(lambda x: gather_target(x, adj), x)
    differentiable_twice(lambda x: segment_expand(x, ptr, n), leaf(2, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_backends_agree_on_gradients(graph, dtype, backend):
    edge_index, n = graph
    e, tolerance = edge_index.size(1), {torch.float32: 1e-5, torch.float16: 1e-2}.get(dtype, 5e-2)
    x, edge, weight = (leaf(*shape, dtype=dtype) for shape in ((n, 5), (e, 5), (e,)))
    functions = [
        *(lambda r=r: aggregate(x, edge_index, r, weight) for r in ("sum", "mean", "max", "min")),
        lambda: gine_aggregate(x, edge, edge_index),
        lambda: gine_aggregate(x, x[:3], edge_index, torch.arange(e) % max(min(n, 3), 1)),
        lambda: gated_aggregate(x, edge, edge_index)[0],
        lambda: gated_gcn_aggregate(x, x, x, edge, edge_index)[0],
        lambda: attention_aggregate(x.unsqueeze(1), edge_index, x[:, :1], weight=weight[:, None], negative_slope=0.2),
        lambda: edge_softmax(edge, edge_index, n),
        lambda: sddmm(x, x, edge_index),
    ]
    for function in functions:
        found = {}
        for name in (backend, "reference"):
            with use_backend(name):
                out = function()
                seed = torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out)
                found[name] = torch.autograd.grad(out, (x, edge, weight), seed, materialize_grads=True)
        for ours, expected in zip(found[backend], found["reference"], strict=True):
            torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("reduce", "winner"), [("max", 0), ("min", 3)])
def test_a_tie_goes_to_the_first_edge(reduce, winner, backend):
    x = torch.tensor([[2.0], [2.0], [2.0], [1.0], [1.0]], requires_grad=True)
    edge_index = torch.tensor([[0, 3, 1, 2, 4], [1, 1, 1, 1, 1]])
    with use_backend(backend):
        aggregate(x, edge_index, reduce).sum().backward()
    assert x.grad.flatten().nonzero().flatten().tolist() == [winner]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_row_of_infinities_passes_no_gradient(sign, backend):
    x = torch.full((2, 1), -sign * torch.inf, requires_grad=True)
    with use_backend(backend):
        out = aggregate(x, torch.tensor([[0, 1], [0, 0]]), "max" if sign == 1 else "min")
        out.sum().backward()
    assert out[0].item() == -sign * torch.inf
    assert x.grad.tolist() == [[0.0], [0.0]]


def test_vectorised_jacobian_is_the_dense_operator():
    adj = CSR.from_edge_index(torch.tensor([[3, 0, 1, 1], [1, 2, 1, 0]]), 4)
    x, weight = leaf(4, 2, 3), leaf(4, 2)
    for reduce in ("sum", "mean", "max"):
        for inputs in ((x,), (x, weight)):
            fast, slow = (
                torch.autograd.functional.jacobian(
                    lambda x, w=None, r=reduce: aggregate(x, adj, r, w), inputs, vectorize=vectorize
                )
                for vectorize in (True, False)
            )
            for left, right in zip(fast, slow, strict=True):
                torch.testing.assert_close(left, right)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("dims", [(0, None), (1, None), (0, 0), (2, 1), (None, 0)])
def test_batches_of_features_and_weights(dims, reduce):
    adj = CSR.from_edge_index(torch.tensor([[3, 0, 1, 1], [1, 2, 1, 0]]), 4)
    x, weight = torch.randn(5, 4, 3), torch.randn(5, 4)
    parts = [
        aggregate(x[0 if dims[0] is None else i], adj, reduce, weight[0 if dims[1] is None else i]) for i in range(5)
    ]
    x = x[0] if dims[0] is None else x.movedim(0, dims[0])
    weight = weight[0] if dims[1] is None else weight.movedim(0, dims[1])
    out = torch.func.vmap(lambda x, w: aggregate(x, adj, reduce, w), in_dims=dims)(x, weight)
    torch.testing.assert_close(out, torch.stack(parts))


def test_forward_mode_is_refused_not_zero():
    x, edge_index = torch.ones(2, 1), torch.tensor([[0], [1]])
    with pytest.raises(BackendError, match="forward-mode"):
        torch.func.jvp(lambda x: aggregate(x, edge_index), (x,), (x,))
    _, product = torch.autograd.functional.jvp(lambda x: aggregate(x, edge_index), x, x)
    assert product.tolist() == [[0.0], [1.0]]


def detached(*arguments):
    """Fused backward kernels have no derivative: a backward pass that is differentiated takes another route."""
    return tuple(value.detach() if isinstance(value, Tensor) else value for value in arguments)


def test_registration(graph):
    edge_index, n = graph
    e = edge_index.size(1)
    six = layout_of(CSR.from_edge_index(edge_index, n))
    x, heads, edge, weight = leaf(n, 3), leaf(n, 2, 2), leaf(e, 3), leaf(e, 2)
    kind = (torch.arange(e) % 4).int()
    scores = (heads, leaf(n, 2), leaf(n, 2), leaf(e, 2), None, 0.2, True, *six)
    winner = extremum(x.detach(), True, *six)[1]
    calls = [
        (spmm, (heads, weight, True, *six)),
        (spmm, (heads, None, False, *six)),
        (sddmm_op, (heads, leaf(n, 2, 2), *six)),
        (extremum, (x, False, *six)),
        (spread, (x, winner, *six)),
        (gine, (x, edge, None, *six)),
        (gine, (x, leaf(4, 3), kind, *six)),
        (gine_backward, (leaf(n, 3), x, edge, None, *six)),
        (gine_backward, (leaf(n, 3), x, leaf(4, 3), kind, *six)),
        (gated, (x, edge, *six)),
        (gated_backward, (leaf(n, 3), leaf(n, 3), x, edge, *six)),
        (gated_gcn, (x, leaf(n, 3), leaf(n, 3), edge, *six)),
        (gated_gcn_backward, detached(x, edge, x, x, edge, x.square() + 1, *six)),
        (attention, scores),
        (attention_backward, detached(heads, leaf(n, 2), *scores[:7], heads, leaf(n, 2), *six)),
        *([(normalise, (x, leaf(3), leaf(3), 1e-2, True))] if n else []),
        *([(normalise_backward, detached(x, x, leaf(3), leaf(3), leaf(3), leaf(3).exp(), 1e-2, True))] if n else []),
        (hashed_dropout, (x, torch.tensor([1, 2]), 0.3, leaf(n, 3))),
        (softmax, (edge, *six)),
        (softmax_backward, (leaf(e, 3), edge, *six)),
    ]
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    for operation, arguments in calls:
        torch.library.opcheck(operation.custom, arguments, test_utils=tests)
        if n == 5:  # the full trace is slow: one graph is enough
            torch.library.opcheck(operation.custom, arguments, test_utils="test_aot_dispatch_dynamic")
