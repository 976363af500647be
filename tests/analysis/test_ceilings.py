"""Ceilings of datasets: the golden table, brute force, and oracles that share no code."""

from __future__ import annotations

from collections import Counter, defaultdict

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from gnnlab.analysis import INVARIANTS, Refined, ceilings
from gnnlab.data import GraphStore, TaskSpec, load_dataset
from gnnlab.data.card import Card, SplitSpec
from gnnlab.data.readers.tu import read_tu
from gnnlab.encodings import RRWP, FastRP, LaplacianPE, RandomWalkPE
from gnnlab.errors import BudgetError, ConfigError, DataError

# Identifiable graphs and accuracy ceiling in per cent after 0, 1, ... rounds, by dataset and whether labels are read.
GOLDEN = {
    ("mutag", False): "0.53/86.17 9.57/91.49 43.62/96.28 55.32/96.81 57.98/96.81",
    ("mutag", True): "21.81/93.09 28.19/95.74 80.85/99.47 84.04/100 87.23/100",
    ("enzymes-labels", False): "3.0/38.5 95.5/98.83 98.33/100 98.33/100",
    ("enzymes-labels", True): "42.67/81.33 98.33/100 98.33/100",
    ("proteins", False): "4.76/73.23 76.37/95.24 86.43/97.48 86.43/97.48",
    ("proteins", True): "49.87/91.91 94.34/99.73 94.34/99.73",
    ("dd", False): "15.11/83.70 100/100",
    ("dd", True): "99.32/100 100/100",
    ("reddit-binary", False): "19.35/83.85 99.8/100 99.8/100",
}
WITHOUT_DUPLICATES = {
    ("PTC_MR", False): "3.83/68.94 67.66/93.62 100/100",
    ("NCI1", False): ".24/64.52 35.54/84.62 97.38/99.76 99.6/100",
    ("NCI1", True): "54.37/90.91 94.58/99.79 99.5/100 100/100",
    ("NCI109", False): ".32/64.54 35.94/84.06 96.84/99.55 99.55/99.97",
    ("NCI109", True): "54.88/91.13 95.55/99.87 99.58/99.97 100/100",
    ("IMDB-BINARY", False): "3.25/60.85 100/100",
    ("IMDB-MULTI", False): "3.74/53.58 100/100",
}
CLASSES = {
    ("mutag", False): 139,
    ("mutag", True): 175,
    ("enzymes-labels", False): 595,
    ("proteins", False): 996,
    ("proteins", True): 1069,
    ("dd", False): 1178,
    ("reddit-binary", False): 1998,
}
LARGE = ("dd", "reddit-binary")


def golden(table: dict) -> list:
    return [pytest.param(*key, text, marks=[pytest.mark.slow] * (key[0] in LARGE)) for key, text in table.items()]


def check_golden(store: GraphStore, labels: bool, text: str, stable: int | None = None) -> None:
    expected = [tuple(float(number) for number in cell.split("/")) for cell in text.split()]
    rounds = [*range(len(expected)), *[None] * (stable is not None)]
    report = ceilings(store, iterations=rounds, node_features=labels, edge_features=False)
    found = [(100 * row.identifiability, 100 * row.accuracy) for row in report.ceilings]
    np.testing.assert_allclose(found[: len(expected)], expected, atol=0.00501)
    if stable is not None:
        assert report.ceilings[-1].classes == stable


@pytest.mark.mirror
@pytest.mark.parametrize(("name", "labels", "text"), golden(GOLDEN))
def test_golden_table(mirror, name, labels, text) -> None:
    check_golden(load_dataset(name), labels, text, CLASSES.get((name, labels)))


