"""A forward and a backward pass of two networks: whether they compute the same, how long they take, in what memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from gnnlab.benchmark.speed._operations import Result
from gnnlab.benchmark.speed._outcome import TOLERANCE, difference
from gnnlab.benchmark.speed.measure import Comparison, interleave, ratio
from gnnlab.errors import GnnlabError

__all__ = ["Pass", "agree", "compared", "measured", "peak_bytes", "take_weights"]

_TURN, _LIMIT = 0.3, 60.0
"""Seconds of a turn at least, and those after which three rounds are enough."""


@dataclass(frozen=True)
class Pass:
    """Forward and backward.

    Args:
        call: The forward pass.
        learned: What gets a gradient.
        seed: Of the gradient that comes in.
    """

    call: Callable[[], Tensor]
    learned: Sequence[Tensor]
    seed: int = 1

    def __call__(self) -> Result:
        out = self.call()
        grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(self.seed)).to(out)
        return Result((out.detach(),), torch.autograd.grad(out, self.learned, grad))


def compared(
    what: str,
    peer: str,
    ours: Pass,
    theirs: Pass,
    rounds: int,
    goals: tuple[float, float],
    detail: str,
    aligned: Callable[[Result], Result] = lambda result: result,
) -> list[Comparison]:
    """Two rows, time and memory; first of all, both give the same outputs and gradients.

    Args:
        what: The work.
        peer: Who else does it.
        ours: By gnnlab.
        theirs: By the peer.
        rounds: Turns of both.
        goals: Ratios of time and memory to reach.
        detail: Size of the work.
        aligned: A result of the peer with its gradients in our order and shapes.
    """
    agree(what, ours(), aligned(theirs()))
    return measured(what, peer, ours, theirs, rounds, goals, detail)


def measured(
    what: str, peer: str, ours: Pass, theirs: Pass, rounds: int, goals: tuple[float, float], detail: str
) -> list[Comparison]:
    """The rows of :func:`compared`, of what is known to agree."""
    times = interleave({"ours": ours, "theirs": theirs}, rounds, least=_TURN, limit=_LIMIT)
    mine, other = (statistics.median(column) for column in times.values())
    memory = peak_bytes(ours), peak_bytes(theirs)
    note = f"{detail}; peak of what torch allocates in a pass"
    return [
        Comparison(f"{what}, time", peer, mine, other, ratio(times["theirs"], times["ours"]), goals[0], detail=detail),
        Comparison(f"{what}, memory", peer, *memory, memory[1] / memory[0], goals[1], unit="B", detail=note),
    ]


def agree(what: str, found: Result, wanted: Result) -> None:
    """Refuse a peer that computes something else.

    Raises:
        GnnlabError: outputs or gradients that differ.
    """
    error = max(difference(found.outputs, wanted.outputs), difference(found.grads, wanted.grads))
    # NaN is no less than anything.
    if not error <= TOLERANCE[torch.float32]:
        raise GnnlabError(
            f"gnnlab and its peer do not agree: {what}, off by {error:.2g} of the largest value",
            where="gnnlab bench",
        )


def peak_bytes(work: Callable[[], Any]) -> int:
    """Most bytes held at a time by torch's allocator, above those held before; the result counts. Run the work once
    before, so that what it keeps for good does not.

    Everything is counted that torch allocates on the processor: tensors, whoever fills them (kernels of ours in numba
    fill tensors of torch), and what operators need in between. Libraries' own buffers are not.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = work()
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    del result
    return peak


@torch.no_grad()
def take_weights(of: Sequence[Tensor], into: Sequence[Tensor]) -> None:
    """Copy parameters that follow one another in the same order."""
    for parameter, other in zip(of, into, strict=True):
        if parameter.shape != other.shape:
            raise GnnlabError(f"the peer has a parameter {list(other.shape)}, not {list(parameter.shape)}")
        other.copy_(parameter)
