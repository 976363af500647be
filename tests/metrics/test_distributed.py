"""Metrics of two processes with unequal shares are the metric of the whole, computed once."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from gnnlab.metrics import build_metric


def _rows():
    generator = torch.Generator().manual_seed(0)
    pred = torch.randn(11, 3, generator=generator)
    return pred, (torch.rand(11, 3, generator=generator) < 0.5).float()


def _update(metric, name, part):
    pred, target = _rows()
    if name.startswith("mrr"):
        pairs = torch.stack([torch.arange(11).repeat_interleave(3), torch.arange(33) % 3])
        rows = part.repeat_interleave(3) * 3 + torch.arange(3).repeat(len(part))
        label = target.flatten()[rows]
        metric.update(pred.flatten()[rows], pairs[:, rows], label, torch.arange(11), 11)
    elif name in ("accuracy", "macro_f1"):
        metric.update(pred[part], target[part].argmax(1))
    elif name.startswith("hits"):
        metric.update(pred[part, 0], target[part, 0])
    else:
        metric.update(pred[part], target[part])


NAMES = ["ap", "rocauc", "accuracy", "macro_f1", "mae", "rmse", "mrr_filtered", "hits@1"]
PARTS = [torch.arange(7), torch.arange(7, 11)]


def _process(rank, address, results):
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    values = []
    for name in NAMES:
        metric = build_metric(name)
        _update(metric, name, PARTS[rank])
        values.append(metric.compute().item())
    results[rank] = values
    dist.destroy_process_group()


@pytest.mark.skipif("fork" not in mp.get_all_start_methods(), reason="the processes are forked")
def test_two_processes_agree_with_one(tmp_path):
    context = mp.get_context("fork")
    with context.Manager() as manager:
        results = manager.dict()
        address = f"file://{tmp_path}/rendezvous"
        processes = [context.Process(target=_process, args=(rank, address, results)) for rank in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        expected = []
        for name in NAMES:
            metric = build_metric(name)
            _update(metric, name, torch.arange(11))
            expected.append(metric.compute().item())
        assert results[0] == pytest.approx(expected)
        assert results[1] == pytest.approx(expected)
