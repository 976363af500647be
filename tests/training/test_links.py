"""Negatives and candidates of link tasks, against their definitions."""

from __future__ import annotations

import torch

from gnnlab.training.links import candidate_pairs, dot_product, structured_negatives

PTR = torch.tensor([0, 4, 4, 9])
PAIRS = torch.tensor([[0, 0, 5, 8], [1, 2, 6, 4]])


def _graph(nodes):
    return torch.searchsorted(PTR, nodes, right=True)


def test_negatives_keep_head_and_graph_and_avoid_positives():
    positive = torch.ones(4, dtype=torch.bool)
    drawn, usable = structured_negatives(PAIRS, positive, PTR, ratio=200)
    assert drawn.shape == (2, 800)
    assert usable.all()
    assert torch.equal(drawn[0], PAIRS[0].repeat_interleave(200))
    assert torch.equal(_graph(drawn[0]), _graph(drawn[1]))
    known = set(map(tuple, PAIRS.t().tolist()))
    pairs = set(map(tuple, drawn.t().tolist()))
    assert not pairs & known
    # Everything else is drawn, the head itself included.
    assert {pair for pair in pairs if pair[0] == 0} == {(0, 0), (0, 3)}
    assert {pair for pair in pairs if pair[0] == 5} == {(5, tail) for tail in (4, 5, 7, 8)}


def test_negatives_of_non_positives_and_of_full_rows_are_marked():
    full = torch.tensor([[0, 0, 1], [0, 1, 0]])
    drawn, usable = structured_negatives(full, torch.tensor([True, True, False]), torch.tensor([0, 2]), ratio=3)
    assert drawn.shape == (2, 9)
    assert not usable.any()


def test_negatives_are_seeded():
    positive = torch.ones(4, dtype=torch.bool)
    draws = [structured_negatives(PAIRS, positive, PTR, 5, torch.Generator().manual_seed(s))[0] for s in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_no_pairs_no_negatives_no_candidates():
    none = PAIRS[:, :0]
    assert structured_negatives(none, none[0].bool(), PTR, 2)[0].shape == (2, 0)
    assert candidate_pairs(none, PTR)[0].shape == (2, 0)


def test_candidates_are_all_nodes_of_the_graph_for_every_head():
    pairs, label = candidate_pairs(PAIRS, PTR)
    expected = [(0, w) for w in range(4)] + [(h, w) for h in (5, 8) for w in range(4, 9)]
    assert list(map(tuple, pairs.t().tolist())) == expected
    assert {pair for pair, true in zip(expected, label.tolist(), strict=True) if true} == {
        (0, 1),
        (0, 2),
        (5, 6),
        (8, 4),
    }


def test_dot_product():
    a, b = torch.randn(2, 7, 3)
    torch.testing.assert_close(dot_product(a, b), (a @ b.t()).diagonal())
