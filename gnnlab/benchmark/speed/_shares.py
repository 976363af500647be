"""Where the time of a training step goes, by kinds of operations."""

from __future__ import annotations

from collections.abc import Sequence

from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from gnnlab.benchmark.speed._loops import REGIONS, Loop

__all__ = ["KINDS", "shares_of"]

_PARTS: dict[str, Sequence[str]] = {
    "dropout": ("bernoulli", "dropout", "rand"),
    "matmul": ("::mm", "::addmm", "::bmm", "::mv", "linear", "mkldnn"),
    "normalisation": ("batch_norm", "batchnorm"),
    "activation": ("gelu", "relu", "sigmoid", "threshold"),
    "aggregation": ("gnnlab", "gather", "scatter", "index", "embedding", "segment"),
}

KINDS = (*_PARTS, *REGIONS, "other")
"""What time is spent on. The first whose names contain that of an operation counts, whatever it is part of
(``dropout`` is random numbers and masks, ``aggregation`` includes look-ups in tables of categories), except that all
of a loader and all of an optimiser's step are theirs."""


def shares_of(loop: Loop, steps: int) -> dict[str, float]:
    """Kind -> share of the time of some steps: of the processor, or of the GPU where the loop runs there."""
    cuda = loop.device == "cuda"
    loop.turn(1, 1)
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda) as record:
        loop.turn(steps, 0)
    times = dict.fromkeys(KINDS, 0.0)
    for event in record.events():
        # Kernels of a GPU belong to the operations that start them, and are listed again by themselves.
        if event.device_type == DeviceType.CPU:
            times[_kind(event)] += event.self_device_time_total if cuda else event.self_cpu_time_total
    total = sum(times.values())
    return {kind: time / total for kind, time in times.items()}


def _kind(event: FunctionEvent) -> str:
    around: FunctionEvent | None = event
    while around is not None:
        if around.name in REGIONS:
            return around.name
        around = around.cpu_parent
    name = event.name.lower()
    return next((kind for kind, parts in _PARTS.items() if any(part in name for part in parts)), "other")
