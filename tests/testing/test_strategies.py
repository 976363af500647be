"""The shipped strategies draw what they say, and say what they need."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import find, given, settings

from gnnlab.errors import BackendError
from gnnlab.testing.strategies import graphs, unions


@settings(max_examples=50, deadline=None)
@given(graphs(undirected=True, simple=True))
def test_simple_undirected_graphs(data) -> None:
    pairs = data.edge_index.t().tolist()
    assert len({tuple(pair) for pair in pairs}) == len(pairs)
    assert all(u != v and [v, u] in pairs for u, v in pairs)


@settings(max_examples=50, deadline=None)
@given(unions(max_graphs=3, min_nodes=1, max_nodes=4, max_edges=5))
def test_unions_keep_edges_inside_graphs(batch) -> None:
    assert batch.ptr.diff().min() >= 1
    assert batch.ptr.diff().max() <= 4
    assert torch.equal(batch.batch[batch.edge_index[0]], batch.batch[batch.edge_index[1]])


def test_awkward_graphs_are_drawn() -> None:
    find(graphs(), lambda data: data.num_nodes == 0)
    find(graphs(), lambda data: bool((data.edge_index[0] == data.edge_index[1]).any()))
    find(graphs(), lambda data: data.edge_index.unique(dim=1).size(1) < data.num_edges)


def test_says_how_to_install_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(BackendError, match=r"gnnlab\[test\]"):
        graphs()
