"""What encodings tell apart: golden counts, negative controls, and exact arithmetic where they are in doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.analysis import (
    INVARIANTS,
    Evidence,
    Refined,
    deterministic_encodings,
    family_classes,
    refinements,
    separated_pairs,
    separation,
)
from gnnlab.data import GraphStore, load_dataset
from gnnlab.encodings import DistancePE, ElenePE, LaplacianPE, RandomWalkPE, RowNormalize, SingularVectorPE
from gnnlab.encodings._pairs import all_pairs
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import effective_resistance, graph_colours, refine_with_pairs, walk_counts
from gnnlab.transform import Transform


@pytest.fixture(scope="module")
def brec(mirror) -> GraphStore:
    return load_dataset("brec")


def counts(store: GraphStore, separated: torch.Tensor) -> list[int]:
    return torch.bincount(store.column("category")[::2][separated], minlength=7).tolist()


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("name", "colouring", "expected"),
    [
        ("1-WL", "wl", [0, 0, 0, 0, 0, 0, 0]),
        ("closed walks, k <= 8", "multiset", [60, 50, 0, 99, 0, 0, 0]),
        ("spectrum of A", "multiset", [60, 50, 0, 99, 3, 0, 0]),
        ("spectrum of the normalised L", "multiset", [60, 50, 0, 100, 3, 0, 0]),
        ("total effective resistance", "multiset", [60, 50, 0, 100, 3, 0, 0]),
        ("RWSE-20", "multiset", [60, 50, 0, 100, 5, 0, 0]),
        ("sum of v^2 per eigenspace", "multiset", [60, 50, 0, 100, 6, 0, 0]),
        pytest.param("SPD-WL", "wl", [16, 14, 0, 41, 12, 0, 0], marks=pytest.mark.slow),
        pytest.param("RD-WL", "wl", [60, 50, 0, 100, 26, 0, 0], marks=pytest.mark.slow),
        pytest.param("RD-WL and SPD-WL", "wl", [60, 50, 0, 100, 26, 0, 0], marks=pytest.mark.slow),
        pytest.param("RRWP-21", "wl", [60, 50, 0, 100, 26, 0, 0], marks=pytest.mark.slow),
    ],
)
def test_golden_counts_of_brec(brec, name, colouring, expected) -> None:
    report = separated_pairs(brec, INVARIANTS[name], colouring)
    assert counts(brec, report.separated) == expected
    assert not report.unstable.any()
    assert report.joined < 1 < report.cut


@pytest.mark.mirror
@pytest.mark.slow
def test_the_encodings_agree_with_double_precision(brec) -> None:
    for transform, total in ((RandomWalkPE(walk_length=20), 215), (LaplacianPE(k=200, normalization="sym"), 216)):
        report = separated_pairs(brec, transform, "multiset")
        assert int(report.separated.sum()) == total
        assert not report.unstable.any()


@pytest.mark.mirror
def test_resistances_of_pair_316_by_exact_arithmetic(brec) -> None:
    """237 pairs are also found for resistances, with one more CFI pair: it is an artefact of rounding to 5 decimals."""
    pair = brec[[632, 633]]
    pairs = all_pairs(pair.ptr)
    modular = torch.stack([modular_resistance(pair, prime) for prime in (2147483629, 2147483587)], 1)
    rounded = (1e5 * effective_resistance(pair.edge_index, pair.ptr, pairs)).round()
    found = [graph_colours(refine_with_pairs(pairs, each, pair.ptr), pair.ptr) for each in (modular, rounded)]
    assert found[0].unique().numel() == 1
    assert found[1].unique().numel() == 2
    assert not separated_pairs(brec.subset([632, 633]), INVARIANTS["RD-WL"]).separated


def modular_resistance(union: Data, prime: int) -> torch.Tensor:
    """[P] resistance of all pairs, a rational number, in the field of ``prime`` elements: equal if they are equal."""
    parts = []
    for low, high in zip(union.ptr[:-1].tolist(), union.ptr[1:].tolist()):
        size = high - low
        inside = (union.edge_index[0] >= low) & (union.edge_index[0] < high)
        source, target = union.edge_index[:, inside] - low
        laplacian = torch.zeros(size, size, dtype=torch.long)
        laplacian[source, target] = -1
        laplacian -= torch.diag(laplacian.sum(1))
        table = torch.cat([laplacian[1:, 1:], torch.eye(size - 1, dtype=torch.long)], 1) % prime
        for row in range(size - 1):
            swap = row + int(table[row:, row].nonzero()[0])
            table[[row, swap]] = table[[swap, row]]
            table[row] = table[row] * pow(int(table[row, row]), -1, prime) % prime
            factor = table[:, row].clone()
            factor[row] = 0
            table = (table - factor[:, None] * table[row]) % prime
        grounded = torch.zeros(size, size, dtype=torch.long)
        grounded[1:, 1:] = table[:, size - 1 :]
        own = grounded.diagonal()
        parts.append(((own[:, None] + own - 2 * grounded) % prime).flatten())
    return torch.cat(parts)


@pytest.mark.mirror
def test_strongly_regular_families(mirror) -> None:
    store = load_dataset("sr251256")
    for method, colouring, classes in (
        (INVARIANTS["RD-WL"], "wl", 1),
        (INVARIANTS["RRWP-21"], "wl", 1),
        (ElenePE(k=1), "multiset", 1),
        (ElenePE(k=1, level="edge"), "multiset", 15),
    ):
        report = family_classes(store, method, colouring)
        assert report.num_classes == classes
        assert not report.unstable.any()


@pytest.mark.mirror
def test_refinements_agree_with_invariants(brec) -> None:
    few = brec.subset((brec.column("category") <= 1).nonzero().flatten())
    for name, invariant in (("wl", "1-WL"), ("spd-wl", "SPD-WL")):
        report = separated_pairs(few, Refined(name), "multiset")
        assert torch.equal(report.separated, separated_pairs(few, INVARIANTS[invariant]).separated)
        assert not report.unstable.any()
    assert bool(separated_pairs(few, Refined("swl-vs"), "multiset").separated.all())


def hexagon_and_triangles() -> GraphStore:
    ring = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
    two = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]])
    return GraphStore.from_data_list(
        [Data(edge_index=torch.cat([e, e.flip(0)], 1), x=torch.ones(6, 1)) for e in (ring, two)]
    )


def isomorphic_pair() -> GraphStore:
    edges = torch.tensor([[0, 0, 1, 2, 3, 3, 5, 6], [1, 2, 3, 3, 4, 5, 6, 3]])
    new = torch.tensor([4, 2, 6, 0, 1, 3, 5])
    return GraphStore.from_data_list(
        [Data(edge_index=torch.cat([e, e.flip(0)], 1), x=torch.ones(7, 1)) for e in (edges, new[edges])]
    )


@pytest.mark.parametrize("name", [*INVARIANTS, *refinements(), *deterministic_encodings()])
def test_no_method_tells_a_graph_from_a_renumbered_one(name) -> None:
    method = {**INVARIANTS, **refinements(), **deterministic_encodings()}[name]
    for report in separation(isomorphic_pair(), method, torch.tensor([0, 0])).values():
        assert not report.separated.any()
        assert not report.unstable.any()
        assert report.num_classes == 1


def test_edges_pairs_and_nodes_all_count() -> None:
    store = hexagon_and_triangles()
    assert not separated_pairs(store, DistancePE(pairs="edges", node=False)).separated
    assert separated_pairs(store, DistancePE(pairs="all", node=False)).separated
    assert separated_pairs(store, DistancePE(pairs="all", node=False), "multiset").separated
    assert not separated_pairs(store, lambda data: Evidence()).separated
    for colouring in ("multiset", "wl"):
        assert separated_pairs(store, lambda data: Evidence(edge=_triangles(data)), colouring).separated
        assert separated_pairs(store, lambda data: Evidence(graph=_triangles(data)[::12]), colouring).separated


def _triangles(data: Data) -> torch.Tensor:
    """[E, 1] triangles on every edge; 12 edges per graph."""
    return walk_counts(data.edge_index, data.ptr, data.edge_index, 2, self_loops=False)[:, None]


@dataclass(frozen=True, repr=False)
class _Numbers(Transform):
    """The number of a node: tells everything apart, and means nothing."""

    equivariance: ClassVar[str] = "exact"

    def forward(self, data: Data) -> Data:
        edges = data.edge_index - data.ptr[data.batch[data.edge_index[0]]]
        data.pe_number = torch.zeros(data.num_nodes).index_add_(0, data.edge_index[1], edges[0].float().square())[
            :, None
        ]
        return data


def test_what_follows_the_numbering_is_found_out() -> None:
    report = separated_pairs(isomorphic_pair(), _Numbers())
    assert report.unstable.all()
    assert not report.separated.any()


def test_a_cut_eigenspace_does_not_count() -> None:
    """The second and third eigenvector of a hexagon share a value: with k=2 there is but one of them."""
    store = hexagon_and_triangles().subset([0, 0])
    for transform in (LaplacianPE(k=2), LaplacianPE(k=3), SingularVectorPE(k=2)):
        assert not separated_pairs(store, transform, "multiset").unstable.any()
    assert separated_pairs(hexagon_and_triangles(), LaplacianPE(k=3)).separated


def test_families_of_one_and_none() -> None:
    store = hexagon_and_triangles()
    assert family_classes(store.subset([0]), INVARIANTS["1-WL"]).num_classes == 1
    assert family_classes(store.subset([0, 1, 0]), RandomWalkPE(walk_length=3)).num_classes == 2


def test_bad_requests() -> None:
    store = hexagon_and_triangles()
    with pytest.raises(ConfigError, match="unknown colouring 'vl'"):
        separated_pairs(store, RandomWalkPE(walk_length=3), "vl")
    with pytest.raises(GraphError, match="3 graphs are no pairs"):
        separated_pairs(store.subset([0, 1, 0]), RandomWalkPE(walk_length=3))
    with pytest.raises(ConfigError, match="writes no pe_"):
        separated_pairs(store, RowNormalize())
    with pytest.raises(GraphError, match="not numbers"):
        separated_pairs(store, lambda data: Evidence(node=torch.full((data.num_nodes, 1), torch.nan)))
    many = store.subset(torch.zeros(2**18, dtype=torch.long))
    with pytest.raises(BudgetError, match="subset"):
        family_classes(many, INVARIANTS["1-WL"])
