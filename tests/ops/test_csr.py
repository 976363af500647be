from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnlab.errors import GraphError
from gnnlab.nn import GCNConv
from gnnlab.ops import CSR, as_csr

_edges = st.integers(1, 12).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))
)


@given(_edges)
def test_rows_hold_the_incoming_edges_in_the_callers_order(drawn):
    num_nodes, edges = drawn
    adj = CSR.from_edge_index(torch.tensor(edges, dtype=torch.long).view(-1, 2).t(), num_nodes)
    for node in range(num_nodes):
        incoming = [e for e, (_, v) in enumerate(edges) if v == node]
        outgoing = [e for e, (u, _) in enumerate(edges) if u == node]
        row, row_t = slice(*adj.ptr[node : node + 2].tolist()), slice(*adj.ptr_t[node : node + 2].tolist())
        assert adj.eid[row].tolist() == incoming
        assert adj.src[row].tolist() == [edges[e][0] for e in incoming]
        assert adj.eid_t[row_t].tolist() == outgoing
        assert adj.dst[row_t].tolist() == [edges[e][1] for e in outgoing]
    assert adj.edge_index.t().tolist() == [list(edge) for edge in edges]
    assert adj.degree.tolist() == [sum(v == node for _, v in edges) for node in range(num_nodes)]


def test_views_agree(graph):
    edge_index, num_nodes = graph
    adj = CSR.from_edge_index(edge_index, num_nodes)
    assert (adj.num_nodes, adj.num_edges, adj.device.type) == (num_nodes, edge_index.size(1), "cpu")
    assert torch.equal(adj.edge_index, edge_index)
    assert torch.equal(adj.rows.long(), edge_index[1].sort(stable=True).values)
    assert torch.equal(adj.t().edge_index, edge_index.flip(0))
    assert torch.equal(adj.t().t().edge_index, edge_index)
    assert torch.equal(pickle.loads(pickle.dumps(adj)).edge_index, edge_index)
    assert torch.equal(adj.to("cpu").edge_index, edge_index)
    assert as_csr(adj, num_nodes) is adj
    assert torch.equal(as_csr(edge_index, num_nodes).src, adj.src)


def test_destination_sorted_edges_need_no_permutation():
    edge_index = torch.tensor([[2, 0, 1], [0, 1, 1]])
    full = CSR.from_edge_index(edge_index, 3)
    adj = CSR(full.ptr, full.src, full.ptr_t, full.dst, full.eid_t)
    assert torch.equal(adj.edge_index, edge_index)
    assert torch.equal(adj.t().edge_index, edge_index.flip(0))
    assert torch.equal(adj.t().t().edge_index, edge_index)


def test_is_immutable():
    adj = CSR.from_edge_index(torch.tensor([[0], [1]]), 2)
    with pytest.raises(AttributeError, match="immutable"):
        adj.ptr = None


@pytest.mark.parametrize(
    ("edge_index", "num_nodes", "message"),
    [
        (torch.zeros(3, 2, dtype=torch.long), 4, r"shape \[2, E\]"),
        (torch.zeros(2, dtype=torch.long), 4, r"shape \[2, E\]"),
        (torch.zeros(2, 1), 4, "integer"),
        (torch.tensor([[0], [4]]), 4, "holds node 4"),
        (torch.tensor([[-1], [0]]), 4, "holds node -1"),
        (torch.zeros(2, 1, dtype=torch.long), 2**31, "32-bit"),
    ],
)
def test_refuses_what_is_no_graph(edge_index, num_nodes, message):
    with pytest.raises(GraphError, match=message):
        CSR.from_edge_index(edge_index, num_nodes)


def test_what_is_remembered_in_inference_mode_serves_training():
    adj, x = CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2), torch.randn(2, 3)
    conv = GCNConv(3, 3)
    with torch.inference_mode():
        expected = conv(x, adj)
    out = conv(x, adj)
    out.sum().backward()
    assert torch.equal(out, expected)
    assert conv.lin.weight.grad is not None
