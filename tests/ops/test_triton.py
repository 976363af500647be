"""Triton's kernels against the float64 reference: on the GPU where there is one, and everywhere interpreted.

Triton decides when it is imported whether it interprets, and other packages import it. The interpreter therefore
lives in a process of its own, to which this file, run as a script, is the server; so does the compiler that
checks every launch for a GPU nobody needs to have. No other test of this process sees either.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from gnnlab.ops import CSR, _reference, _triton
from gnnlab.ops._layout import Layout, layout_of
from gnnlab.ops._scoring import Scoring

_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


class Case(NamedTuple):
    dtype: torch.dtype
    heads: int
    channels: int
    chunk: int  # edges in a piece of a long row; 0: rows are never split


CASES = {
    "whole rows": Case(torch.float32, 3, 4, 0),
    "split rows": Case(torch.float32, 2, 5, 8),
    "one column": Case(torch.float64, 1, 1, 4),
    "two blocks of columns": Case(torch.float32, 1, 19, 8),
    "float16": Case(torch.float16, 1, 32, 8),
    "bfloat16": Case(torch.bfloat16, 2, 3, 0),
}


def hub(case: Case) -> tuple[Layout, int]:
    """Empty rows at both ends, a row of 30 edges, a column of 15, self-loops, duplicates; edges in the order of their
    targets, as from a store, if no row is split, and in no order otherwise."""
    edge_index = torch.randint(3, 12, (2, 60))
    edge_index[1, :30] = 5
    edge_index[0, 30:45] = 7
    edge_index[0, 45:50] = edge_index[1, 45:50]
    edge_index[:, 50:] = edge_index[:, 35:45]
    if case.chunk:
        return layout_of(CSR.from_edge_index(edge_index[:, torch.randperm(60)], 14)), 14
    ordered = edge_index[:, edge_index[1].sort(stable=True).indices]
    return layout_of(CSR.from_edge_index(ordered, 14))._replace(eid=None), 14


def calls(layout: Layout, n: int, case: Case) -> dict[str, tuple[str, tuple]]:
    """Every kernel with every combination of options worth a test: label to name and arguments."""
    e, (dtype, heads, channels, _) = layout.num_edges, case

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64).to(dtype)

    x, above, weight = draw(n, heads, channels), draw(n, heads, channels), draw(e, heads)
    wide, edge, grad = x.flatten(1), draw(e, heads * channels), draw(n, heads * channels)
    table, kind = draw(5, heads * channels), torch.randint(5, (e,), dtype=torch.int32)
    large, many = draw(70, heads * channels), torch.randint(70, (e,), dtype=torch.int32)
    source, target, scores = draw(n, heads), draw(n, heads), draw(e, heads)
    scores[::3] = -torch.inf
    few = torch.randint(-2, 3, wide.shape).to(dtype)  # many ties
    few[n // 3], few[n // 2, ::2], few[-1] = -torch.inf, torch.nan, torch.inf
    _, winners = _reference.extremum(few, True, layout)
    out, pre, den = _reference.gated_gcn(wide, grad, few.nan_to_num(0, 1, -1), edge, layout)
    p = _reference.softmax(scores, layout)
    full = Scoring(source, target, scores, weight, 0.2, True)
    bare = Scoring(None, None, weight, None, 1.0, False)
    found = {
        "spmm": ("spmm", (x, None, False, layout)),
        "spmm mean": ("spmm", (x, None, True, layout)),
        "spmm weighted": ("spmm", (x, weight, False, layout)),
        "spmm weighted mean": ("spmm", (x, weight, True, layout.t)),
        "spmm of edges": ("spmm", (weight.unsqueeze(1), None, False, layout.edges)),
        "sddmm": ("sddmm", (x, above, layout)),
        "dropout": ("dropout", (wide.flatten(), torch.tensor([3, 2**32 - 5]), 0.3, None)),
        "dropout and residual": ("dropout", (wide.flatten(), torch.tensor([3, -5]), 0.3, grad.flatten())),
        "extremum max": ("extremum", (few, True, layout)),
        "extremum min": ("extremum", (few, False, layout)),
        "spread": ("spread", (grad, winners, layout)),
        "gine": ("gine", (wide, edge, None, layout)),
        "gine of types": ("gine", (wide, table, kind, layout)),
        "gine_backward": ("gine_backward", (grad, wide, edge, None, layout)),
        "gine_backward of types": ("gine_backward", (grad, wide, table, kind, layout)),
        "gine_backward of many types": ("gine_backward", (grad, wide, large, many, layout)),
        "gated": ("gated", (wide, edge, layout)),
        "gated_backward": ("gated_backward", (grad, wide, wide.flip(0), edge, layout)),
        "gated_gcn": ("gated_gcn", (wide, grad, wide.flip(0), edge, layout)),
        "gated_gcn without edges": ("gated_gcn", (wide, grad, wide.flip(0), None, layout)),
        "gated_gcn_backward": ("gated_gcn_backward", (grad, edge, wide, out, pre, den, layout)),
        "softmax": ("softmax", (scores, layout)),
        "softmax_backward": ("softmax_backward", (p, weight, layout)),
    }
    for label, scoring in {"": full, " of edge scores": bare}.items():
        out, lse = _reference.attention(x, scoring, layout)
        found["attention" + label] = ("attention", (x, scoring, layout))
        found["attention_backward" + label] = (
            "attention_backward",
            (above, torch.randn_like(lse), x, scoring, out, lse, layout),
        )
    return found


LABELS = list(calls(*hub(CASES["one column"]), CASES["one column"]))


def several(out: Any) -> tuple[Tensor, ...]:
    return out if isinstance(out, tuple) else (out,)


def close(ours: tuple[Tensor, ...], wanted: tuple[Tensor, ...], dtype: torch.dtype) -> None:
    assert len(ours) == len(wanted)
    for left, right in zip(ours, wanted, strict=True):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.is_contiguous()
        finite = right[right.isfinite()].double()
        atol = _TOLERANCE[dtype] * max(1.0, float(finite.abs().max())) if finite.numel() else 0
        torch.testing.assert_close(left.cpu().double(), right.double(), rtol=0, atol=atol, equal_nan=True)


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Callable]:
    """Calls a kernel in the process that interprets: ``interpreter(name, args, chunk)``."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__, "interpret"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:

        def call(name: str, args: tuple, chunk: int = 0) -> tuple[Tensor, ...]:
            pickle.dump((name, args, chunk), process.stdin)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
            if isinstance(answer, str):
                pytest.fail(answer)
            return answer

        try:
            if obstacle := pickle.load(process.stdout):
                pytest.skip(f"Triton's interpreter does not run here: {obstacle}")
            yield call
        finally:
            process.stdin.close()


