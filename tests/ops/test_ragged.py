from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnlab.ops import complete_edge_index, expand_ptr, ragged_arange

_counts = st.lists(st.integers(0, 6), max_size=8)


@given(_counts)
def test_against_lists(counts):
    sizes = torch.tensor(counts, dtype=torch.long)
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    inside = [i for count in counts for i in range(count)]
    rows = [row for row, count in enumerate(counts) for _ in range(count)]
    for total in (None, sum(counts)):
        assert ragged_arange(sizes, total).tolist() == inside
        assert expand_ptr(ptr, total).tolist() == rows
    assert ragged_arange(sizes.int()).dtype == expand_ptr(ptr.int()).dtype == torch.long


@given(_counts)
def test_complete_graphs(counts):
    ptr = torch.tensor([0, *counts]).cumsum(0)
    union = nx.disjoint_union_all([nx.complete_graph(count, nx.DiGraph) for count in counts] or [nx.DiGraph()])
    edges = complete_edge_index(ptr)
    assert edges.t().tolist() == sorted(list(edge) for edge in union.edges)
    assert edges.dtype == torch.long


@pytest.mark.parametrize("ptr", [[0], [0, 0], [0, 1]])
def test_nothing_to_connect(ptr):
    assert complete_edge_index(torch.tensor(ptr)).shape == (2, 0)