@pytest.mark.mirror
@pytest.mark.parametrize(("name", "labels", "text"), golden(WITHOUT_DUPLICATES))
def test_golden_table_without_duplicates(mirror, name, labels, text) -> None:
    path = mirror / "tu" / "cleaned" / f"{name}.zip"
    if not path.is_file():
        pytest.skip(f"no {path}")
    task = TaskSpec("graph", 3 if name == "IMDB-MULTI" else 2, "cross_entropy", "accuracy")
    card = Card(name, "", "", "", "", task, 0, 0, SplitSpec("none", {"none": 1}))
    features = "constant" if name.startswith("IMDB") else "labels"
    check_golden(read_tu({"archive": path}, card, prefix=name, features=features).store, labels, text)


@pytest.mark.mirror
def test_hashes_agree_with_exact_colours(mirror, monkeypatch) -> None:
    monkeypatch.setattr("gnnlab.analysis.ceilings_colours._EDGES", 1000)
    store = load_dataset("mutag")
    tables = [ceilings(store, iterations=range(4), edge_features=False, hashed=hashed).rows() for hashed in (0, 1)]
    assert tables[0] == tables[1]


def graph(edges: list, nodes: int, y: object, **more: torch.Tensor) -> Data:
    edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
    return Data(edge_index=edge_index, num_nodes=nodes, y=torch.as_tensor(y).reshape(1, -1), **more)


def both(pairs) -> list:
    return [edge for u, v in pairs for edge in ((u, v), (v, u))]


def rings() -> GraphStore:
    """A ring of six, two triangles, and the ring again with other numbers and another label."""
    return GraphStore.from_data_list(
        [
            graph(both([(i, (i + 1) % 6) for i in range(6)]), 6, 0),
            graph(both([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]), 6, 1),
            graph(both([(0, 2), (2, 4), (4, 1), (1, 3), (3, 5), (5, 0)]), 6, 1),
        ]
    )


@pytest.mark.parametrize(
    ("method", "classes", "accuracy"),
    [
        ("wl", 1, 2 / 3),
        ("2-wl", 1, 2 / 3),
        ("2-fwl", 2, 2 / 3),
        ("swl-vs", 2, 2 / 3),
        (Refined("2-fwl"), 2, 2 / 3),
        (RandomWalkPE(walk_length=3), 2, 2 / 3),
        (LaplacianPE(k=6), 2, 2 / 3),
        (RRWP(pairs="all"), 2, 2 / 3),
        (INVARIANTS["1-WL"], 1, 2 / 3),
        (INVARIANTS["SPD-WL"], 2, 2 / 3),
        (INVARIANTS["spectrum of A"], 2, 2 / 3),
    ],
    ids=lambda value: value.__name__ if callable(value) and hasattr(value, "__name__") else str(value),
)
@pytest.mark.parametrize("cells", [1, 2**20])
def test_rings(method, classes, accuracy, cells, monkeypatch) -> None:
    """Also in chunks of one graph: their classes are those of all graphs together."""
    monkeypatch.setattr("gnnlab.analysis.ceilings_colours._CELLS", cells)
    report = ceilings(rings(), method, iterations=(3, None))
    for row in report.ceilings:
        assert (row.classes, row.identifiable) == (classes, classes - 1)
        assert row.accuracy == pytest.approx(accuracy)
    assert report.joined < 1 < report.cut


def random_graphs(count: int, seed: int, colours: int = 2, kinds: int = 2) -> list[nx.Graph]:
    rng = np.random.default_rng(seed)
    graphs = []
    for number in range(count):
        one = nx.gnp_random_graph(int(rng.integers(1, 6)), 0.5, seed=int(rng.integers(2**31)))
        for node in one:
            one.nodes[node]["c"] = str(rng.integers(colours))
        for edge in one.edges:
            one.edges[edge]["k"] = str(rng.integers(kinds))
        one.graph["y"] = float(number % 3)
        graphs.append(one)
    return graphs