@needs_triton
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("label", LABELS)
def test_interpreted_kernels(interpreter, label, case):
    name, args = calls(*hub(case), case)[label]
    close(interpreter(name, args, case.chunk), several(getattr(_reference, name)(*args)), case.dtype)


@needs_triton
@pytest.mark.parametrize("label", LABELS)
def test_layout_in_memory_does_not_matter(interpreter, label):
    case = CASES["whole rows"]
    name, args = calls(*hub(case), case)[label]
    spread_out = [scattered(arg) for arg in args]
    close(interpreter(name, tuple(spread_out)), several(getattr(_reference, name)(*args)), case.dtype)


@needs_triton
def test_degenerate_graphs(interpreter, graph):
    edge_index, n = graph
    if edge_index.numel() == 0:
        pytest.skip("kernels are called with edges only")
    layout = layout_of(CSR.from_edge_index(edge_index, n))
    one_each = dict(calls(layout, n, Case(torch.float64, 1, 3, 2)).values())
    for name, args in one_each.items():
        close(interpreter(name, args, 2), several(getattr(_reference, name)(*args)), torch.float64)


@needs_triton
@pytest.mark.slow
def test_every_launch_compiles_for_a_gpu_without_spilling_registers():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, __file__, "compile"]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    found = pickle.loads(done.stdout)
    if isinstance(found, str):
        pytest.skip(found)
    assert {name for name, *_ in found} >= {"_spmm", "_attention", "_gine_backward_table", "_fold", "_to_sources"}
    spilled = [(name, *rest, stack) for (name, *rest), stack in found.items() if stack > 64]
    assert not spilled


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("label", LABELS)
def test_compiled_kernels(monkeypatch, label, case):
    shrink(monkeypatch.setattr, case.chunk)
    name, args = calls(*hub(case), case)[label]
    on_gpu = tuple(moved(arg) for arg in args)
    first, again = (several(getattr(_triton, name)(*on_gpu)) for _ in range(2))
    close(first, several(getattr(_reference, name)(*args)), case.dtype)
    assert all(torch.equal(left.nan_to_num(7), right.nan_to_num(7)) for left, right in zip(first, again, strict=True))


