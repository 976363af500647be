"""On a CUDA device: the numbers of the float64 reference, forward and backward, and the same bits every run."""

from __future__ import annotations

import pytest
import torch

from gnnlab.ops import (
    CSR,
    aggregate,
    edge_softmax,
    gated_aggregate,
    gather,
    gine_aggregate,
    scatter_reduce,
    sddmm,
    segment_reduce,
    use_backend,
)

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def everything(x, edge, edge_index):
    adj, ptr = CSR.from_edge_index(edge_index, x.size(0)), torch.tensor([0, 3, 3, x.size(0)], device=x.device)
    heads, weights = x.view(x.size(0), 2, -1), edge[:, :2]
    outs = [
        aggregate(x, adj, reduce, weight) for reduce in ("sum", "mean", "max", "min") for weight in (None, edge[:, 0])
    ]
    outs += [aggregate(heads, adj, "sum", weights), sddmm(x, x, adj), sddmm(heads, heads, adj)]
    outs += [gine_aggregate(x, edge, adj), *gated_aggregate(x, edge, adj), edge_softmax(edge, adj)]
    outs += [gather(x, edge_index[0]), scatter_reduce(edge, edge_index[1], x.size(0), "mean"), segment_reduce(x, ptr)]
    loss = sum(out.float().sin().sum() for out in outs)
    return [*outs, *torch.autograd.grad(loss, (x, edge))]


@pytest.mark.parametrize("width", [2, 18, 128])
@pytest.mark.parametrize("dtype", _TOLERANCE, ids=str)
def test_matches_the_reference_bit_for_bit_every_run(dtype, width):
    edge_index = torch.randint(40, (2, 300))
    edge_index[1, :60] = 5
    x, edge = torch.randn(40, width).to(dtype), torch.randn(300, width).to(dtype)
    on_gpu = [t.cuda().requires_grad_() for t in (x, edge)]
    with use_backend("reference"):
        expected = everything(x.requires_grad_(), edge.requires_grad_(), edge_index)
    first, again = (everything(*on_gpu, edge_index.cuda()) for _ in range(2))
    for ours, same, wanted in zip(first, again, expected, strict=True):
        assert torch.equal(ours, same)
        scale = max(1.0, float(wanted.detach().double().abs().max()))
        torch.testing.assert_close(ours.cpu().double(), wanted.double(), rtol=0, atol=_TOLERANCE[dtype] * scale)


def test_no_nodes_and_no_edges():
    for n in (0, 4):
        x = torch.randn(n, 3, device="cuda", requires_grad=True)
        empty = torch.zeros(2, 0, dtype=torch.long, device="cuda")
        for reduce in ("sum", "mean", "max", "min"):
            out = aggregate(x, empty, reduce)
            (grad,) = torch.autograd.grad(out.sum(), x)
            assert torch.equal(out, torch.zeros_like(out))
            assert torch.equal(grad, torch.zeros_like(grad))