def as_data(one: nx.Graph, y: object, order: np.ndarray | None = None) -> Data:
    order = np.arange(len(one)) if order is None else order
    edges = [(order[u], order[v]) for u, v in both(one.edges)]
    x = torch.empty(len(one), 1, dtype=torch.long)
    x[torch.from_numpy(order), 0] = torch.tensor([int(one.nodes[node]["c"]) for node in one])
    kinds = torch.tensor([int(one.edges[edge]["k"]) for edge in both(one.edges)], dtype=torch.long)
    return graph([list(edge) for edge in edges], len(one), y, x=x, edge_attr=kinds[:, None])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("edges", [False, True])
def test_networkx_hashes(rounds, edges) -> None:
    graphs = random_graphs(120, seed=rounds)
    labels = [number % 3 for number in range(len(graphs))]
    groups = defaultdict(list)
    for one, label in zip(graphs, labels, strict=True):
        key = nx.weisfeiler_lehman_graph_hash(one, "k" if edges else None, "c", rounds, digest_size=16)
        groups[key].append(label)
    store = GraphStore.from_data_list([as_data(*pair) for pair in zip(graphs, labels, strict=True)])
    (row,) = ceilings(store, iterations=[rounds], edge_features=edges).ceilings
    assert row.classes == len(groups)
    assert row.identifiable == sum(len(group) == 1 for group in groups.values())
    best = sum(max(Counter(group).values()) for group in groups.values())
    assert row.accuracy == pytest.approx(best / len(graphs))


@pytest.mark.parametrize("method", ["wl", "2-fwl", "swl-vs", RandomWalkPE(walk_length=4), RRWP(pairs="all")], ids=str)
def test_numbering_does_not_matter(method) -> None:
    rng = np.random.default_rng(0)
    graphs = random_graphs(40, seed=9)
    plain = [as_data(one, number % 3) for number, one in enumerate(graphs)]
    turned = [as_data(one, number % 3, rng.permutation(len(one))) for number, one in enumerate(graphs)]
    first, second = (ceilings(GraphStore.from_data_list(each), method).rows() for each in (plain, turned))
    assert first == second
    shuffled = ceilings(GraphStore.from_data_list([turned[i] for i in rng.permutation(40)]), method).rows()
    assert shuffled == [pytest.approx(row) for row in first]


def test_regression_by_brute_force() -> None:
    graphs = random_graphs(150, seed=4)
    values = np.random.default_rng(1).normal(size=(150, 2))
    values[::7, 1] = np.nan
    y = torch.from_numpy(values)
    store = GraphStore.from_data_list([as_data(*pair) for pair in zip(graphs, y, strict=True)])
    report = ceilings(store, iterations=[0])
    groups = defaultdict(list)
    for number, one in enumerate(graphs):
        groups[tuple(sorted(one.nodes[node]["c"] for node in one))].append(number)
    absolute, square = [], []
    for column in values.T:
        parts = [column[group][~np.isnan(column[group])] for group in groups.values()]
        parts = [part for part in parts if part.size]
        absolute.append(np.concatenate([abs(part - np.median(part)) for part in parts]).mean())
        square.append(np.concatenate([(part - part.mean()) ** 2 for part in parts]).mean() ** 0.5)
    (row,) = report.ceilings
    assert row.accuracy is None
    assert (row.classes, row.mae, row.rmse) == (
        len(groups),
        pytest.approx(np.mean(absolute)),
        pytest.approx(np.mean(square)),
    )
    assert report.constant.rmse == pytest.approx(np.nanstd(values, axis=0).mean())


def test_multilabel_and_missing_labels() -> None:
    y = [[0.0, 1.0], [1.0, torch.nan], [1.0, 0.0]]
    store = GraphStore.from_data_list([graph([], 2, row) for row in y], task=TaskSpec("graph", 2, "bce", "ap"))
    (row,) = ceilings(store, iterations=[None]).ceilings
    assert row.accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    labels = [graph([], 2, label) for label in (0, -1, -1, 1, 1)]
    store = GraphStore.from_data_list(labels, task=TaskSpec("graph", 2, "cross_entropy", "accuracy"))
    assert ceilings(store, iterations=[0]).ceilings[0].accuracy == pytest.approx(2 / 3)


