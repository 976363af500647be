"""Rows (root, node) and the maps between them, against dense index arithmetic."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from gnnlab.errors import GraphError
from gnnlab.lifting import NodePairs
from gnnlab.nn import EdgeTable
from gnnlab.nn._tuple_store import Tuples
from gnnlab.ops import CSR
from gnnlab.ops._reduce import reduce_rows
from gnnlab.testing.strategies import unions


def ring(n: int) -> Data:
    node = torch.arange(n)
    return Data(
        edge_index=torch.stack([torch.cat([node, (node + 1) % n]), torch.cat([(node + 1) % n, node])]), num_nodes=n
    )


def rows_of(data: Data) -> Tuples:
    ptr = data.ptr if "ptr" in data else torch.tensor([0, data.num_nodes])
    return Tuples.of(*data.pair_index, data.num_nodes, ptr)


def heard(rows: Tuples, edges, by: str) -> list[tuple]:
    """(row, source row, edge) that should be, found one by one."""
    place = {pair: i for i, pair in enumerate(zip(rows.root.tolist(), rows.node.tolist(), strict=True))}
    out = []
    for (r, v), row in place.items():
        for e, (s, t) in enumerate(edges.t().tolist()):
            source = ((r, s) if t == v else None) if by == "inside" else ((s, v) if t == r else None)
            if source in place:
                out.append((row, place[source], e))
    return sorted(out)


def found(edges) -> list[tuple]:
    index = edges.adj.edge_index
    return sorted(zip(index[1].tolist(), index[0].tolist(), edges.edge.tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(unions(undirected=True), st.sampled_from(["full", "ego"]), st.booleans())
def test_rows_hear_what_they_should(union, policy, sorted_edges):
    data = NodePairs(policy, hops=1)(union)
    rows, adj = rows_of(data), CSR.from_edge_index(data.edge_index, data.num_nodes)
    edge_index = data.edge_index
    if sorted_edges:  # as the store delivers them: no order to undo
        edge_index = edge_index[:, edge_index[1].argsort(stable=True)]
        by_source = edge_index[0].argsort(stable=True)
        made = CSR.from_edge_index(edge_index, data.num_nodes)
        adj = CSR(made.ptr, made.src, made.ptr_t, made.dst, by_source.int())
    for by, edges in (("inside", rows.inside(adj)), ("across", rows.across(adj))):
        assert found(edges) == heard(rows, edge_index, by)
        again = CSR.from_edge_index(edges.adj.edge_index, rows.num_rows)
        assert torch.equal(edges.adj.ptr, again.ptr)
        assert torch.equal(edges.adj.ptr_t, again.ptr_t)
        assert torch.equal(edges.adj.src[edges.adj.eid_t.long()], again.src[again.eid.argsort()][again.eid_t.long()])
        target = edges.adj.rows[edges.adj.eid_t.long()]
        assert torch.equal(target, edges.adj.dst)


@settings(max_examples=20, deadline=None)
@given(unions())
def test_directed_graphs_are_heard_along_their_edges(union):
    data = NodePairs("ego", hops=1)(union)
    rows, adj = rows_of(data), CSR.from_edge_index(data.edge_index, data.num_nodes)
    assert found(rows.inside(adj)) == heard(rows, data.edge_index, "inside")


def test_sizes_on_the_hexagon():
    for policy, pairs, local in (
        (NodePairs(), 36, 72),
        (NodePairs("ego", hops=1), 18, 24),
        (NodePairs("ego", hops=2), 30, 48),
    ):
        data = policy(ring(6))
        rows, adj = rows_of(data), CSR.from_edge_index(data.edge_index, 6)
        assert rows.num_rows == pairs
        assert rows.full == (pairs == 36)
        assert rows.inside(adj).adj.num_edges == rows.across(adj).adj.num_edges == local
        assert rows.own_node.num_edges == rows.own_root.num_edges == rows.transpose.num_edges == pairs
        # Whole subgraphs are read by segments: P entries, of which the reference lists n P.
        assert rows.by_root.num_edges == rows.by_node.num_edges == pairs
    full = rows_of(NodePairs()(ring(6)))
    assert int((full.root_ptr.diff()[full.root]).sum()) == 216


def test_points_and_segments():
    data = NodePairs("ego", hops=2)(Batch.from_data_list([ring(6), ring(3)]))
    rows = rows_of(data)
    u, v = data.pair_index
    for reading, root, node in ((rows.transpose, v, u), (rows.own_root, u, u), (rows.own_node, v, v)):
        source = reading.edge_index[0]
        assert torch.equal(reading.edge_index[1], torch.arange(rows.num_rows))
        assert torch.equal(torch.stack([u[source], v[source]]), torch.stack([root, node]))
    h = torch.rand(rows.num_rows, 2, dtype=torch.double)
    for layout, index in ((rows.by_root, u), (rows.by_node, v)):
        expected = torch.zeros(9, 2, dtype=torch.double).index_add_(0, index, h)
        torch.testing.assert_close(reduce_rows(h, layout, "sum"), expected)
        torch.testing.assert_close(reduce_rows(expected, layout.t, "sum"), expected[index])


def test_rows_of_roots_that_are_no_nodes():
    """Roots may be tuples or sets of nodes, in any number, some without rows."""
    data = Batch.from_data_list([ring(3), ring(4)])
    root, node = torch.tensor([0, 0, 0, 2, 2, 2, 2, 3, 3]), torch.tensor([0, 1, 2, 3, 4, 5, 6, 0, 2])
    rows, adj = Tuples.of(root, node, 5, data.ptr), CSR.from_edge_index(data.edge_index, 7)
    assert found(rows.inside(adj)) == heard(rows, data.edge_index, "inside")
    assert rows.root_graph.tolist() == [0, 2, 1, 0, 2]
    assert not rows.full
    complete = Tuples.of(root[:7], node[:7], 3, data.ptr)
    assert found(complete.inside(adj)) == heard(complete, data.edge_index, "inside")
    with pytest.raises(GraphError, match="one root for every node"):
        rows.own_node


def test_edge_features_are_not_repeated():
    data = NodePairs()(ring(4))
    edges = rows_of(data).inside(CSR.from_edge_index(data.edge_index, 4))
    attr = torch.rand(8, 3)
    table = edges.features(attr)
    assert table.rows is attr
    assert torch.equal(table.dense(), attr[edges.edge])
    kinds = EdgeTable(torch.rand(2, 3), torch.tensor([0, 1] * 4))
    assert torch.equal(edges.features(kinds).dense(), kinds.dense()[edges.edge])


def test_refusals_name_what_to_do():
    arrow = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    rows, adj = rows_of(NodePairs("ego", hops=1)(arrow)), CSR.from_edge_index(arrow.edge_index, 2)
    assert rows.inside(adj).adj.num_edges == 1
    with pytest.raises(GraphError, match="symmetrise"):
        rows.across(adj)
    with pytest.raises(GraphError, match="symmetrise"):
        rows.transpose
    sample = rows_of(NodePairs(roots=1)(ring(4)))
    with pytest.raises(GraphError, match="lift without roots"):
        sample.own_node
    assert sample.own_root.num_edges == 4
    ptr = torch.tensor([0, 2])
    for root, node in (([1, 0], [0, 0]), ([0, 0], [0, 0]), ([0, 2], [0, 0]), ([0, 0], [0, 2])):
        with pytest.raises(GraphError):
            Tuples.of(torch.tensor(root), torch.tensor(node), 2, ptr)
    with pytest.raises(GraphError, match="edges of 4"):
        rows.inside(CSR.from_edge_index(ring(4).edge_index, 4))


def test_no_rows_at_all():
    rows = Tuples.of(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long), 0, torch.tensor([0, 0]))
    adj = CSR.from_edge_index(torch.empty(2, 0, dtype=torch.long), 0)
    assert rows.inside(adj).adj.num_edges == rows.across(adj).adj.num_edges == rows.own_node.num_edges == 0
