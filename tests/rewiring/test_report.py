"""The report of a rewiring: known graphs, counts of edges, batches and stores, and the table."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphStore
from gnnlab.errors import GraphError
from gnnlab.graph import diameter, spectral_gap, total_effective_resistance
from gnnlab.rewiring import DIGL, GTR, Expander, FullyAdjacent, VirtualNode
from gnnlab.rewiring.report import describe_rewiring
from gnnlab.testing.strategies import unions


def from_networkx(graph: nx.Graph, **attributes: torch.Tensor) -> Data:
    one_way = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).t()
    edges = torch.cat([one_way, one_way.flip(0)], 1)
    return Data(edge_index=edges, num_nodes=graph.number_of_nodes(), **attributes)


def molecules(count: int, mean_nodes: int = 25, seed: int = 0) -> Batch:
    """Random trees of maximum degree 4 with one ring closure of length 5 or 6 per eight nodes."""
    generator = torch.Generator().manual_seed(seed)
    graphs = []
    for _ in range(count):
        n = int((mean_nodes * (1 + 0.15 * torch.randn(1, generator=generator))).round().clamp(min=6))
        graph, degree = nx.empty_graph(n), [0] * n
        for child in range(1, n):
            free = [node for node in range(child) if degree[node] < 4]
            parent = free[int(torch.randint(len(free), (1,), generator=generator))]
            graph.add_edge(parent, child)
            degree[parent] += 1
            degree[child] += 1
        distance = dict(nx.all_pairs_shortest_path_length(graph))
        closures = [
            (u, v) for u in range(n) for v in range(u) if distance[u][v] in (4, 5) and max(degree[u], degree[v]) < 4
        ]
        for index in torch.randperm(len(closures), generator=generator)[: n // 8].tolist():
            graph.add_edge(*closures[index])
        graphs.append(from_networkx(graph))
    return Batch.from_data_list(graphs)


def test_a_barbell_that_becomes_complete() -> None:
    data = from_networkx(nx.barbell_graph(4, 0), y=torch.tensor([0] * 4 + [1] * 4))
    report = describe_rewiring(data, FullyAdjacent()(data))
    before, after = report.before, report.after
    assert (before.nodes.tolist(), before.edges.tolist()) == ([8], [26])
    assert (report.added.tolist(), report.removed.tolist()) == ([30], [0])
    assert before.spectral_gap.item() == pytest.approx(0.113382, abs=1e-6)
    assert after.spectral_gap.item() == pytest.approx(8 / 7)
    assert (before.diameter.item(), after.diameter.item()) == (3, 1)
    assert before.edge_homophily.item() == pytest.approx(12 / 13)
    assert after.edge_homophily.item() == pytest.approx(12 / 28)
    assert before.total_resistance.item() == pytest.approx(34.0)
    assert after.total_resistance.item() == pytest.approx(7.0)
    assert before.components.tolist() == after.components.tolist() == [1]
    text = str(report)
    for cells in (("directed edges", "26", "56", "2.154"), ("total resistance", "34", "7", "0.206"), ("added", "30")):
        line = next(line for line in text.splitlines() if cells[0] in line)
        assert all(cell in line for cell in cells)


@settings(max_examples=25)
@given(unions(max_graphs=4))
def test_edges_after_are_edges_before_plus_and_minus(batch: Batch) -> None:
    for rewire in (Expander(), Expander(nodes="keep"), VirtualNode(num_nodes=2), DIGL(epsilon=0.2, symmetrise=True)):
        out = rewire(batch)
        report = describe_rewiring(batch, out)
        change = report.after.edges - report.before.edges
        assert torch.equal(change, report.added - report.removed)
        assert torch.equal(report.before.nodes, batch.ptr.diff())
        assert torch.equal(report.after.nodes, out.ptr.diff())
        new = torch.bincount(out.batch[out.edge_index[0]][out.edge_type == 1], minlength=batch.num_graphs)
        assert bool((report.added <= new).all())


def test_kept_edges_of_renumbered_unions_are_no_change() -> None:
    batch = Batch.from_data_list([from_networkx(nx.path_graph(n)) for n in (3, 5)])
    report = describe_rewiring(batch, VirtualNode()(batch))
    assert report.added.tolist() == [6, 10]
    assert report.removed.tolist() == [0, 0]


def test_components_and_nodes_without_edges_are_counted() -> None:
    graph = nx.disjoint_union(nx.path_graph(3), nx.cycle_graph(4))
    graph.add_node(7)
    data = Batch.from_data_list([from_networkx(graph), from_networkx(nx.empty_graph(0))])
    report = describe_rewiring(data, data)
    assert report.before.components.tolist() == [3, 0]
    assert report.before.diameter.tolist() == [2, 0]
    assert report.before.spectral_gap.tolist() == [0, 0]
    assert report.before.total_resistance.tolist() == pytest.approx([4 + 5, 0])


def test_a_store_is_compared_in_chunks() -> None:
    batch = molecules(12)
    store = GraphStore.from_data_list(batch.to_data_list())
    rewire = Expander(nodes="keep")
    whole = describe_rewiring(batch, rewire(batch))
    for chunk_nodes in (40, 2**17):
        report = describe_rewiring(store, store.map(rewire), chunk_nodes=chunk_nodes)
        for side, expected in ((report.before, whole.before), (report.after, whole.after)):
            for got, want in zip(side, expected, strict=True):
                assert torch.allclose(got, want, equal_nan=True)
        assert torch.equal(report.added, whole.added)


def test_large_graphs_are_estimated_and_say_so() -> None:
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(25, 30))
    data = from_networkx(grid)
    batch = Batch.from_data_list([from_networkx(nx.path_graph(9)), data])
    exact = describe_rewiring(batch, batch)
    rough = describe_rewiring(batch, batch, exact_limit=100)
    assert not exact.before.resistance_error.any()
    assert "±" not in str(exact)
    assert (rough.before.resistance_error > 0).tolist() == [False, True]
    off = (rough.before.total_resistance - exact.before.total_resistance).abs()
    assert bool((off <= 4 * rough.before.resistance_error + 1e-6).all())
    assert rough.before.diameter.tolist() == exact.before.diameter.tolist() == [8, 53]
    assert "±" in str(rough)


def test_measures_are_those_of_the_library() -> None:
    batch = molecules(20)
    out = GTR(num_edges=3)(batch)
    report = describe_rewiring(batch, out)
    assert torch.allclose(report.after.total_resistance, total_effective_resistance(out.edge_index, out.ptr))
    assert torch.allclose(report.after.spectral_gap, spectral_gap(out.edge_index, out.ptr))
    assert torch.equal(report.after.diameter, diameter(out.edge_index, out.ptr))
    assert report.added.tolist() == [6] * 20


def test_ten_edges_take_seventy_per_cent_of_the_resistance_of_a_molecule() -> None:
    batch = molecules(200)
    report = describe_rewiring(batch, GTR(num_edges=10)(batch))
    ratio = report.after.total_resistance.mean() / report.before.total_resistance.mean()
    assert float(ratio) == pytest.approx(0.3, abs=0.05)


def test_other_graphs_are_refused() -> None:
    one, two = molecules(1), molecules(2)
    with pytest.raises(GraphError, match="same graphs"):
        describe_rewiring(one, two)
    with pytest.raises(GraphError, match="same graphs"):
        describe_rewiring(VirtualNode()(one), one)
    with pytest.raises(GraphError, match="same graphs"):
        describe_rewiring(one, GraphStore.from_data_list(one.to_data_list()))
