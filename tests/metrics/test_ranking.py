"""MRR in three versions and Hits@k: by hand, by brute force over graphs, against OGB's evaluator."""

from __future__ import annotations

import math

import pytest
import torch

from gnnlab.errors import ConfigError, GraphError
from gnnlab.metrics import MRR, HitsAt

BY_HAND = {"raw": (1 / 3 + 1 / 2) / 2, "filtered": 0.5, "filtered_self": 1.0}


@pytest.mark.parametrize("mode", BY_HAND)
def test_by_hand(mode):
    metric = MRR(mode)
    pairs = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 3]])
    metric.update(torch.tensor([5.0, 3, 4, 2]), pairs, torch.tensor([0, 1, 1, 0]), torch.zeros(4).long())
    assert metric.compute().item() == pytest.approx(BY_HAND[mode])


@pytest.mark.parametrize(("mode", "rank"), [("raw", 2.5), ("filtered", 2.0), ("filtered_self", 1.5)])
def test_ties_are_the_mean_of_optimist_and_pessimist(mode, rank):
    metric = MRR(mode)
    pairs = torch.tensor([[0, 0, 0, 0], [0, 1, 2, 3]])
    metric.update(torch.zeros(4), pairs, torch.tensor([0, 1, 1, 0]), torch.zeros(4).long())
    assert metric.compute().item() == pytest.approx(1 / rank)


def _graphs(seed, count=6):
    """Ragged graphs, one without positives; rows (graph, head, tail, score, label) of all candidates."""
    generator = torch.Generator().manual_seed(seed)
    rows, batch, offset = [], [], 0
    for graph in range(count):
        size = int(torch.randint(2, 7, (1,), generator=generator))
        score = torch.randint(0, 4, (size, size), generator=generator).float()
        label = (torch.rand(size, size, generator=generator) < 0.3).long() * (graph != 2)
        label.fill_diagonal_(0)
        rows += [
            (graph, offset + u, offset + w, score[u, w].item(), label[u, w].item())
            for u in range(size)
            if label[u].any()
            for w in range(size)
        ]
        batch += [graph] * size
        offset += size
    return rows, torch.tensor(batch)


def _brute_force(rows, mode, averaging, num_graphs):
    per_graph = {}
    for graph, head, tail, score, label in rows:
        if not label:
            continue
        rank = 1.0
        for _, other_head, other, value, positive in rows:
            if other_head != head or other == tail:
                continue
            if (mode != "raw" and positive) or (mode == "filtered_self" and other == head):
                continue
            rank += 1.0 if value > score else 0.5 if value == score else 0.0
        per_graph.setdefault(graph, []).append(1 / rank)
    means = [sum(values) / len(values) for values in per_graph.values()]
    return sum(means) / (len(means) if averaging == "graph" else num_graphs)


def _update(metric, rows, batch, num_graphs):
    _, head, tail, score, label = zip(*rows, strict=True)
    metric.update(torch.tensor(score), torch.tensor([head, tail]), torch.tensor(label), batch, num_graphs)


@pytest.mark.parametrize("averaging", ["graph", "batch"])
@pytest.mark.parametrize("mode", BY_HAND)
@pytest.mark.parametrize("seed", range(3))
def test_ragged_batches_equal_brute_force(mode, averaging, seed):
    rows, batch = _graphs(seed)
    expected = _brute_force(rows, mode, averaging, num_graphs=6)
    metric = MRR(mode, averaging)
    shuffled = [rows[i] for i in torch.randperm(len(rows))]
    _update(metric, shuffled, batch, 6)
    assert metric.compute().item() == pytest.approx(expected, abs=1e-12)


def test_graph_averaging_does_not_depend_on_the_batches():
    rows, batch = _graphs(seed=5)
    whole, parts = MRR("raw"), MRR("raw")
    _update(whole, rows, batch, 6)
    for graph in range(6):
        mine = [row for row in rows if row[0] == graph]
        if mine:
            _update(parts, mine, batch, 6)
    assert parts.compute().item() == pytest.approx(whole.compute().item(), abs=1e-12)


def test_one_positive_among_its_negatives_equals_ogb():
    from ogb.linkproppred import Evaluator

    scores = torch.randint(0, 5, (20, 9)).float()
    evaluator = Evaluator("ogbl-citation2")
    expected = evaluator.eval({"y_pred_pos": scores[:, 0], "y_pred_neg": scores[:, 1:]})["mrr_list"].mean()
    heads = torch.arange(20).repeat_interleave(9)
    tails = 20 + torch.arange(9).repeat(20)
    label = (tails == 20).long()
    metric = MRR("filtered")
    metric.update(scores.flatten(), torch.stack([heads, tails]), label, torch.arange(29), num_graphs=29)
    assert metric.compute().item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_nan_score_never_wins_and_no_positive_is_nan():
    metric = MRR("raw")
    pairs, batch = torch.tensor([[0, 0, 0], [0, 1, 2]]), torch.zeros(3).long()
    metric.update(torch.full((3,), torch.nan), pairs, torch.tensor([0, 1, 0]), batch)
    assert metric.compute().item() == pytest.approx(1 / 3)
    metric.reset()
    metric.update(torch.zeros(0), torch.zeros(2, 0).long(), torch.zeros(0), batch)
    assert math.isnan(metric.compute().item())


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match="did you mean 'filtered'"):
        MRR("filterd")
    with pytest.raises(ConfigError, match="averaging"):
        MRR(averaging="reference")
    with pytest.raises(GraphError, match="candidates"):
        MRR().update(torch.zeros(3), torch.zeros(2, 2).long(), torch.zeros(3), torch.zeros(3).long())


@pytest.mark.parametrize("negatives", [500, 60, 49])
def test_hits_equals_ogb(negatives):
    from ogb.linkproppred import Evaluator

    evaluator = Evaluator("ogbl-collab")
    positive, negative = torch.randn(100).mul(4).round(), torch.randn(negatives).mul(4).round()
    expected = evaluator.eval({"y_pred_pos": positive, "y_pred_neg": negative})["hits@50"]
    metric = HitsAt(50)
    pred = torch.cat([positive, negative])
    label = torch.cat([torch.ones(100), torch.zeros(negatives)])
    for part in torch.randperm(len(pred)).chunk(4):
        metric.update(pred[part], label[part])
    assert metric.compute().item() == pytest.approx(expected)


def test_hits_needs_a_positive_rank():
    with pytest.raises(ConfigError, match="at least 1"):
        HitsAt(0)