def test_nodes_of_a_path() -> None:
    """0 - 1 - 2 - 3: ends and middles."""
    path = Data(edge_index=torch.tensor(both([(0, 1), (1, 2), (2, 3)])).t(), num_nodes=4, y=torch.tensor([0, 1, 2, 0]))
    report = ceilings(
        GraphStore.from_data_list([path], task=TaskSpec("node", 3, "cross_entropy", "accuracy")), iterations=[0, 1]
    )
    assert [(row.classes, row.accuracy) for row in report.ceilings] == [(1, 0.5), (2, 0.75)]
    assert (report.level, report.examples, report.ceilings[0].seen) == ("node", 4, None)
    with pytest.raises(ConfigError, match="not of nodes"):
        ceilings(GraphStore.from_data_list([path], task=TaskSpec("node", 3, "cross_entropy", "accuracy")), "2-fwl")


def test_degenerate_graphs() -> None:
    graphs = [graph([], 0, 0), graph([], 1, 1), graph([(0, 0)], 1, 0), graph([(0, 1), (0, 1)], 2, 1), graph([], 0, 1)]
    for method in ("wl", "2-fwl", "swl-vs", RandomWalkPE(walk_length=3)):
        *_, row = ceilings(GraphStore.from_data_list(graphs), method).ceilings
        assert row.accuracy == pytest.approx(4 / 5)
    # Distances do not see the self-loop.
    *_, row = ceilings(GraphStore.from_data_list(graphs), INVARIANTS["SPD-WL"]).ceilings
    assert row.accuracy == pytest.approx(3 / 5)
    (row,) = ceilings(GraphStore.from_data_list(graphs), iterations=[2], hashed=True).ceilings
    assert (row.classes, row.identifiable) == (4, 3)


def test_seen_in_training() -> None:
    splits = {"train": torch.tensor([0]), "test": torch.tensor([1, 2])}
    store = rings()
    store = GraphStore(store.columns, store.layouts, splits=splits, adjacency=store.adjacency)
    assert [ceilings(store, name, [2]).ceilings[0].seen for name in ("wl", "2-fwl")] == [1.0, 0.5]


def test_bad_input() -> None:
    unlabelled = GraphStore.from_data_list([Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=1)])
    with pytest.raises(DataError, match="no labels"):
        ceilings(unlabelled)
    with pytest.raises(DataError, match="no labels"):
        ceilings(GraphStore.from_data_list([graph([], 1, torch.nan)], task=TaskSpec("graph", 1, "bce", "ap")))
    with pytest.raises(ConfigError, match="graphs or nodes"):
        ceilings(GraphStore.from_data_list([graph([], 1, 0)], task=TaskSpec("link", 1, "bce", "mrr")))
    with pytest.raises(ConfigError, match="unknown method"):
        ceilings(rings(), "2-fw")
    with pytest.raises(ConfigError, match="graph alone"):
        ceilings(rings(), FastRP())
    for rounds in ([], [-1]):
        with pytest.raises(ConfigError, match="iterations"):
            ceilings(rings(), iterations=rounds)
    with pytest.raises(ConfigError, match="stable"):
        ceilings(rings(), hashed=True)
    with pytest.raises(ConfigError, match="hashed form"):
        ceilings(rings(), "2-fwl", hashed=True)
    with pytest.raises(BudgetError, match="more than 10"):
        ceilings(rings(), "2-fwl", max_rows=10)


def test_too_many_pairs(monkeypatch) -> None:
    monkeypatch.setattr("gnnlab.analysis.ceilings_colours._LARGEST", 100)
    with pytest.raises(BudgetError, match="pairs of nodes"):
        ceilings(rings(), RRWP(pairs="all"))


def test_rows_and_table() -> None:
    report = ceilings(rings(), iterations=[0, None])
    assert [row["iterations"] for row in report.rows()] == [0, None]
    assert "stable" in str(report)
    assert "accuracy" in str(report)
