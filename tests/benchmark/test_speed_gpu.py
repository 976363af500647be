"""``gnnlab bench gpu`` as far as it goes without a GPU: its checks run on the CPU."""

from __future__ import annotations

import time

import pytest
import torch

from gnnlab.benchmark.speed import _rows, _shapes, gpu, ops
from gnnlab.benchmark.speed._operations import OPERATIONS
from gnnlab.errors import ConfigError
from gnnlab.ops import _dispatch, _torch


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device():
    with pytest.raises(ConfigError, match="no CUDA device") as error:
        gpu.main([])
    assert error.value.exit_code == 2


def test_checking_kernels(monkeypatch):
    monkeypatch.setattr(gpu, "OPERATIONS", {name: OPERATIONS[name] for name in ("mean", "gat")})
    verdicts, notes = gpu.check_kernels("cpu", ["torch"], widths=(3,))
    assert notes == []
    assert {(each.op, each.dtype) for each in verdicts} == {(op, d) for op in ("mean", "gat") for d in ops.DTYPES}
    assert all(each.cases == 4 and each.repeatable and not each.failures for each in verdicts)
    monkeypatch.setattr(_torch, "spmm", lambda x, weight, mean, layout: torch.rand_like(x))
    _dispatch._find.cache_clear()
    verdicts, _ = gpu.check_kernels("cpu", ["torch"], widths=(3,))
    _dispatch._find.cache_clear()
    assert all(each.failures and not each.repeatable for each in verdicts if each.op == "mean")


def test_checking_kernels_stops_when_time_is_up():
    verdicts, notes = gpu.check_kernels("cpu", ["torch"], late=lambda: True, widths=(3,))
    assert verdicts == []
    assert "left out: time was up" in notes[0]


def test_a_part_is_measured_until_its_time_is_up(monkeypatch):
    edge_index = torch.randint(9, (2, 40))
    monkeypatch.setitem(_shapes.SHAPES, "zinc", lambda generator, generated: (edge_index, 9, "tiny"))
    monkeypatch.setitem(_rows._LEAST, "cpu", 0.0)
    monkeypatch.setattr(_rows, "copying", lambda device: (lambda: None, 1000))
    part = gpu.Part(1.0, ("zinc",), ("sum", "softmax"), (8,), ("float32",), ("pyg",))
    notes: list[str] = []
    rows = gpu.measure_part(part, "cpu", notes, time.monotonic() + 600, rounds=1, seed=0)
    assert [(row.op, row.width, row.ours.verdict) for row in rows] == [("sum", 8, "ok"), ("softmax", 4, "ok")]
    assert notes == []
    assert gpu.measure_part(part, "cpu", notes, time.monotonic() - 1, rounds=1, seed=0) == []
    assert notes == ["2 rows of zinc at F=(8,) were left out: time was up"]
