"""Polynomial features: which columns, diagonals, scaling, what is told apart."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnlab.encodings import PolynomialPE
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import equivariant_polynomial
from gnnlab.testing import check_transform


def data(graph: nx.Graph) -> Data:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2)
    return Data(edge_index=edges.t().contiguous(), num_nodes=graph.number_of_nodes())


@pytest.mark.parametrize("pairs", ["edges", "hops", "all", None])
@pytest.mark.parametrize("degree", [4, 6])
def test_contract(pairs: str | None, degree: int) -> None:
    check_transform(PolynomialPE(degree=degree, pairs=pairs))


@pytest.mark.parametrize(("degree", "nodes", "pairs"), [(3, 1, 1), (4, 2, 2), (5, 5, 6), (6, 12, 16)])
def test_widths(degree: int, nodes: int, pairs: int) -> None:
    encoding = PolynomialPE(degree=degree)
    result = encoding(data(nx.petersen_graph()))
    assert result.pe_polynomial.shape == (10, nodes) == (10, len(encoding.node_patterns))
    assert result.edge_pe_polynomial.shape == (30, pairs) == (30, encoding.pair_channels)
    assert result.pe_polynomial.dtype == result.edge_pe_polynomial.dtype == torch.float32


def test_columns_are_diagonals_and_entries() -> None:
    graph = data(nx.gnm_random_graph(11, 28, seed=3))
    matrix = torch.zeros(11, 11, dtype=torch.float64)
    matrix[graph.edge_index[0], graph.edge_index[1]] = 1
    encoding = PolynomialPE(log=False, pairs="all")
    result = encoding(graph)
    nodes = torch.stack([equivariant_polynomial(p, matrix) for p in encoding.node_patterns], 1)
    assert torch.equal(result.pe_polynomial, nodes.float())
    first, second = result.pair_index
    pairs = torch.stack([equivariant_polynomial(p, matrix)[first, second] for p in encoding.pair_patterns], 1)
    assert torch.equal(result.pair_pe_polynomial, pairs.float())
    edges = PolynomialPE(log=False)(graph).edge_pe_polynomial
    whole = [p._replace(edges=(*p.edges, p.marked)) for p in encoding.pair_patterns]
    first, second = graph.edge_index
    closed = torch.stack([equivariant_polynomial(p, matrix)[first, second] for p in whole], 1)
    assert torch.equal(edges, closed.float())


def test_logarithms() -> None:
    graph = data(nx.complete_graph(6))
    counts, logs = (PolynomialPE(log=log)(graph) for log in (False, True))
    for key in ("pe_polynomial", "edge_pe_polynomial"):
        assert torch.allclose(logs[key], counts[key].log1p())
        assert float(counts[key].max()) > 50


def separated(first: nx.Graph, second: nx.Graph, degree: int) -> bool:
    """Whether node features differ as multisets, exactly."""
    encoding = PolynomialPE(degree=degree, log=False, pairs=None)
    rows = [sorted(map(tuple, encoding(data(graph)).pe_polynomial.tolist())) for graph in (first, second)]
    return rows[0] != rows[1]


def test_pairs_1wl_cannot_tell_apart() -> None:
    triangles = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    decalin = nx.Graph([*nx.cycle_graph(10).edges, (0, 5)])
    bicyclopentyl = nx.Graph([*nx.cycle_graph(5).edges, *nx.cycle_graph(range(5, 10)).edges, (0, 5)])
    csl = {skip: nx.circulant_graph(41, [1, skip]) for skip in (2, 3, 4)}
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    shrikhande = nx.from_edgelist(
        ((a, b), ((a + x) % 4, (b + y) % 4)) for a in range(4) for b in range(4) for x, y in ((0, 1), (1, 0), (1, 1))
    )
    assert separated(nx.cycle_graph(6), triangles, degree=3)
    assert not separated(decalin, bicyclopentyl, degree=4)
    assert separated(decalin, bicyclopentyl, degree=5)
    assert separated(csl[2], csl[3], degree=3)
    assert separated(csl[3], csl[4], degree=6)
    assert not separated(rook, shrikhande, degree=5)
    assert separated(rook, shrikhande, degree=6)
    moved = nx.relabel_nodes(csl[3], dict(zip(range(41), torch.randperm(41).tolist(), strict=True)))
    assert not separated(csl[3], moved, degree=6)


def test_self_loops_duplicates_and_directions() -> None:
    messy = Data(edge_index=torch.tensor([[0, 1, 2, 0, 1], [1, 2, 0, 1, 1]]), num_nodes=4)
    clean = PolynomialPE()(data(nx.cycle_graph(3)))
    result = PolynomialPE()(messy)
    assert torch.equal(result.pe_polynomial[:3], clean.pe_polynomial)
    assert int(result.pe_polynomial[3].abs().sum()) == 0
    assert torch.equal(result.edge_pe_polynomial[0], result.edge_pe_polynomial[3])


def test_large_and_small_graphs_in_a_batch() -> None:
    graphs = [data(nx.grid_2d_graph(30, 30)), data(nx.complete_graph(5)), data(nx.path_graph(1))]
    together = PolynomialPE()(Batch.from_data_list(graphs))
    alone = [PolynomialPE()(graph) for graph in graphs]
    for key in ("pe_polynomial", "edge_pe_polynomial"):
        assert torch.equal(together[key], torch.cat([graph[key] for graph in alone]))


def test_says_what_is_wrong() -> None:
    for degree in (2, 7):
        with pytest.raises(ConfigError, match="degree must be 3 to 6"):
            PolynomialPE(degree=degree)
    star = data(nx.star_graph(600))
    with pytest.raises(BudgetError, match="max_terms"):
        PolynomialPE(max_terms=1000)(star)
