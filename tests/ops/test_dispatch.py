from __future__ import annotations

import pytest
import torch

from gnnlab.errors import BackendError, GnnlabError
from gnnlab.ops import _dispatch, _numba, _reference, _torch, aggregate, backend_report, use_backend

_FASTEST = "torch" if _numba.unavailable("cpu") else "numba"


@pytest.fixture(autouse=True)
def _automatic():
    with use_backend(None):
        yield


def active() -> str:
    (name,) = [status.name for status in backend_report() if "cpu" in status.active]
    return name


def test_automatic_choice():
    assert active() == _FASTEST
    assert _dispatch.kernel("spmm", torch.ones(1).half()) is _torch.spmm


@pytest.mark.skipif(_FASTEST != "numba", reason="numba is not installed")
def test_half_precision_and_missing_kernels_fall_back_to_torch():
    assert _dispatch.kernel("gine", torch.ones(1)) is _numba.gine
    assert _dispatch.kernel("gine", torch.ones(1).bfloat16()) is _torch.gine


def test_without_numba_torch_serves_everything(monkeypatch):
    monkeypatch.setattr(_numba, "unavailable", lambda device: "numba is not installed")
    _dispatch._find.cache_clear()
    assert active() == "torch"
    assert _dispatch.kernel("gine", torch.ones(1)) is _torch.gine
    _dispatch._find.cache_clear()


def test_with_block_restores_what_was_before():
    with use_backend("reference"):
        assert active() == "reference"
        with use_backend("torch"):
            assert active() == "torch"
        assert _dispatch.kernel("spmm", torch.ones(1)) is _reference.spmm
    assert active() == _FASTEST


def test_restores_after_an_error():
    with pytest.raises(KeyError), use_backend("reference"):
        raise KeyError
    assert active() == _FASTEST


def test_plain_call_stays():
    use_backend("reference")
    assert active() == "reference"


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(BackendError, match="did you mean 'reference'"):
        use_backend("referense")
    assert active() == _FASTEST


def test_environment_is_read_late_and_once(monkeypatch):
    monkeypatch.setattr(_dispatch, "_choice", None)
    monkeypatch.setenv("GNNLAB_BACKEND", "reference")
    assert active() == "reference"
    assert any("GNNLAB_BACKEND" in status.reason for status in backend_report())
    monkeypatch.setenv("GNNLAB_BACKEND", "torch")
    assert active() == "reference"


def test_environment_with_a_wrong_name(monkeypatch):
    monkeypatch.setattr(_dispatch, "_choice", None)
    monkeypatch.setenv("GNNLAB_BACKEND", "tourch")
    with pytest.raises(BackendError, match="GNNLAB_BACKEND: unknown backend 'tourch'"):
        aggregate(torch.ones(1, 1), torch.zeros(2, 1, dtype=torch.long))


def test_backend_of_another_device_is_refused(monkeypatch):
    monkeypatch.setattr(_reference, "unavailable", lambda device: "no such luck")
    _dispatch._find.cache_clear()
    with use_backend("reference"), pytest.raises(BackendError, match="no such luck") as error:
        aggregate(torch.ones(1, 1), torch.zeros(2, 1, dtype=torch.long))
    assert isinstance(error.value, GnnlabError)
    assert "not on cpu: no such luck" in next(s.reason for s in backend_report() if s.name == "reference")
    _dispatch._find.cache_clear()


def test_missing_kernel_falls_back(monkeypatch):
    monkeypatch.delattr(_reference, "spmm")
    _dispatch._find.cache_clear()
    with use_backend("reference"):
        assert _dispatch.kernel("spmm", torch.ones(1).half()) is _torch.spmm
        assert _dispatch.kernel("gine", torch.ones(1)) is _reference.gine
    _dispatch._find.cache_clear()


def test_every_backend_has_every_kernel():
    kernels = {"spmm", "sddmm", "extremum", "spread", "dropout"}
    fused = {"gine", "gated", "gated_gcn", "softmax", "attention"}
    for operation in kernels | fused | {f"{name}_backward" for name in fused}:
        assert callable(getattr(_torch, operation))
        assert callable(getattr(_reference, operation))
