"""On a CUDA device: the numbers of the float64 reference, forward and backward, and the same bits every run."""

from __future__ import annotations

import pytest
import torch

from gnnlab.ops import (
    CSR,
    aggregate,
    attention_aggregate,
    edge_softmax,
    gated_aggregate,
    gated_gcn_aggregate,
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
    kind = torch.arange(edge.size(0), device=x.device) % 9
    outs += [gine_aggregate(x, edge[:9], adj, kind), *gated_gcn_aggregate(x, x.flip(0), x.sin(), edge, adj)]
    outs += [attention_aggregate(heads, adj, edge=weights, skip_loops=True)]
    outs += [attention_aggregate(heads, adj, heads[..., 0], heads[..., -1], weight=weights, negative_slope=0.2)]
    outs += [gather(x, edge_index[0]), scatter_reduce(edge, edge_index[1], x.size(0), "mean"), segment_reduce(x, ptr)]
    # Linear, so that the rounding of a large sum does not decide what comes back.
    loss = sum((out.float().flatten() * torch.arange(out.numel(), device=x.device).sin()).sum() for out in outs)
    return [*outs, *torch.autograd.grad(loss, (x, edge))]


def compare(x, edge, edge_index):
    """Twice on the GPU, the same bits; once by the float64 reference, there too."""
    inputs = [tensor.cuda().requires_grad_() for tensor in (x, edge)]
    first, again = (everything(*inputs, edge_index.cuda()) for _ in range(2))
    with use_backend("reference"):
        expected = everything(*inputs, edge_index.cuda())
    for ours, same, wanted in zip(first, again, expected, strict=True):
        assert torch.equal(ours, same)
        scale = max(1.0, float(wanted.detach().double().abs().max()))
        torch.testing.assert_close(ours.double(), wanted.double(), rtol=0, atol=_TOLERANCE[x.dtype] * scale)


@pytest.mark.parametrize("width", [2, 18, 128, 470])
@pytest.mark.parametrize("dtype", _TOLERANCE, ids=str)
def test_matches_the_reference_bit_for_bit_every_run(dtype, width):
    edge_index = torch.randint(40, (2, 300))
    edge_index[1, :60] = 5
    compare(torch.randn(40, width).to(dtype), torch.randn(300, width).to(dtype), edge_index)


@pytest.mark.parametrize("width", [16, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_skewed_degrees(dtype, width):
    """A power law: hubs of ten thousands of edges, both ways, beside nodes without any; repeated edges."""
    n, e = 20_000, 200_000
    edge_index = (torch.rand(2, e) ** 6 * n).long()
    assert edge_index[1].bincount().max() > 10_000
    compare(torch.randn(n, width).to(dtype), torch.randn(e, width).to(dtype), edge_index)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_million_edges(dtype):
    n, e = 100_000, 1_000_000
    edge_index = torch.stack([torch.randint(n, (e,)), (torch.rand(e) ** 3 * n).long()])
    compare(torch.randn(n, 32).to(dtype), torch.randn(e, 32).to(dtype), edge_index)


def test_molecules():
    """Hundreds of small components: many short rows, no long one."""
    path = torch.arange(20)
    edges = torch.stack([torch.cat([path[:-1], path[1:]]), torch.cat([path[1:], path[:-1]])])
    edge_index = (edges.unsqueeze(1) + 20 * torch.arange(500).view(1, -1, 1)).flatten(1)
    compare(torch.randn(10_000, 64), torch.randn(edge_index.size(1), 64), edge_index)


def test_more_values_than_a_32_bit_offset_reaches():
    if torch.cuda.get_device_properties(0).total_memory < 40 * 2**30:
        pytest.skip("needs 40 GB of device memory")
    n, width = 2**20, 2**11 + 8
    x = torch.zeros(n, width, dtype=torch.bfloat16, device="cuda")
    x[-2:] = torch.tensor([[1.0], [2.0]], device="cuda")
    adj = CSR.from_edge_index(torch.tensor([[n - 1, n - 2], [n - 2, n - 1]], device="cuda"), n)
    assert torch.equal(aggregate(x, adj)[-2:], x[-2:].flip(0))
    assert torch.equal(aggregate(x, adj, "max")[-2:], x[-2:].flip(0))


def test_a_training_step_can_be_captured():
    """Nothing waits for the device, so a CUDA graph replays every kernel, forward and backward."""
    edge_index = torch.randint(400, (2, 6000), device="cuda")
    edge_index[1, :3000] = 7
    adj = CSR.from_edge_index(edge_index, 400)
    x = torch.randn(400, 32, device="cuda", requires_grad=True)
    edge = torch.randn(6000, 32, device="cuda", requires_grad=True)

    def step():
        out = gine_aggregate(x, edge, adj) + aggregate(x, adj, "mean", edge[:, 0])
        out = out + gated_gcn_aggregate(x, x, x, edge, adj)[0] + edge_softmax(edge, adj).sum(0)
        out = out + attention_aggregate(x.view(-1, 2, 16), adj, edge=edge[:, :2]).flatten(1)
        return torch.autograd.grad(out.sin().sum(), (x, edge))

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step(), step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        x.copy_(torch.randn_like(x))
    graph.replay()
    for replayed, eager in zip(captured, step(), strict=True):
        assert torch.equal(replayed, eager)


def test_no_nodes_and_no_edges():
    for n in (0, 4):
        x = torch.randn(n, 3, device="cuda", requires_grad=True)
        empty = torch.zeros(2, 0, dtype=torch.long, device="cuda")
        for reduce in ("sum", "mean", "max", "min"):
            out = aggregate(x, empty, reduce)
            (grad,) = torch.autograd.grad(out.sum(), x)
            assert torch.equal(out, torch.zeros_like(out))
            assert torch.equal(grad, torch.zeros_like(grad))