def test_no_import_until_a_kernel_is_asked_for():
    code = (
        "import sys, gnnlab.ops._triton as backend; backend.unavailable('cuda'); assert 'triton' not in sys.modules; "
        "assert not hasattr(backend, 'no_kernel'); assert 'triton' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_says_why_it_is_unavailable(monkeypatch):
    assert "CUDA" in _triton.unavailable("mps")
    if importlib.util.find_spec("triton") is not None:
        monkeypatch.delenv("TRITON_INTERPRET", raising=False)
        assert "TRITON_INTERPRET" in _triton.unavailable("cpu")
    monkeypatch.setattr(_triton, "find_spec", lambda name: None)
    assert all("not installed" in _triton.unavailable(device) for device in ("cpu", "cuda"))


def scattered(arg: Any) -> Any:
    """The same values, with a gap behind each of them."""
    if isinstance(arg, Scoring):
        return Scoring(*map(scattered, arg))
    floating = isinstance(arg, Tensor) and arg.is_floating_point()
    return torch.stack([arg, arg + 1], dim=-1)[..., 0] if floating else arg


def moved(arg: Any) -> Any:
    if isinstance(arg, (Layout, Scoring)):
        return type(arg)(*map(moved, arg))
    return arg.cuda() if isinstance(arg, Tensor) else arg


def shrink(setattr: Callable, chunk: int, widest: int = 16) -> None:
    """Small sizes take the ways of large ones: rows in pieces, columns in blocks."""
    from gnnlab.ops._triton import _tile

    setattr(_tile, "WIDEST", widest)
    setattr(_tile, "CHUNK", chunk or 256)
    setattr(_tile, "SPLIT_FROM", 0 if chunk else 2**31)


def interpret() -> None:
    """Answer calls until the other end closes: a tuple of tensors, or what went wrong."""
    answers, sys.stdout = os.fdopen(os.dup(1), "wb"), sys.stderr
    assert _triton.unavailable("cpu") is None
    pickle.dump(obstacle(), answers)
    answers.flush()
    while True:
        try:
            name, args, chunk = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        shrink(setattr, chunk)
        try:
            answer = several(getattr(_triton, name)(*args))
        except Exception as error:
            answer = repr(error)
        pickle.dump(answer, answers)
        answers.flush()


def obstacle() -> str | None:
    """What keeps this Triton from interpreting a loop: some versions do not know the NumPy beside them."""

    @triton.jit
    def loop(out):
        for step in range(0, tl.max(tl.arange(0, 2), 0)):
            tl.store(out + step, 1.0)

    try:
        loop[(1,)](torch.zeros(1))
    except Exception as error:
        return repr(error)
    return None


def compile_launches() -> dict | str:
    """{(kernel, dtype, width, lanes, ...): bytes of stack} of all that is launched, for sm_90; or why there is none."""
    if not (_TOOLS / "ptxas").exists():
        return "this Triton brings no assembler for NVIDIA GPUs"
    if "constexprs" not in signature(ASTSource).parameters:
        return "this Triton is too old to compile a kernel that is not launched"
    found: dict[tuple, int] = {}
    for label in LABELS:
        getattr(_triton, label.split()[0])  # imports its module
    for module in [module for name, module in sys.modules.items() if name.startswith("gnnlab.ops._triton.")]:
        if hasattr(module, "launch"):
            module.launch = partial(compiled_launch, found)
    for case in (Case(torch.float32, 1, 128, 0), Case(torch.bfloat16, 1, 235, 64)):
        shrink(setattr, case.chunk, widest=256)
        for name, args in calls(*hub(case), case).values():
            getattr(_triton, name)(*args)
    return found


def compiled_launch(found: dict, kernel: Any, grid: tuple, like: Tensor, *args: Any, **meta: Any) -> None:
    """In place of a launch: compile what it would run."""
    warps = meta.pop("num_warps")
    values = dict(zip(kernel.arg_names, args)) | meta
    pointers = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int32: "*i32", torch.int64: "*i64"}
    types, constants, attributes = {}, {}, {}
    for place, name in enumerate(kernel.arg_names):
        value = values[name]
        if value is None or name in meta or (value == 1 if isinstance(value, int) else False):
            types[name], constants[(place,)] = "constexpr", value
            continue
        types[name] = pointers[value.dtype] if isinstance(value, Tensor) else type_of(value)
        if isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0):
            attributes[(place,)] = [["tt.divisibility", 16]]
    key = (kernel.__name__, str(like.dtype), like.size(-1), meta.get("LANES"), tuple(sorted(map(str, constants))))
    if key not in found:
        source = ASTSource(kernel, types, constexprs=constants, attrs=attributes)
        binary = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps}).asm["cubin"]
        found[key] = stack_of(binary)


def type_of(number: float) -> str:
    return "fp32" if isinstance(number, float) else "i32" if number < 2**31 else "i64"


def stack_of(binary: bytes) -> int:
    """Bytes of stack a kernel uses: what did not fit its registers. 0 if the tool that tells is missing."""
    tool = _TOOLS / "cuobjdump"
    if not tool.exists():
        return 0
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        usage = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True).stdout
    return int(re.search(r"STACK:(\d+)", usage)[1])


if __name__ == "__main__":
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    _TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
    interpret() if sys.argv[1] == "interpret" else sys.stdout.buffer.write(pickle.dumps(compile_launches()))
