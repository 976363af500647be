"""Blocks of dense graphs give what rows give."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch_geometric.data import Batch, Data

from gnnlab.lifting import NodePairs
from gnnlab.nn import SubgraphConv
from gnnlab.nn._tuple_blocks import dense_aggregate, suits_blocks
from gnnlab.nn._tuple_store import Tuples
from gnnlab.ops import CSR, aggregate, complete_edge_index
from gnnlab.testing.strategies import unions


def parts(data: Data) -> tuple[Tuples, CSR]:
    data = NodePairs()(data)
    rows = Tuples.of(*data.pair_index, data.num_nodes, data.ptr)
    return rows, CSR.from_edge_index(data.edge_index, data.num_nodes)


@settings(max_examples=40, deadline=None)
@given(unions())
def test_blocks_give_what_rows_give(union):
    """Of any graphs, with duplicates, loops and one-way edges, in any sizes."""
    rows, adj = parts(union)
    h = torch.randn(rows.num_rows, 3, dtype=torch.double)
    for across, edges in ((False, rows.inside(adj)), (True, rows.across(adj))):
        torch.testing.assert_close(dense_aggregate(h, rows, adj, across), aggregate(h, edges.adj))


@pytest.mark.parametrize("sizes", [(4, 4), (3, 5, 3)])
def test_gradients(sizes):
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    data = Batch(edge_index=complete_edge_index(ptr), ptr=ptr, num_nodes=int(ptr[-1]))
    rows, adj = parts(data)
    h = torch.randn(rows.num_rows, 2, dtype=torch.double, requires_grad=True)
    for across in (False, True):
        assert torch.autograd.gradcheck(lambda h, a=across: dense_aggregate(h, rows, adj, a), h)


def test_a_layer_takes_them_where_graphs_are_dense(monkeypatch):
    ptr = torch.tensor([0, 4, 9])
    rows, adj = parts(Batch(edge_index=complete_edge_index(ptr), ptr=ptr, num_nodes=9))
    assert suits_blocks(rows, adj)
    layer, h = SubgraphConv(3, 3, norm=None), torch.randn(rows.num_rows, 3)
    dense = layer(h, rows, adj)
    monkeypatch.setattr("gnnlab.nn.conv.subgraph_conv.suits_blocks", lambda rows, adj: False)
    torch.testing.assert_close(layer(h, rows, adj), dense)
    ring = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8, 0]])
    assert not suits_blocks(*parts(Batch(edge_index=ring, ptr=torch.tensor([0, 9]), num_nodes=9)))
