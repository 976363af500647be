"""Homophily against the definitions, written as loops, and against PyG."""

from __future__ import annotations

from itertools import pairwise
from math import log, nan

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch
from torch_geometric.utils import homophily as pyg_homophily

from gnnlab.errors import GraphError
from gnnlab.graph import Homophily, homophily
from gnnlab.testing.strategies import unions


def barbell() -> tuple[torch.Tensor, torch.Tensor]:
    one_way = torch.tensor(list(nx.barbell_graph(4, 0).edges)).t()
    return torch.cat([one_way, one_way.flip(0)], 1), torch.tensor([0] * 4 + [1] * 4)


def test_barbell_labelled_by_clique() -> None:
    edges, y = barbell()
    found = homophily(edges, y, torch.tensor([0, 8]))
    expected = [12 / 13, 0.9375, 0.846154, 0.846154, 0.608756]
    assert torch.cat(found).tolist() == pytest.approx(expected, abs=1e-6)


def slow(edges: set[tuple[int, int]], labels: list[int]) -> list[float]:
    """The five definitions for one graph, edges u < v."""
    edges = {pair for pair in edges if min(labels[pair[0]], labels[pair[1]]) >= 0}
    ordered = [*edges, *((v, u) for u, v in edges)]
    classes = sorted({label for label in labels if label >= 0})
    if not ordered:
        return [nan] * 5
    same = [labels[u] == labels[v] for u, v in ordered]
    edge = sum(same) / len(ordered)
    neighbours = {n: [v for u, v in ordered if u == n] for n in range(len(labels))}
    shares = [sum(labels[v] == labels[u] for v in near) / len(near) for u, near in neighbours.items() if near]
    total = sum(label >= 0 for label in labels)
    insensitive = 0.0
    for c in classes:
        mine = [equal for (u, _), equal in zip(ordered, same, strict=True) if labels[u] == c]
        insensitive += max(0.0, (sum(mine) / len(mine) if mine else 0.0) - labels.count(c) / total)
    ends = [sum(labels[u] == c for u, _ in ordered) / len(ordered) for c in classes]
    chance = sum(share**2 for share in ends)
    joint = [sum((labels[u], labels[v]) == (c, k) for u, v in ordered) / len(ordered) for c in classes for k in classes]
    entropies = [-sum(p * log(p) for p in part if p) for part in (joint, ends)]
    several = len(classes) > 1
    mixed = chance < 1 - 1e-12
    return [
        edge,
        sum(shares) / len(shares),
        insensitive / (len(classes) - 1) if several else nan,
        (edge - chance) / (1 - chance) if mixed else nan,
        2 - entropies[0] / entropies[1] if mixed else nan,
    ]


@given(unions(max_graphs=4), st.data())
def test_equals_the_definitions_graph_by_graph(batch: Batch, data: st.DataObject) -> None:
    y = torch.tensor([data.draw(st.integers(-1, 3)) for _ in range(batch.num_nodes)], dtype=torch.long)
    found = torch.stack(homophily(batch.edge_index, y, batch.ptr, symmetrise=True), 1)
    for graph, (begin, end) in enumerate(pairwise(batch.ptr.tolist())):
        pairs = {tuple(sorted(pair)) for pair in batch.edge_index.t().tolist() if begin <= pair[0] < end}
        local = {(u - begin, v - begin) for u, v in pairs if u != v}
        assert found[graph].tolist() == pytest.approx(slow(local, y[begin:end].tolist()), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("measure", "method"), [("edge", "edge"), ("node", "node"), ("class_insensitive", "edge_insensitive")]
)
def test_equals_pyg_on_simple_graphs(measure: str, method: str) -> None:
    generator = torch.Generator().manual_seed(0)
    one_way = torch.tensor(list(nx.connected_watts_strogatz_graph(40, 4, 0.3, seed=0).edges)).t()
    edges = torch.cat([one_way, one_way.flip(0)], 1)
    y = torch.randint(3, (40,), generator=generator)
    found = getattr(homophily(edges, y, torch.tensor([0, 40])), measure)
    assert found.item() == pytest.approx(pyg_homophily(edges, y, method=method), abs=1e-6)


def test_shapes_of_labels_are_all_the_same() -> None:
    edges, y = barbell()
    expected = torch.cat(homophily(edges, y, torch.tensor([0, 8])))
    for same in (y[:, None], y.double(), y.double()[:, None]):
        assert torch.equal(torch.cat(homophily(edges, same, torch.tensor([0, 8]))), expected)
    masked = y.double()
    masked[3] = torch.nan
    negative = y.clone()
    negative[3] = -1
    first, second = (homophily(edges, part, torch.tensor([0, 8])) for part in (masked, negative))
    assert torch.equal(torch.cat(first), torch.cat(second))
    assert not torch.equal(first.edge, expected[:1])


def test_the_number_of_classes_may_be_that_of_the_dataset() -> None:
    edges, y = barbell()
    alone = homophily(edges, y, torch.tensor([0, 8]))
    of_five = homophily(edges, y, torch.tensor([0, 8]), num_classes=5)
    assert of_five.class_insensitive.item() == pytest.approx(alone.class_insensitive.item() / 4)


def test_nothing_is_said_about_nothing() -> None:
    empty = torch.empty(2, 0, dtype=torch.long)
    found = homophily(empty, torch.empty(0, dtype=torch.long), torch.tensor([0, 0, 0]))
    assert isinstance(found, Homophily)
    assert all(value.shape == (2,) and bool(value.isnan().all()) for value in found)


def test_one_class_per_node_is_asked_for() -> None:
    edges, y = barbell()
    with pytest.raises(GraphError, match="8 nodes"):
        homophily(edges, y[:7], torch.tensor([0, 8]))
    with pytest.raises(GraphError, match="symmetrise"):
        homophily(edges[:, :3], y, torch.tensor([0, 8]))
