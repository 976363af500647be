"""Costs: what is counted exactly, what bounds what is built, and limits that agree with what is refused."""

from __future__ import annotations

import json

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from gnnlab.analysis.auditing.cost import cost_section
from gnnlab.analysis.auditing.sample import audit_sample
from gnnlab.data import GraphStore
from gnnlab.errors import BudgetError
from gnnlab.lifting import NodePairs, Paths


def graph(one: nx.Graph) -> Data:
    edges = torch.tensor(list(one.edges), dtype=torch.long).reshape(-1, 2).t()
    return Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=one.number_of_nodes())


def rows_of(graphs: list[Data], **options) -> dict[str, dict]:
    section = cost_section(audit_sample(graphs, **options))
    json.dumps(section.values)
    return {row["what"]: row for row in section.values["rows"]}


def some() -> list[nx.Graph]:
    return [nx.gnp_random_graph(n, 0.3, seed=n) for n in (5, 9, 14)] + [nx.path_graph(8), nx.cycle_graph(7)]


def test_pairs_are_those_that_are_built() -> None:
    graphs = [graph(one) for one in some()]
    rows = rows_of(graphs)
    store = GraphStore.from_data_list(graphs)
    full = store[torch.arange(len(graphs))]
    assert rows["node pairs, full"]["rows"] == NodePairs()(full).pair_index.size(1)
    for hops in (2, 3):
        built = NodePairs(policy="ego", hops=hops)(store[torch.arange(len(graphs))]).pair_index.size(1)
        assert rows[f"node pairs, ego of {hops} hops (at most)"]["rows"] >= built


@pytest.mark.parametrize("length", [2, 3, 4])
def test_paths_are_at_most_so_many(length) -> None:
    graphs = [graph(one) for one in some()]
    rows = rows_of(graphs)[f"simple paths of {length} edges (at most)"]["rows"]
    batch = GraphStore.from_data_list(graphs)[torch.arange(len(graphs))]
    built = Paths(length=length, kind="simple")(batch)[f"path_{length}"].size(0)
    assert rows >= built
    if length == 2:
        assert rows == built


@pytest.mark.parametrize("length", [2, 3, 4])
def test_paths_of_trees_are_exact(length) -> None:
    """Where there is no cycle, a walk that never turns back is a path."""
    tree = graph(nx.balanced_tree(3, 3))
    rows = rows_of([tree])[f"simple paths of {length} edges (at most)"]
    built = Paths(length=length, kind="simple")(tree)[f"path_{length}"].size(0)
    assert (rows["rows"], rows["bytes"]) == (built, 8 * (length + 1) * built)


def test_what_is_refused_is_refused() -> None:
    """14,000 nodes without edges have 4.4 GiB of pairs, and too many for a dense matrix."""
    lonely = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=14_000)
    rows = rows_of([lonely])
    refused = {what for what, row in rows.items() if not row["fits"]}
    assert {"node pairs, full", "RRWP on all pairs"} < refused
    assert len(refused) == 3
    with pytest.raises(BudgetError):
        NodePairs()(lonely)


def test_a_sample_is_scaled_to_all() -> None:
    graphs = [graph(nx.cycle_graph(6)) for _ in range(80)]
    whole, part = rows_of(graphs), rows_of(graphs, sample=40)
    assert part == whole


@pytest.mark.parametrize("nodes", [0, 1, 3])
def test_degenerate_graphs(nodes) -> None:
    section = cost_section(audit_sample(Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=nodes)))
    assert all(row["fits"] for row in section.values["rows"])
    assert {len(line) for line in section.tables[0].lines} == {len(section.tables[0].header)}
    assert section.pictures[0].draw().axes
