"""``gnnlab bench ops`` on graphs of a moment: what it computes, checks, refuses and writes."""

from __future__ import annotations

import json

import pytest
import torch

from gnnlab.benchmark.speed import _peers, _rows, _shapes, ops
from gnnlab.benchmark.speed._operations import OPERATIONS
from gnnlab.cli.main import main
from gnnlab.ops import _dispatch, _torch, use_backend

NODES, EDGES = 30, 120


def made(generator: torch.Generator, generated: bool) -> tuple[torch.Tensor, int, str]:
    return torch.randint(NODES - 3, (2, EDGES), generator=generator), NODES, "tiny"


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """``bench ops`` on a tiny graph called zinc, each turn as short as the clock allows; returns code and file."""
    monkeypatch.setitem(_shapes.SHAPES, "zinc", made)
    monkeypatch.setitem(_shapes.SIZES, "zinc", (NODES, EDGES))
    monkeypatch.setitem(_rows._LEAST, "cpu", 0.0)
    monkeypatch.setattr(_rows, "copying", lambda device: (lambda: None, 1000))

    def run(*arguments: str) -> tuple[int, dict]:
        path = tmp_path / "deep" / "ops.json"
        code = main(["bench", "ops", "--shape", "zinc", "--rounds", "1", "--output", str(path), *arguments])
        return code, json.loads(path.read_text())

    return run


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_every_operation_is_measured(tiny, direction, capsys):
    code, content = tiny("--pass", direction, "--width", "8", "--dtype", "float32", "bfloat16", "--peer", "pyg")
    assert code == 0
    assert {"command", "date", "commit", "hardware", "versions", "seed", "tolerance", "notes"} <= set(content)
    assert content["hardware"]["threads"] == torch.get_num_threads()
    assert [(row["op"], row["dtype"]) for row in content["rows"]] == [
        (op, dtype) for op in OPERATIONS for dtype in ("float32", "bfloat16")
    ]
    for row in content["rows"]:
        assert row["ours"]["verdict"] == "ok"
        assert row["ours"]["seconds"] > 0
        assert row["floor_fraction"] > 0
        assert (row["nodes"], row["edges"], row["direction"]) == (NODES, EDGES, direction)
        assert row["others"]["pyg"]["verdict"] == "ok"
        assert row["others"]["pyg"]["ratio"] > 0
    out = capsys.readouterr().out
    assert "gine-table" in out
    assert f"zinc: tiny, {NODES} nodes, {EDGES} edges" in out


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        (lambda x: 1.01 * x, "wrong"),
        (lambda x: x + (x - x.detach()), "wrong"),
        (lambda x: x * torch.nan, "wrong"),
        (lambda x: x[1:], "failed"),
        (lambda x: x.no_such_thing, "failed"),
    ],
    ids=["value", "gradient", "not a number", "shape", "error"],
)
def test_a_wrong_peer_is_named_and_not_timed(tiny, monkeypatch, capsys, call, verdict):
    def prepare(name, shape, inputs):
        right = _peers._pyg(name, shape, inputs)
        return lambda i: tuple(map(call, right(i)))

    monkeypatch.setitem(_peers.PEERS, "pyg", prepare)
    code, content = tiny("--op", "sum", "--width", "4", "--peer", "pyg")
    assert code == 0
    outcome = content["rows"][0]["others"]["pyg"]
    assert outcome["verdict"] == verdict
    assert outcome["seconds"] is None
    assert f"zinc sum 4 float32: pyg {verdict}: " in capsys.readouterr().out


def test_a_wrong_kernel_of_ours_is_a_failure(tiny, monkeypatch, capsys):
    monkeypatch.setattr(_torch, "spmm", lambda x, weight, mean, layout: torch.zeros_like(x))
    _dispatch._find.cache_clear()
    with use_backend("torch"):
        code, content = tiny("--op", "sum", "--width", "4", "--peer", "pyg")
    _dispatch._find.cache_clear()
    assert code == 1
    assert content["rows"][0]["ours"]["verdict"] == "wrong"
    assert content["rows"][0]["floor_fraction"] is None
    assert content["rows"][0]["others"]["pyg"]["seconds"] > 0
    assert "gnnlab wrong: off by" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--op", "summ"), "did you mean 'sum'"),
        (("--shape", "zink"), "did you mean 'zinc'"),
        (("--peer", "pygg"), "did you mean 'pyg'"),
        (("--dtype", "bfloat"), "did you mean 'bfloat16'"),
        (("--pass", "backward"), "forward"),
        (("--device", "cudda"), "did you mean 'cuda'"),
        (("--rounds", "0"), "not a whole number from 1"),
        (("--width", "wide"), "not a whole number from 1"),
        (("--sheds", "1"), "did you mean '--seed'"),
    ],
)
def test_options_that_cannot_be(arguments, expected, capsys):
    assert main(["bench", "ops", *arguments]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device(capsys):
    assert main(["bench", "ops", "--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_what_does_not_fit_is_refused_with_the_estimate(tiny, monkeypatch):
    monkeypatch.setattr(ops, "free_memory", lambda device: 2**30)
    code, content = tiny("--op", "sum", "--shape", "products-like")
    assert code == 0
    assert content["rows"] == []
    assert content["notes"][-1] == "products-like: the graph takes about 3.7 GiB, 1.0 GiB are free"
    monkeypatch.setattr(_rows, "free_memory", lambda device: 1000)
    code, content = tiny("--op", "sum")
    assert content["rows"] == []
    assert "a smaller --width" in content["notes"][-1]


def test_a_peer_whose_messages_do_not_fit_is_skipped(tiny, monkeypatch):
    answers = iter([2**40, 0])
    monkeypatch.setattr(_rows, "free_memory", lambda device: next(answers))
    _, content = tiny("--op", "gine", "--peer", "pyg")
    assert content["rows"][0]["ours"]["verdict"] == "ok"
    assert content["rows"][0]["others"]["pyg"]["verdict"] == "skipped"


def test_a_package_that_is_not_here_is_named_once(tiny, monkeypatch):
    monkeypatch.setattr(_peers, "find_spec", lambda name: None)
    _, content = tiny("--op", "sum", "mean", "--peer", "torch-scatter")
    assert content["notes"].count("torch-scatter: not installed") == 1
    assert [row["others"] for row in content["rows"]] == [{}, {}]


def test_single_backends(tiny):
    _, content = tiny("--op", "sum", "--peer", "--backends")
    assert content["rows"][0]["others"]["gnnlab:torch"]["verdict"] == "ok"
