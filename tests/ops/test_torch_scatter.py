"""The backends of torch-scatter and torch-sparse: the numbers of the reference wherever they claim to serve."""

from __future__ import annotations

import pytest
import torch

from gnnlab.ops import CSR, _dispatch, _reference, _torch_scatter, _torch_sparse, aggregate, edge_softmax, use_backend
from gnnlab.ops._layout import Layout, layout_of

_BACKENDS = {"torch_scatter": _torch_scatter, "torch_sparse": _torch_sparse}


@pytest.fixture(params=_BACKENDS)
def name(request):
    if why := _BACKENDS[request.param].unavailable("cpu"):
        pytest.skip(why)
    return request.param


def layouts(edge_index, num_nodes) -> list[Layout]:
    """Edges in the caller's order, and the same graph with the edges in slot order; both ways round."""
    adj = CSR.from_edge_index(edge_index, num_nodes)
    sorted_edges = CSR(adj.ptr, adj.src, adj.ptr_t, adj.dst, adj.eid.argsort().int()[adj.eid_t.long()])
    both = [layout_of(adj), layout_of(sorted_edges)]
    return [*both, *(layout.t for layout in both)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 5)], ids=str)
def test_sums_of_a_random_graph(name, size, weighted, mean, dtype):
    edge_index = torch.randint(20, (2, 150))
    x, weight = torch.randn(30, *size, dtype=dtype), torch.randn(150, size[0], dtype=dtype) if weighted else None
    for layout in layouts(edge_index, 30):
        found = _BACKENDS[name].spmm(x, weight, mean, layout)
        torch.testing.assert_close(found, _reference.spmm(x, weight, mean, layout))


def test_every_graph_through_the_public_functions(name, graph):
    edge_index, n = graph
    x = torch.randn(n, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(edge_index.size(1), dtype=torch.float64, requires_grad=True)

    def everything():
        outs = [aggregate(x, edge_index, reduce, weight) for reduce in ("sum", "mean", "max")]
        outs.append(edge_softmax(weight, edge_index, n))
        return [*outs, *torch.autograd.grad([out.sin().sum() for out in outs], (x, weight))]

    with use_backend("reference"):
        wanted = everything()
    with use_backend(name):
        found, again = everything(), everything()
    for left, same, right in zip(found, again, wanted, strict=True):
        torch.testing.assert_close(left, right)
        assert torch.equal(left, same)


@pytest.mark.parametrize("special", [-torch.inf, torch.nan, 1e30])
def test_softmax_of_masked_and_strange_logits(special):
    if why := _torch_scatter.unavailable("cpu"):
        pytest.skip(why)
    edge_index = torch.tensor([[0, 1, 2, 0, 3, 3], [1, 0, 1, 0, 2, 1]])
    logits = torch.randn(6, 2)
    logits[[1, 3], 0] = special  # all of one row
    logits[0, 1] = special  # one of another
    grad = torch.randn(6, 2)
    for layout in layouts(edge_index, 5):
        p = _torch_scatter.softmax(logits, layout)
        torch.testing.assert_close(p, _reference.softmax(logits, layout), equal_nan=True)
        torch.testing.assert_close(
            _torch_scatter.softmax_backward(p, grad, layout),
            _reference.softmax_backward(p, grad, layout),
            equal_nan=True,
        )


@pytest.mark.parametrize("kernel", ["extremum", "gine", "sddmm"])
def test_what_they_lack_falls_back(name, kernel):
    with use_backend(None):
        automatic = _dispatch.kernel(kernel, torch.ones(1))
    with use_backend(name):
        assert _dispatch.kernel(kernel, torch.ones(1)) is automatic
        assert _dispatch.kernel("spmm", torch.ones(1)) is _BACKENDS[name].spmm
        assert _dispatch.kernel("spmm", torch.ones(1, dtype=torch.bfloat16)) is not _BACKENDS[name].spmm


def test_never_automatic(name):
    with use_backend(None):
        assert _dispatch.kernel("spmm", torch.ones(1)) is not _BACKENDS[name].spmm


@pytest.mark.parametrize("module", _BACKENDS.values(), ids=_BACKENDS)
def test_says_what_is_missing(module, monkeypatch):
    absent = module.unavailable.__wrapped__
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert absent("cpu").endswith("is not installed")

    def broken(name):
        raise OSError("undefined symbol: _ZN5torch\nmore")

    monkeypatch.setattr(module, "find_spec", lambda name: object())
    monkeypatch.setattr(module, "import_module", broken)
    assert "cannot be imported: undefined symbol: _ZN5torch" in absent("cpu")


@pytest.mark.skipif(torch.version.cuda is not None, reason="a CUDA build of torch")
def test_says_that_it_was_built_without_cuda(name):
    assert "built without CUDA" in _BACKENDS[name].unavailable("cuda")
