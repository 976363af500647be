"""CycleCounts, SubstructureCounts and HomomorphismCounts: the contract of transforms, columns and scales."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from jsonargparse import ArgumentParser
from torch_geometric.data import Batch, Data

from gnnlab.encodings import CycleCounts, HomomorphismCounts, SubstructureCounts
from gnnlab.errors import BudgetError, ConfigError
from gnnlab.graph import closed_walk_counts, cycle_counts, homomorphism_counts, subgraph_counts
from gnnlab.testing import check_transform

ENCODINGS = (
    CycleCounts(),
    CycleCounts(max_length=8, level="both", normalise="log"),
    CycleCounts(kind="closed-walks", level="both"),
    SubstructureCounts(),
    SubstructureCounts(patterns=("star-3", "paw", "clique-4"), level="both", induced=True),
    SubstructureCounts(patterns=("path-4", ((0, 1), (1, 2), (2, 0), (2, 3))), level="edge", directed_orbits=True),
    HomomorphismCounts(),
    HomomorphismCounts(patterns=("house", "0-1 1-2 2-3"), level="both", normalise=None),
)


def data_of(graph: nx.Graph) -> Data:
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).reshape(-1, 2).t()
    return Data(edge_index=edges.contiguous(), num_nodes=graph.number_of_nodes())


@pytest.mark.parametrize("encoding", ENCODINGS, ids=repr)
def test_keeps_the_contract_of_transforms(encoding) -> None:
    check_transform(encoding)


def test_columns_are_those_of_the_functions() -> None:
    batch = Batch.from_data_list([data_of(nx.gnp_random_graph(9, 0.5, seed=seed)) for seed in range(3)])
    edge_index, ptr = batch.edge_index, batch.ptr
    cycles = CycleCounts(max_length=5, level="both")(batch)
    assert torch.equal(cycles.pe_cycles, cycle_counts(edge_index, ptr, 5).float())
    assert torch.equal(cycles.edge_pe_cycles, cycle_counts(edge_index, ptr, 5, level="edge").float())
    walks = CycleCounts(max_length=5, kind="closed-walks", level="edge", name="walks")(batch)
    assert torch.equal(walks.edge_pe_walks, closed_walk_counts(edge_index, ptr, 5, level="edge").float())
    assert "pe_walks" not in walks
    patterns = ("path-3", "chordal-square")
    roles = SubstructureCounts(patterns=patterns, induced=True)(batch).pe_substructures
    expected = [subgraph_counts(edge_index, ptr, pattern, induced=True) for pattern in patterns]
    assert torch.equal(roles, torch.cat(expected, 1).float())
    assert roles.shape == (27, 4)
    maps = HomomorphismCounts(patterns=patterns, level="edge")(batch).edge_pe_homomorphisms
    expected = [homomorphism_counts(edge_index, ptr, pattern, level="edge") for pattern in patterns]
    assert torch.equal(maps, torch.cat(expected, 1).log1p().float())


def test_cycles_tell_apart_what_message_passing_does_not() -> None:
    hexagon, triangles = data_of(nx.cycle_graph(6)), data_of(nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)))
    assert CycleCounts()(hexagon).pe_cycles.tolist() == [[0, 0, 0, 1]] * 6
    assert CycleCounts()(triangles).pe_cycles.tolist() == [[1, 0, 0, 0]] * 6


def test_counts_beyond_float32_stay_finite() -> None:
    clique = data_of(nx.complete_graph(150))
    walks = CycleCounts(kind="closed-walks", max_length=20)(clique).pe_cycles
    assert walks[:, -1].tolist() == [torch.finfo(torch.float32).max] * 150
    logs = CycleCounts(kind="closed-walks", max_length=20, normalise="log")(clique).pe_cycles
    assert logs[0, -1].item() == pytest.approx(20 * math.log(149) - math.log(150))


def test_what_is_too_much_is_refused() -> None:
    dense = data_of(nx.complete_graph(40))
    with pytest.raises(BudgetError, match="max_matches=10,000"):
        CycleCounts(max_matches=10_000)(dense)
    with pytest.raises(BudgetError, match="max_matches=10,000"):
        SubstructureCounts(patterns=("clique-5",), max_matches=10_000)(dense)
    with pytest.raises(BudgetError, match="max_products=10,000"):
        HomomorphismCounts(max_products=10_000)(dense)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CycleCounts(max_length=2), "CycleCounts: max_length of cycles must be between 3 and 8"),
        (lambda: CycleCounts(max_length=21, kind="closed-walks"), "CycleCounts: max_length of closed-walks"),
        (lambda: CycleCounts(kind="walks"), r"CycleCounts: unknown kind 'walks'"),
        (lambda: CycleCounts(level="edges"), r"(?s)CycleCounts: unknown level 'edges'.*'edge'"),
        (lambda: CycleCounts(normalise="log1p"), r"CycleCounts: unknown normalise"),
        (lambda: SubstructureCounts(patterns=("ring-5",)), r"SubstructureCounts: unknown pattern 'ring-5'"),
        (lambda: SubstructureCounts(patterns=()), "SubstructureCounts: patterns must be a list"),
        (lambda: HomomorphismCounts(patterns="cycle-3"), "HomomorphismCounts: patterns must be a list"),
        (lambda: HomomorphismCounts(patterns=("0-1 2-3",)), "HomomorphismCounts: .*not connected"),
    ],
)
def test_says_what_is_wrong(build, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_lists_of_a_configuration_become_the_same_transform() -> None:
    from_lists = SubstructureCounts(patterns=["cycle-3", [[0, 1], [1, 2]]])
    assert from_lists == SubstructureCounts(patterns=("cycle-3", ((0, 1), (1, 2))))
    assert from_lists.key() != SubstructureCounts(patterns=("cycle-3",)).key()
    parser = ArgumentParser()
    parser.add_class_arguments(SubstructureCounts, "encoding")
    config = parser.parse_args(["--encoding.patterns=[cycle-3, [[0, 1], [1, 2]]]", "--encoding.level=edge"])
    assert parser.instantiate(config).encoding == SubstructureCounts(
        patterns=("cycle-3", ((0, 1), (1, 2))), level="edge"
    )
