"""Cycles: against networkx, and against the sizes of paper and code."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.utils import to_networkx

from gnnlab.data import load_dataset
from gnnlab.data.card import card
from gnnlab.data.generators.cycles import generate_cycles
from gnnlab.errors import ConfigError
from gnnlab.graph import colour_refinement


@pytest.mark.parametrize(
    ("variant", "sizes"),
    [
        ("paper", {"train": [6, 7], "val": [8, 9], "test": [10, 11, 12]}),
        ("released", {"train": [6, 7, 8], "val": [9, 10, 11], "test": [12, 13]}),
    ],
)
def test_a_ring_or_a_triangle_and_the_rest(variant, sizes):
    raw = generate_cycles({}, card("cycles"), variant=variant)
    for part, index in raw.splits["sizes"][0].items():
        assert raw.store.sizes("node")[index].tolist() == [k for k in sizes[part] for _ in range(2)]
    for i in range(len(raw.store)):
        data = raw.store[i]
        graph = to_networkx(data, to_undirected=True)
        assert data.num_edges == 2 * data.num_nodes == 2 * graph.number_of_edges()
        assert {degree for _, degree in graph.degree} == {2}
        rings = sorted(len(part) for part in nx.connected_components(graph))
        assert rings == ([data.num_nodes] if int(data.y) == 0 else sorted([3, data.num_nodes - 3]))
        assert (data.x == 1).all()


def test_pairs_look_alike_to_message_passing():
    store = load_dataset("cycles", progress=False)
    union = store[torch.arange(len(store))]
    assert colour_refinement(union.edge_index, union.ptr).unique().numel() == 1
    assert store.column("y").bincount().tolist() == [7, 7]


def test_the_card_says_what_was_generated():
    known, store = card("cycles"), load_dataset("cycles", progress=False)
    assert not known.files
    assert store.meta["generator"] == {"name": "cycles", **known.options}
    assert {scheme: len(folds) for scheme, folds in store.folds.items()} == known.split.schemes


@pytest.mark.parametrize(
    ("options", "message"), [({"variant": "papre"}, "did you mean 'paper'"), ({"version": 2}, "version 2")]
)
def test_options_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        generate_cycles({}, card("cycles"), **options)
