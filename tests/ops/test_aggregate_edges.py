"""Sums of edge data over the incoming edges, against their definition."""

from __future__ import annotations

import pytest
import torch

from gnnlab.errors import GraphError
from gnnlab.ops import CSR, aggregate_edges


def graph(edges: int = 15) -> torch.Tensor:
    return torch.randint(6, (2, edges), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_sums_and_gradients(shape):
    edge_index = graph()
    data = torch.randn(15, *shape, dtype=torch.double, requires_grad=True)
    expected = torch.zeros(6, *shape, dtype=torch.double).index_add(0, edge_index[1], data)
    adj = CSR.from_edge_index(edge_index, 6)
    for given in (adj, edge_index):
        torch.testing.assert_close(aggregate_edges(data, given, 6), expected)
    torch.autograd.gradcheck(lambda e: aggregate_edges(e, adj, 6), data)
    torch.autograd.gradgradcheck(lambda e: aggregate_edges(e, adj, 6), data)


def test_weights_per_edge_and_head():
    edge_index = graph()
    data, adj = torch.randn(15, 2, 3, dtype=torch.double, requires_grad=True), CSR.from_edge_index(edge_index, 6)
    for heads in ((), (2,)):
        weight = torch.rand(15, *heads, dtype=torch.double, requires_grad=True)
        product = data * weight.view(15, -1, 1)
        expected = torch.zeros(6, 2, 3, dtype=torch.double).index_add(0, edge_index[1], product)
        torch.testing.assert_close(aggregate_edges(data, adj, 6, weight), expected)
        torch.autograd.gradcheck(lambda e, w: aggregate_edges(e, adj, 6, w), (data, weight))


def test_no_edges_and_wrong_lengths():
    none = torch.zeros(2, 0, dtype=torch.long)
    assert torch.equal(aggregate_edges(torch.zeros(0, 3), none, 4), torch.zeros(4, 3))
    with pytest.raises(GraphError, match="edge_attr"):
        aggregate_edges(torch.zeros(3, 2), graph(), 6)
