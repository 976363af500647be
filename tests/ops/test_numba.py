"""The compiled kernels against the float64 formulas, and what a library of threads must survive."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

import numba

from gnnlab.ops import _numba, _reference
from gnnlab.ops._layout import Layout, layout_of
from gnnlab.ops._numba import _jit, _threads
from gnnlab.ops._numba._jit import compiled
from gnnlab.ops._numba._math import exp, sigmoid
from gnnlab.ops._scoring import Scoring
from gnnlab.ops.csr import CSR

NODES, EDGES, TYPES = 60, 400, 5


@pytest.fixture(autouse=True)
def _same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def random_layout(num_nodes: int = NODES, num_edges: int = EDGES, sort: bool = False, hub: int = 0) -> Layout:
    """Duplicates, self-loops, empty rows on both sides, and ``hub`` edges more into node 1."""
    edge_index = torch.randint(num_nodes, (2, num_edges))
    edge_index[0] -= (edge_index[0] % 4 == 3).long()
    edge_index[1] -= (edge_index[1] % 3 == 2).long()
    edge_index[:, :5] = edge_index[:, 5:10]
    edge_index[1, 10:20] = edge_index[0, 10:20]
    edge_index[1, 20 : 20 + hub] = 1
    if sort:
        edge_index = edge_index[:, edge_index[1].sort(stable=True)[1]]
    layout = layout_of(CSR.from_edge_index(edge_index, num_nodes))
    return layout._replace(eid=None) if sort else layout


def calls(layout: Layout, width: int, heads: int, dtype: torch.dtype) -> list[tuple]:
    """(kernel, arguments) of every kernel there is, in every form."""

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=dtype)

    n, e = layout.num_rows, layout.num_edges
    x, edge, table, kind = random(n, width), random(e, width), random(TYPES, width), torch.randint(TYPES, (e,)).int()
    grad, value, nodes, edges = random(n, width), random(n, heads, width), (n, heads), (e, heads)
    found = []
    for features, types in ((edge, None), (table, kind)):
        found += [("gine", (x, features, types, layout)), ("gine_backward", (grad, x, features, types, layout))]
    found += [("gated", (x, edge, layout)), ("gated_backward", (grad, random(n, width), x, edge, layout))]
    for features in (edge, None):
        gcn = x, random(n, width), random(n, width), features, layout
        kept = _reference.gated_gcn(*gcn)
        found += [("gated_gcn", gcn), ("gated_gcn_backward", (grad, random(e, width), x, *kept, layout))]
    ties = x.round()
    for largest in (True, False):
        _, winner = _reference.extremum(ties, largest, layout)
        found += [("extremum", (ties, largest, layout)), ("spread", (grad, winner, layout))]
    found += [("softmax", (random(*edges), layout))]
    found += [("softmax_backward", (_reference.softmax(random(*edges), layout), random(*edges), layout))]
    for mean in (False, True):
        found += [("spmm", (value, None, mean, layout)), ("spmm", (value, random(*edges), mean, layout))]
    scale, shift = random(x.size(1)), random(x.size(1))
    for relu in (True, False):
        _, *moments = _reference.batch_norm(x, scale, shift, 1e-2, relu)
        found += [("batch_norm", (x, scale, shift, 1e-2, relu))]
        found += [("batch_norm_backward", (grad, x, scale, shift, *moments, 1e-2, relu))]
    found += [("dropout", (x.flatten(), torch.tensor([3, -5], dtype=torch.int32), 0.3, grad.flatten()))]
    found += [("sddmm", (random(n, heads, width), value, layout))]
    scores = random(*nodes), random(*nodes), random(*edges), random(*edges)
    for parts, slope, skip in (
        ((*scores[:2], None, None), 0.2, False),
        ((None, None, *scores[2:]), 1.0, True),
        (scores, 0.2, True),
        ((None,) * 4, 1.0, False),
    ):
        forward = value, Scoring(*parts, slope, skip), layout
        kept = _reference.attention(*forward)
        backward = random(n, heads, width), random(*nodes), *forward[:-1], *kept, layout
        found += [("attention", forward), ("attention_backward", backward)]
    return found


def outputs(kernel: str, arguments: tuple, backend=_numba) -> tuple[Tensor, ...]:
    out = getattr(backend, kernel)(*arguments)
    return out if isinstance(out, tuple) else (out,)


def check(kernel: str, arguments: tuple, tolerance: float) -> None:
    for got, wanted in zip(outputs(kernel, arguments), outputs(kernel, arguments, _reference), strict=True):
        # The size of the terms of a sum, not of a sum that cancels, sets its rounding.
        torch.testing.assert_close(
            got, wanted, rtol=tolerance, atol=tolerance * max(1.0, float(wanted.abs().max())), equal_nan=True
        )


def same_bits(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("sort", [False, True], ids=["shuffled", "sorted"])
@pytest.mark.parametrize(("width", "heads"), [(1, 1), (7, 3), (128, 1), (16, 8), (235, 2)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-12)], ids=str)
def test_formulas(dtype, tolerance, width, heads, sort):
    for kernel, arguments in calls(random_layout(sort=sort), width, heads, dtype):
        check(kernel, arguments, tolerance)


def test_every_kernel_is_checked():
    assert {kernel for kernel, _ in calls(random_layout(), 1, 1, torch.float64)} == set(_numba._KERNELS)


def test_hub():
    layout = random_layout(500, 120_000, hub=100_000)
    for kernel, arguments in calls(layout, 3, 1, torch.float64):
        check(kernel, arguments, 1e-9)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_repeats_change_no_bit(threads, monkeypatch):
    monkeypatch.setattr(_threads, "_GRAIN", 64)  # small inputs are shared out, too
    layout = random_layout(hub=100)
    torch.manual_seed(1)
    found = calls(layout, 19, 3, torch.float32)
    torch.set_num_threads(1)
    first = [outputs(*call) for call in found]
    torch.set_num_threads(threads)
    for _ in range(3):
        assert all(same_bits(before, outputs(*call)) for before, call in zip(first, found, strict=True))


def test_strided_inputs():
    layout = random_layout()
    wide, edge = torch.randn(NODES, 22, dtype=torch.float64), torch.randn(11, EDGES, dtype=torch.float64).t()
    x, grad = wide[:, ::2], torch.ones((), dtype=torch.float64).expand(NODES, 11)
    check("gine", (x, edge, None, layout), 1e-12)
    check("gine_backward", (grad, x, edge, None, layout), 1e-12)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_extremes_of_nan_and_infinities(dtype, largest):
    x = torch.randint(-2, 3, (NODES, 37)).to(dtype)
    x[7, ::3], x[11:30], x[30:50] = torch.nan, torch.inf, -torch.inf
    layout = random_layout()
    arguments = x, largest, layout
    for got, wanted in zip(outputs("extremum", arguments), outputs("extremum", arguments, _reference), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True)


def test_nan_and_infinities_pass_through():
    layout = random_layout()
    x, edge = torch.randn(NODES, 9), torch.randn(EDGES, 9)
    x[3], x[6, ::2], edge[5], edge[17] = torch.nan, torch.inf, -torch.inf, torch.nan
    check("gine", (x, edge, None, layout), 2e-5)
    check("gated", (x, edge, layout), 2e-5)
    backward = torch.randint(-9, 9, x.shape).float(), x, edge, None, layout  # sums without rounding
    assert same_bits(outputs("gine_backward", backward), outputs("gine_backward", backward, _reference))


def test_masked_scores():
    layout = random_layout()
    scores = torch.randn(EDGES, 2)
    scores[::3] = -torch.inf
    scores[layout.target < 20] = -torch.inf  # whole rows
    check("softmax", (scores, layout), 2e-5)
    x, large = torch.randn(NODES, 2, 5), scores * 50
    for parts in ((None, None, scores, None), (None, None, large, torch.randn(EDGES, 2))):
        forward = x, Scoring(*parts, 1.0, False), layout
        check("attention", forward, 2e-5)
        kept = _reference.attention(*forward)
        check("attention_backward", (torch.randn_like(x), torch.randn(NODES, 2), *forward[:-1], *kept, layout), 1e-4)
    scores[40] = torch.nan
    check("softmax", (scores, layout), 2e-5)


@compiled
def _powers(x, powers, gates):
    for i in range(x.shape[0]):
        powers[i] = exp(x[i])
        gates[i] = sigmoid(x[i])


def test_exponential_is_accurate_to_two_units_in_the_last_place():
    special = [0.0, -0.0, 88.72, 88.73, -87.4, -103.0, -104.0, np.inf, -np.inf, np.nan]
    x = np.concatenate([np.linspace(-110, 95, 400_001), special]).astype(np.float32)
    powers, gates = np.empty_like(x), np.empty_like(x)
    _powers(x, powers, gates)
    with np.errstate(over="ignore"):
        exact = np.exp(x.astype(np.float64))
        rounded = exact.astype(np.float32)
    finite = np.isfinite(rounded)
    unit = np.spacing(np.maximum(rounded[finite], np.finfo(np.float32).tiny))
    assert (np.abs(powers[finite] - exact[finite]) <= 2 * unit).all()
    assert (np.isinf(powers) == np.isinf(rounded)).all()
    assert (np.isnan(powers) == np.isnan(x)).all()
    assert powers[-2] == 0
    wanted = 1 / (1 + np.exp(-x[finite].astype(np.float64)))
    np.testing.assert_allclose(gates[finite], wanted, rtol=4e-7, atol=1e-38)


def test_concurrent_callers(monkeypatch):
    monkeypatch.setattr(_threads, "_GRAIN", 64)
    torch.set_num_threads(3)
    found = calls(random_layout(), 33, 2, torch.float32)
    first = [outputs(*call) for call in found]

    def repeat(_: int) -> bool:
        return all(same_bits(before, outputs(*call)) for before, call in zip(first, found, strict=True))

    with ThreadPoolExecutor(4) as callers:
        assert all(callers.map(repeat, range(12)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child(monkeypatch):
    """A worker of a data loader starts as a copy of a process whose helpers it does not have."""
    monkeypatch.setattr(_threads, "_GRAIN", 64)
    torch.set_num_threads(2)
    layout, x = random_layout(), torch.randn(NODES, 40)
    arguments = x, torch.randn(EDGES, 40), None, layout
    before = outputs("gine", arguments)
    child = os.fork()
    if child == 0:
        same = all(same_bits(before, outputs("gine", arguments)) for _ in range(20))
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert same_bits(before, outputs("gine", arguments))


def test_helpers_do_the_work_a_busy_caller_leaves(monkeypatch):
    """With one chunk in a helper's hands the caller waits for it, and finds the whole result."""
    monkeypatch.setattr(_threads, "_GRAIN", 1)
    monkeypatch.setattr(_threads, "_SPINS", 1)
    torch.set_num_threads(4)
    layout, x = random_layout(3000, 30_000), torch.randn(3000, 64)
    edge = torch.randn(30_000, 64)
    wanted = _reference.gine(x, edge, None, layout)
    for _ in range(30):
        torch.testing.assert_close(_numba.gine(x, edge, None, layout), wanted, rtol=1e-4, atol=1e-4)


