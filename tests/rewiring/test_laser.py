"""LASER on known graphs, against a plain loop over nodes and shells, and the released procedure step by step."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.rewiring import LASER, _pairs, _ranks_numba
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def undirected(graph: nx.Graph) -> Data:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.to_directed().edges), dtype=torch.long).view(-1, 2).t().contiguous()
    return Data(edge_index=edges, num_nodes=graph.number_of_nodes())


def matrix_of(data: Data) -> np.ndarray:
    matrix = np.zeros((data.num_nodes, data.num_nodes))
    matrix[tuple(data.edge_index.numpy())] = 1
    np.fill_diagonal(matrix, 0)
    return matrix


def added(data: Data) -> set[tuple[int, int, int]]:
    """(source, target, snapshot) of the added edges, of which none may come twice."""
    new = data.edge_type > 0
    rows = list(zip(*data.edge_index[:, new].tolist(), (data.edge_type[new] + 1).tolist(), strict=True))
    assert len(set(rows)) == len(rows)
    assert torch.equal(data.edge_order, data.edge_type)
    return set(rows)


def choose(connectivity: np.ndarray, shell: list[int], density: float) -> list[int]:
    """Python's own rounding, and the lowest number where connectivity is equal."""
    count = max(1, round(density * len(shell)))
    return sorted(shell, key=lambda j: (connectivity[j], j))[:count]


def paper(data: Data, snapshots: int, density: float, length: int) -> set[tuple[int, int, int]]:
    matrix = matrix_of(data)
    walks = np.linalg.matrix_power(matrix + np.eye(len(matrix)), length)
    distances = dict(nx.all_pairs_shortest_path_length(nx.from_numpy_array(matrix)))
    edges = set()
    for r in range(2, snapshots + 1):
        for i in range(len(matrix)):
            shell = [j for j, hops in distances[i].items() if hops == r]
            for j in choose(walks[i], shell, density) if shell else []:
                edges |= {(i, j, r), (j, i, r)}
    return edges


def released(data: Data, snapshots: int, density: float, length: int) -> set[tuple[int, int, int]]:
    """The authors' procedure: distances are written into the matrix that is still being multiplied."""
    matrix = matrix_of(data) + np.eye(data.num_nodes)
    reached, reach = matrix.copy(), matrix @ matrix
    for r in range(2, snapshots + 1):
        reach = (reach != 0).astype(float)
        matrix += r * (reach - reached)
        reached, reach = reach, reach @ matrix
    walks = np.linalg.matrix_power(matrix, length)
    edges = set()
    for r in range(2, snapshots + 1):
        for i in range(data.num_nodes):
            shell = [j for j in range(i) if matrix[i, j] == r]
            edges |= {(i, j, r) for j in choose(walks[i], shell, density) if shell}
    return edges


@pytest.mark.parametrize(
    "rewire",
    [
        LASER(symmetrise=True),
        LASER(num_snapshots=2, density=1, symmetrise=True),
        LASER(noise=False, symmetrise=True, relation=3),
        LASER(num_snapshots=4, mode="released", symmetrise=True),
    ],
)
def test_keeps_the_contract(rewire: LASER) -> None:
    check_transform(rewire)


def test_a_path_in_full() -> None:
    edges = added(LASER(num_snapshots=4, density=1)(undirected(nx.path_graph(9))))
    assert Counter(r for *_, r in edges) == {2: 14, 3: 12, 4: 10}
    assert all(abs(u - v) == r for u, v, r in edges)


def test_a_cycle_in_full() -> None:
    edges = added(LASER(num_snapshots=5, density=1)(undirected(nx.cycle_graph(10))))
    assert Counter(r for *_, r in edges) == {2: 20, 3: 20, 4: 20, 5: 10}


@pytest.mark.parametrize("mode", ["paper", "released"])
def test_a_complete_graph_stays(mode: str) -> None:
    assert not added(LASER(mode=mode)(undirected(nx.complete_graph(6))))


def test_the_released_procedure_mixes_distances() -> None:
    edges = added(LASER(num_snapshots=4, density=1, mode="released")(undirected(nx.path_graph(9))))
    by_snapshot = {r: {u - v for u, v, s in edges if s == r} for r in (2, 3, 4)}
    assert by_snapshot == {2: {2}, 3: {3, 4}, 4: {5, 6, 7, 8}}
    edges = added(LASER(density=1, mode="released")(undirected(nx.cycle_graph(10))))
    assert Counter(r for *_, r in edges) == {2: 10, 3: 20}


def test_sparse_shells_give_one_each() -> None:
    data = undirected(nx.random_labeled_tree(30, seed=0))
    edges = added(LASER(density=1e-6)(data))
    shells = {(u, r) for u, row in nx.all_pairs_shortest_path_length(nx.Graph(data.edge_index.t().tolist()))
              for r in row.values() if r in (2, 3)}  # fmt: skip
    assert shells == {(u, r) for u, _, r in edges}
    assert len(edges) / 2 <= len(shells)


@pytest.mark.parametrize(("leaves", "expected"), [(6, 2), (4, 2), (2, 1), (8, 4)])
def test_halves_round_to_even(leaves: int, expected: int) -> None:
    data = undirected(nx.star_graph(leaves))
    out = LASER(num_snapshots=2, noise=False)(data)
    # A leaf's shell are the other leaves, all alike: the last leaf takes the first ones, nobody takes it.
    last = {v for u, v, _ in added(out) if u == leaves}
    assert last == set(range(1, expected + 1))


