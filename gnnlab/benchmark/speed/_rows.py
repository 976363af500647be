"""One row of the table: check every candidate against the reference, then time those that are right."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gnnlab.benchmark.speed._operations import OPERATIONS, Inputs, Operation, Result, inputs_of
from gnnlab.benchmark.speed._outcome import Outcome, attempt, check
from gnnlab.benchmark.speed._peers import Prepare
from gnnlab.benchmark.speed._shapes import Shape
from gnnlab.benchmark.speed.measure import copying, interleave, ratio
from gnnlab.errors import BudgetError, GnnlabError
from gnnlab.ops import CSR, use_backend
from gnnlab.ops._dispatch import kernel

__all__ = ["Row", "by_backend", "free_memory", "measure_row", "own_kernel"]

Candidate = Callable[[Inputs, Sequence[Tensor]], Result]

_OURS, _COPY = "gnnlab", "copy"
_LEAST = {"cpu": 0.02, "cuda": 0.005}  # seconds a turn lasts at least
_LIMIT = 30.0  # seconds after which a row makes do with the rounds it has


@dataclass(frozen=True)
class Row:
    """One operation on one graph.

    Args:
        shape: Name of the graph.
        nodes: N.
        edges: E.
        op: Name of the operation.
        width: F (of ``softmax``: heads).
        dtype: Type of the features.
        direction: ``forward`` or ``both`` (forward and gradients).
        device: Where it ran.
        rounds: Turns every candidate had.
        backend: Backend whose kernel served the automatic choice.
        floor_bytes: Bytes a fused kernel must move.
        copy_bytes_per_second: Bandwidth of a plain copy, timed in the same rounds.
        floor_fraction: Median over rounds of (floor at that bandwidth) / our time.
        ours: The automatic choice.
        others: Name -> peers and single backends; absent ones are left out.
    """

    shape: str
    nodes: int
    edges: int
    op: str
    width: int
    dtype: str
    direction: str
    device: str
    rounds: int
    backend: str
    floor_bytes: int
    copy_bytes_per_second: float | None
    floor_fraction: float | None
    ours: Outcome
    others: dict[str, Outcome] = field(default_factory=dict)


def measure_row(
    shape: Shape,
    op: str,
    width: int,
    dtype: torch.dtype,
    *,
    peers: Mapping[str, Prepare],
    backends: Sequence[str] = (),
    both: bool = True,
    rounds: int = 7,
    seed: int = 0,
) -> Row:
    """Measure one operation on a graph that lies on its device already.

    Raises:
        BudgetError: our own inputs, results and their reference would not fit into memory.
    """
    operation, device = OPERATIONS[op], shape.edge_index.device
    messages = _check_memory(operation, shape, width, dtype)
    inputs = inputs_of(operation, shape, width, dtype, seed, learn=both)
    adj = shape.adjacency()

    outcomes: dict[str, Outcome] = {}
    candidates: dict[str, Candidate] = {_OURS: partial(operation.run, partial(_ours, operation, adj))}
    for name in backends:
        if own_kernel(operation, name, inputs):
            candidates[f"{_OURS}:{name}"] = partial(by_backend, name, candidates[_OURS])
    for name, prepare in peers.items():
        if messages > free_memory(device.type):
            outcomes[name] = Outcome(verdict="skipped", why=f"its messages take about {_gib(messages)}")
            continue
        call, why = attempt(partial(prepare, op, shape, inputs))
        if why:
            outcomes[name] = Outcome(verdict="failed", why=why)
        elif call is not None:
            candidates[name] = partial(operation.run, call)

    grads = operation.cotangents(inputs, seed + 1) if both else ()
    wanted = operation.reference(inputs, grads, adj)
    for name, candidate in candidates.items():
        outcomes[name] = check(operation, partial(candidate, inputs, grads), wanted, dtype)
    del wanted

    right = {name: partial(run, inputs, grads) for name, run in candidates.items() if outcomes[name].verdict == "ok"}
    copy, moved = copying(str(device))
    times = interleave({_COPY: copy, **right}, rounds, device=str(device), least=_LEAST[device.type], limit=_LIMIT)
    floor, ours = operation.floor(shape, width, dtype.itemsize, both), times.get(_OURS)
    for name in right:
        relative = ratio(times[name], ours) if ours else None
        outcomes[name] = Outcome(statistics.median(times[name]), relative, outcomes[name].error)
    return Row(
        shape=shape.name,
        nodes=shape.num_nodes,
        edges=shape.num_edges,
        op=op,
        width=width,
        dtype=str(dtype).removeprefix("torch."),
        direction="both" if both else "forward",
        device=str(device),
        rounds=len(times[_COPY]),
        backend=_name_of(kernel(operation.kernel, inputs[operation.learned[0]])),
        floor_bytes=floor,
        copy_bytes_per_second=moved / statistics.median(times[_COPY]),
        floor_fraction=floor / moved * ratio(times[_COPY], ours) if ours else None,
        ours=outcomes.pop(_OURS),
        others=outcomes,
    )


def by_backend(name: str, candidate: Candidate, inputs: Inputs, grads: Sequence[Tensor]) -> Result:
    """The candidate, gradients included, with one backend in charge."""
    with use_backend(name):
        return candidate(inputs, grads)


def own_kernel(operation: Operation, backend: str, inputs: Inputs) -> bool:
    """Whether a backend serves an operation itself here, instead of falling back to another one."""
    try:
        with use_backend(backend):
            return _name_of(kernel(operation.kernel, inputs[operation.learned[0]])) == backend
    except GnnlabError:
        return False


def free_memory(device: str) -> float:
    """Bytes that can still be allocated; infinite where nobody says."""
    if device == "cuda":
        kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return torch.cuda.mem_get_info()[0] + kept
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return math.inf


def _check_memory(operation: Operation, shape: Shape, width: int, dtype: torch.dtype) -> int:
    """Refuse what cannot fit; returns the further bytes a candidate that forms its messages takes."""
    own, unfused = operation.memory(shape.num_nodes, shape.num_edges, width, dtype.itemsize)
    free = free_memory(shape.edge_index.device.type)
    if own > free:
        raise BudgetError(
            f"needs about {_gib(own)}, {_gib(free)} are free", hint="a smaller --width, or --dtype bfloat16"
        )
    return unfused - own


def _ours(operation: Operation, adj: CSR, inputs: Inputs) -> tuple[Tensor, ...]:
    return operation.ours(inputs, adj)


def _name_of(function: Callable) -> str:
    return function.__module__.split(".")[2].removeprefix("_")


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