def test_unavailable_says_why(monkeypatch):
    assert _numba.unavailable("cpu") is None
    assert "CPU only" in _numba.unavailable("cuda")
    monkeypatch.setattr(_numba, "find_spec", lambda name: None)
    assert "pip install 'gnnlab[cpu]'" in _numba.unavailable("cpu")


def test_importing_the_package_does_not_import_numba():
    code = "import sys, gnnlab.ops._numba as backend; backend.unavailable('cpu'); print('numba' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_unknown_kernel_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'gin'"):
        _numba.gin


def _twice(x):
    return 2 * x


def test_kept_machine_code_is_used_until_any_part_of_the_package_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    for stamp, hits in (((1.0, 1), 0), ((1.0, 1), 1), ((2.0, 1), 0)):
        monkeypatch.setattr(_jit, "_STAMP", stamp)
        kernel = compiled(_twice)
        assert kernel(2) == 4
        assert sum(kernel.stats.cache_hits.values()) == hits


def test_without_a_place_for_machine_code(monkeypatch):
    """A package and a home that cannot be written cost the cache, not the kernels."""

    def refuse(function, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(function, **options)

    monkeypatch.setattr(_jit, "njit", lambda **options: lambda function: refuse(function, **options))
    assert compiled(_twice)(2) == 4