@given(
    batch=unions(max_nodes=9, undirected=True),
    snapshots=st.integers(2, 4),
    density=st.sampled_from([0.01, 0.25, 0.5, 0.7, 1]),
    length=st.sampled_from([1, 4, 8]),
)
def test_without_noise_it_is_a_loop_over_shells(batch, snapshots: int, density: float, length: int) -> None:
    for mode, loop in (("paper", paper), ("released", released)):
        rewire = LASER(snapshots, density, mode, length, noise=False)
        assert added(rewire(batch)) == loop(batch, snapshots, density, length)


@given(batch=unions(max_nodes=9, undirected=True), seed=st.integers(0, 9))
def test_noise_breaks_ties_and_nothing_else(batch, seed: int) -> None:
    """In one direction, so that what a node chose can be told: as connected as any choice, as many."""
    rewire = LASER(density=0.5, mode="released", seed=seed)
    noisy, plain = added(rewire(batch)), released(batch, 3, 0.5, 8)
    matrix = matrix_of(batch) + np.eye(batch.num_nodes)
    two, four = (np.linalg.matrix_power(matrix, p) > 0 for p in (2, 4))
    weighted = (matrix > 0) + 2.0 * (two & (matrix == 0)) + 3.0 * (four & ~two)
    walks = np.linalg.matrix_power(weighted, 8)
    assert Counter((u, r, walks[u, v]) for u, v, r in noisy) == Counter((u, r, walks[u, v]) for u, v, r in plain)


def test_seeds_break_ties_differently_and_evenly() -> None:
    data = undirected(nx.star_graph(6))
    chosen = Counter()
    for seed in range(200):
        new = LASER(num_snapshots=2, density=0.2, mode="released", seed=seed)(data)
        chosen.update(v for u, v, _ in added(new) if u == 6)
    # The last leaf takes one of five; 40 each are expected, with a standard deviation of 5.7.
    assert set(chosen) == {1, 2, 3, 4, 5}
    assert max(abs(count - 40) for count in chosen.values()) < 29


def test_distinct_connectivity_follows_a_renumbering() -> None:
    data = undirected(nx.gnm_random_graph(24, 40, seed=6))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    moved = Data(edge_index=order[data.edge_index], num_nodes=24)
    walks = np.linalg.matrix_power(matrix_of(data) + np.eye(24), 8)
    shells: dict[tuple[int, int], list[float]] = {}
    for u, row in nx.all_pairs_shortest_path_length(nx.Graph(data.edge_index.t().tolist())):
        for v, hops in row.items():
            shells.setdefault((u, hops), []).append(walks[u, v])
    ties = 0
    for (_, hops), values in shells.items():
        values, cut = sorted(values), max(1, round(0.5 * len(values)))
        ties += hops in (2, 3) and cut < len(values) and values[cut - 1] == values[cut]
    assert ties == 0
    expected = {(int(order[u]), int(order[v]), r) for u, v, r in added(LASER()(data))}
    assert added(LASER(seed=5)(moved)) == expected


def test_later_snapshots_only_add() -> None:
    data = undirected(nx.random_labeled_tree(40, seed=2))
    edges = added(LASER(num_snapshots=5)(data))
    for snapshots in (2, 3, 4):
        assert added(LASER(num_snapshots=snapshots)(data)) == {edge for edge in edges if edge[2] <= snapshots}


def test_snapshots_are_disjoint_and_within_budget() -> None:
    data = undirected(nx.random_regular_graph(3, 40, seed=1))
    edges = added(LASER(num_snapshots=4, density=0.3)(data))
    assert len({(u, v) for u, v, _ in edges} | set(map(tuple, data.edge_index.t().tolist()))) == len(edges) + 120
    budget = Counter()
    for row in dict(nx.all_pairs_shortest_path_length(nx.Graph(data.edge_index.t().tolist()))).values():
        for hops, size in Counter(row.values()).items():
            budget[hops] += max(1, round(0.3 * size))
    assert all(count <= 2 * budget[r] for r, count in Counter(r for *_, r in edges).items())


@given(st.lists(st.integers(0, 90), max_size=12), st.integers(0, 10_000))
def test_ranks_of_both_engines_are_a_lexicographic_sort(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(0, 4, (sum(sizes),), generator=generator).double()
    first[first == 3] = torch.inf
    second = torch.randint(0, 4, (sum(sizes),), generator=generator).double()
    expected: list[int] = []
    begin = 0
    for size in sizes:
        keys = [(float(first[i]), float(second[i]), i) for i in range(begin, begin + size)]
        place = {key: rank for rank, key in enumerate(sorted(keys))}
        expected += [place[key] for key in keys]
        begin += size
    for engine in (_pairs._ranks, _ranks_numba.ranks):
        assert engine(torch.tensor(sizes, dtype=torch.long), first, second).tolist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_snapshots": 1}, "num_snapshots"),
        ({"walk_length": 0}, "walk_length"),
        ({"density": 0}, "density"),
        ({"density": 1.5}, "density"),
        ({"mode": "relased"}, "did you mean 'released'"),
    ],
)
def test_bad_settings(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LASER(**options)


def test_bad_graphs() -> None:
    with pytest.raises(GraphError, match="symmetrise=True"):
        LASER()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    with pytest.raises(BudgetError, match="max_pairs"):
        LASER(max_pairs=10)(undirected(nx.cycle_graph(10)))
